"""Random exchanges, the same on every run of the tests; ``make fuzz`` runs as many as are wanted."""

from __future__ import annotations

import pytest

from tests.envoy import fuzz
from tests.envoy.drawn_settings import settings_from
from tests.envoy.fuzz import disagreement
from tests.envoy.real import Real
from tests.envoy.scenarios import bodies
from tests.envoy.source import source

EXCHANGES = 100


@pytest.mark.timeout(300)  # on a busy machine
@pytest.mark.parametrize("batch", [1, 2])
def test_model_and_envoy_agree_about_random_exchanges(batch: int) -> None:
    found = disagreement(batch, EXCHANGES)
    assert found is None, found


def test_an_envoy_that_ends_is_not_taken_for_a_disagreement(monkeypatch: pytest.MonkeyPatch) -> None:
    async def fatal(*_: object) -> list[str]:
        raise ConnectionResetError

    async def ended(_: Real) -> str:
        return "it was stopped by SIGSEGV"

    monkeypatch.setattr(fuzz, "disagreements", fatal)
    monkeypatch.setattr(Real, "ended", ended)
    found = disagreement(1, EXCHANGES)
    assert found is not None
    said, scenario = found.splitlines()
    assert said == "# Envoy has ended, perhaps by an exchange before: it was stopped by SIGSEGV"
    assert scenario.startswith("Scenario(")


def test_settings_come_from_the_seed() -> None:
    assert settings_from(1, 20) == settings_from(1, 20) != settings_from(2, 20)


def test_a_scenario_can_be_pasted() -> None:
    text = source(bodies.SCENARIOS[0])
    assert text.startswith(
        "Scenario(name='every-phase', config=ExtProcConfig(mode=ProcessingMode(request_body=BodyMode.BUFFERED"
    )
