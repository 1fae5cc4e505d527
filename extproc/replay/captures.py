"""Replays captures one after the other, each through a chain of its own, into one report."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from functools import partial
from typing import TYPE_CHECKING, TypeAlias

from extproc.replay.diff import compare
from extproc.replay.files import CaptureReader, captures_in
from extproc.replay.report import Report
from extproc.replay.runner import Replayed, replay
from extproc.replay.veil import Veil

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from extproc.chain import Chain

__all__ = ["Way", "replay_captures"]

Way: TypeAlias = Callable[["CaptureReader", "Chain", "Veil", Callable[["Replayed"], None]], Awaitable[list[str]]]
"""How one capture is replayed; `runner.replay` says with what."""


async def replay_captures(
    captures: Iterable[Path],
    load: Callable[[], Chain],
    *,
    way: Way = replay,
    ignored: Iterable[str] = (),
    redaction_key: Path | None = None,
    show: int | None = None,
) -> Report:
    """Replays captures and compares each exchange with what was recorded.

    Args:
        captures: files, or directories of them.
        load: makes the chain. A capture is one run of a processor, which began with nothing counted: so each gets a
            chain of its own.
        way: through the model in this process, or through the real Envoy.
        ignored: headers that may differ.
        redaction_key: the key that all captures were redacted with; by default ``redaction.key`` beside each.
        show: how many exchanges that differ the report keeps; None: all.

    Raises:
        CaptureError: a capture or the key cannot be read.
    """
    report = Report(show)
    names = tuple(ignored)

    def tell(path: Path, done: Replayed) -> None:
        report.add(path, compare(done, names))

    for path in [file for given in captures for file in captures_in(given)]:
        chain = load()
        with CaptureReader(path) as reader:
            veil = Veil(reader, chain, redaction_key)
            report.notes += await way(reader, chain, veil, partial(tell, path))
    return report
