"""A scenario through the model and through the real Envoy."""

from __future__ import annotations

from tests.envoy.compare import differences
from tests.envoy.modelled import modelled
from tests.envoy.real import Real
from tests.envoy.scenario import Scenario

__all__ = ["disagreements"]

_ATTEMPTS = 3


async def disagreements(real: Real, scenario: Scenario) -> list[str]:
    """What the two do not agree about, in sentences.

    On a busy machine the operating system may hand Envoy in two pieces what was written in one, and then, seldom, it
    breaks an exchange off a step earlier. So a disagreement counts if it is there each time.
    """
    expected = await modelled(scenario)
    unlike: list[str] = []
    for _ in range(_ATTEMPTS):
        unlike = differences(expected, await real.run(scenario))
        if not unlike:
            break
    return unlike
