"""Clients that break off at random, through the real Envoy: `benchmarks.hangups`, which does it 100,000 times."""

from __future__ import annotations

import pytest

from benchmarks.hangups import abort

EXCHANGES = 1000


@pytest.mark.parametrize("front", ["native", "grpcio"])
async def test_clients_that_break_off_leave_nothing_behind(front: str) -> None:
    left = await abort(front, exchanges=EXCHANGES, warm_up=500)
    assert left["aborted"] > 0
    assert (left["sessions_left"], left["tasks_left"]) == (0, 0)
    assert left["blocks_left"] < EXCHANGES
