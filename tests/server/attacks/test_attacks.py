"""A broken peer costs its own connection and nothing else."""

from __future__ import annotations

import pytest

from tests.server.attacks import abuses, floods
from tests.server.attacks.attack import Attack
from tests.server.attacks.bystander import bystander
from tests.server.raw.serving import serving


@pytest.mark.parametrize("attack", [*floods.ATTACKS, *abuses.ATTACKS], ids=lambda attack: attack.case.id)
async def test_attack(attack: Attack) -> None:
    """Another client is served before, meanwhile and after; `serving` sees that nothing is left."""
    async with serving(http2=attack.limits) as front, bystander(front.addresses[0]) as client:
        await client.is_served_during(attack.case.play(front.addresses[0]))
        assert not attack.counter or front.counters[attack.counter], front.counters
