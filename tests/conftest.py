"""What holds for all tests."""

from __future__ import annotations

import pytest
from hypothesis import settings

from extproc.server import fronts

settings.register_profile("tests", deadline=None)  # a busy machine is no error
settings.load_profile("tests")


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--front",
        choices=("native", "grpcio"),
        help="the front of every processor that a test does not choose one for, behind the real Envoy above all",
    )


def pytest_configure(config: pytest.Config) -> None:
    front = config.getoption("--front")
    if front is not None:
        fronts.DEFAULT_FRONT = front
