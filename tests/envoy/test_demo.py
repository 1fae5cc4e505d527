"""``extproc demo``: the story holds, says so, and leaves nothing behind."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import uuid
from pathlib import Path

import pytest
from rich.console import Console

from extproc.demo import story
from extproc.demo.scenes import SCENES, Seen

MARK = "EXTPROC_TEST_MARK"


def processes_with(mark: str) -> list[str]:
    """What still runs of all that was started with `mark` in its environment."""
    left: list[str] = []
    for process in Path("/proc").glob("[0-9]*"):
        try:
            if f"{MARK}={mark}".encode() in (process / "environ").read_bytes():
                left.append((process / "cmdline").read_bytes().replace(b"\0", b" ").decode())
        except OSError:
            continue  # it ended while we looked
    return left


def test_the_story_ends_well_and_with_the_counts() -> None:
    mark = uuid.uuid4().hex
    done = subprocess.run(
        [sys.executable, "-m", "extproc", "demo"],
        env={**os.environ, MARK: mark},
        capture_output=True,
        text=True,
        timeout=50,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, "")
    told = re.search(
        r"exchanges recorded +(\d+)\nexchanges replayed +(\d+)\nidentical +(\d+)\n"
        r"different under the changed chain +(\d+)\nAll of it held\.\n$",
        done.stdout,
    )
    assert told is not None, done.stdout
    recorded, replayed, identical, different = map(int, told.groups())
    assert recorded == replayed == identical > 400
    assert 0 < different < identical
    assert processes_with(mark) == []


async def test_a_scene_that_does_not_hold_spoils_the_story(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async def broken(service: object, progress: object) -> Seen:
        """A promise that was not kept."""
        return Seen(held=False, text="it was not")

    monkeypatch.setattr(story, "SCENES", (*SCENES[:1], broken))
    with Path(os.devnull).open("w") as nowhere:
        assert not await story.tell(Console(file=nowhere), tmp_path)
