"""What many clients leave behind, and what many streams cost. The long forms are in benchmarks/."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from tests.server.native.aborting import abort_at_random

REPOSITORY = Path(__file__).parents[3]


async def test_clients_that_break_off_at_random_leave_nothing_behind() -> None:
    left = await abort_at_random(3000)
    assert (set(left.gauges.values()), left.objects, left.tasks) == ({0}, 0, 0)


def test_ten_thousand_idle_streams_cost_less_than_20_kb_each() -> None:
    """In a process of its own: in this one, other tests have left memory that is free."""
    command = [sys.executable, "-m", "tests.server.native.idle", "10000"]
    ran = subprocess.run(command, cwd=REPOSITORY, capture_output=True, text=True, check=True)
    assert 100 < int(ran.stdout) < 20_000
