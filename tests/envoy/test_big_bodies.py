"""Long bodies pass through a filter that takes pieces, whole and in little memory.

`make bodies` does the same with 1 GiB, and with 64 MiB of memory at most.
"""

from __future__ import annotations

import pytest

from benchmarks.big_bodies import FRONTS, MIB, MODES, passage

SIZE = 64 * MIB
BOUND = 32 * MIB
"""Half of what it would take to hold one of the two bodies."""


@pytest.mark.parametrize("front", FRONTS)
@pytest.mark.parametrize("mode", MODES)
async def test_a_long_body_passes_in_little_memory(mode: str, front: str) -> None:
    result = await passage(mode, front, SIZE)
    assert result.correct
    assert result.grown < BOUND
