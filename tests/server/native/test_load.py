"""What many clients leave behind, and what many streams cost. The long forms of both are in benchmarks/."""

from __future__ import annotations

import tracemalloc

from benchmarks.aborts import abort_at_random
from benchmarks.idle import hold


async def test_clients_that_break_off_at_random_leave_nothing_behind() -> None:
    left = await abort_at_random(3000)
    assert (left.gauges, left.objects, left.tasks) == ({"connections": 0, "streams": 0, "buffered_bytes": 0}, 0, 0)


async def test_ten_thousand_idle_streams_cost_less_than_20_kb_each() -> None:
    tracemalloc.start()
    try:
        assert 0 < await hold(10_000, lambda: tracemalloc.get_traced_memory()[0]) < 20_000
    finally:
        tracemalloc.stop()
