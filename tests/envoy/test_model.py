"""The model against the real Envoy: every scenario goes through both, and everything that can be observed agrees."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest
import pytest_asyncio

from tests.envoy.both import disagreements
from tests.envoy.real import Real
from tests.envoy.scenario import Scenario
from tests.envoy.tables import SCENARIOS

pytestmark = pytest.mark.envoy


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def real() -> AsyncIterator[Real]:
    async with Real([scenario.setting for scenario in SCENARIOS]) as running:
        yield running


@pytest.mark.asyncio(loop_scope="module")
@pytest.mark.parametrize("scenario", SCENARIOS, ids=lambda scenario: scenario.name)
async def test_model_and_envoy_agree(real: Real, scenario: Scenario) -> None:
    unlike = await disagreements(real, scenario)
    assert not unlike, "\n".join(unlike)


def test_scenarios_have_names_of_their_own() -> None:
    names = [scenario.name for scenario in SCENARIOS]
    assert len(names) == len(set(names))
