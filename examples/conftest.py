"""What the tests of the examples share."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path

import pytest

from extproc.config import load_chain
from extproc.replay.diff import Verdict, compare
from extproc.replay.files import CaptureReader
from extproc.replay.runner import Replayed, replay
from extproc.replay.veil import Veil

Replay = Callable[[Path], list[Replayed]]


@pytest.fixture
def replayed() -> Replay:
    """Replays the capture of an example through its chain: what came of each exchange, which is what was recorded."""

    def run(folder: Path) -> list[Replayed]:
        chain = load_chain(folder / "chain.yaml")
        done: list[Replayed] = []
        with CaptureReader(folder / "capture.ndjson") as reader:
            notes = asyncio.run(replay(reader, chain, Veil(reader, chain), done.append))
        assert notes == []
        assert {compare(item).verdict for item in done} == {Verdict.SAME}
        return done

    return run
