"""The model against the real Envoy: every scenario goes through both, and everything that can be observed agrees.

In two classes, because a class is what pytest-xdist gives to one worker, and two share the work.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from typing import ClassVar

import pytest
import pytest_asyncio

from tests.envoy.both import disagreements
from tests.envoy.real import Real
from tests.envoy.scenario import Scenario
from tests.envoy.tables import SCENARIOS

pytestmark = pytest.mark.envoy

ODD, EVEN = SCENARIOS[1::2], SCENARIOS[::2]


def each(scenarios: Sequence[Scenario]) -> pytest.MarkDecorator:
    return pytest.mark.parametrize("scenario", scenarios, ids=lambda scenario: scenario.name)


@pytest_asyncio.fixture(scope="class", loop_scope="class")
async def real(request: pytest.FixtureRequest) -> AsyncIterator[Real]:
    async with Real([scenario.setting for scenario in request.cls.scenarios]) as running:
        yield running


@pytest.mark.asyncio(loop_scope="class")
class Agreement:
    scenarios: ClassVar[Sequence[Scenario]]

    async def test_model_and_envoy_agree(self, real: Real, scenario: Scenario) -> None:
        unlike = await disagreements(real, scenario)
        assert not unlike, "\n".join(unlike)


@each(EVEN)
class TestEven(Agreement):
    scenarios = EVEN


@each(ODD)
class TestOdd(Agreement):
    scenarios = ODD


def test_scenarios_have_names_of_their_own() -> None:
    names = [scenario.name for scenario in SCENARIOS]
    assert len(names) == len(set(names))
