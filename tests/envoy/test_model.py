"""The model against the real Envoy: every scenario goes through both, and everything that can be observed agrees."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from dataclasses import replace

import pytest
import pytest_asyncio

from tests.envoy.modelled import modelled
from tests.envoy.observed import Observed
from tests.envoy.real import Real
from tests.envoy.received import Received
from tests.envoy.scenario import Scenario
from tests.envoy.scenarios import bodies, filters, headers, immediate, limits, protocol, rules, single_valued

pytestmark = pytest.mark.envoy

_TABLES = (headers, single_valued, rules, bodies, immediate, protocol, limits, filters)
SCENARIOS = [scenario for table in _TABLES for scenario in table.SCENARIOS]

ADDED_BY_ENVOY = ("date", "connection")
"""What the HTTP connection manager adds to a response: the date, and that it closes where a request has not ended."""


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def real() -> AsyncIterator[Real]:
    async with Real([scenario.setting for scenario in SCENARIOS]) as running:
        yield running


@pytest.mark.asyncio(loop_scope="module")
@pytest.mark.parametrize("scenario", SCENARIOS, ids=lambda scenario: scenario.name)
async def test_model_and_envoy_agree(real: Real, scenario: Scenario) -> None:
    expected, seen = await modelled(scenario), await real.run(scenario)
    seen = _whole(seen)
    (e,), (s,) = expected.moments, seen.moments
    s.client = _without_envoys_own(s.client, e.client)
    if s.upstream is not None and e.upstream is None:
        s.upstream = None
    if scenario.overlapping or _says_several(scenario):
        both = min(len(s.heard), len(e.heard))
        s.heard, e.heard = s.heard[:both], e.heard[:both]
    if e.upstream is None:
        seen.cluster = expected.cluster
    assert seen == expected


def _says_several(scenario: Scenario) -> bool:
    return any(isinstance(doing, Sequence) and len(doing) > 1 for doing in scenario.script.values())


def _whole(seen: Observed) -> Observed:
    last = seen.moments[-1]
    heard = [message for moment in seen.moments for message in moment.heard]
    return replace(seen, moments=[replace(last, move="", heard=heard, hung_up=True)], calls=[])


def _without_envoys_own(seen: Received, expected: Received) -> Received:
    names = {name for name, _ in expected.headers or []}
    kept = [item for item in seen.headers or [] if item[0] not in ADDED_BY_ENVOY or item[0] in names]
    return replace(seen, headers=kept)


def test_scenarios_have_names_of_their_own() -> None:
    names = [scenario.name for scenario in SCENARIOS]
    assert len(names) == len(set(names))
