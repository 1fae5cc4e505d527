"""``extproc demo``: a real Envoy calls four Python filters; the traffic is recorded, replayed and compared."""

from __future__ import annotations

import asyncio
import tempfile
from contextlib import ExitStack
from pathlib import Path

from rich.console import Console

__all__ = ["demo"]


def demo(*, keep: Path | None = None) -> int:
    """Show everything in one minute, on real traffic. Exits 0 if all of it held, else 1.

    Args:
        keep: A directory in which to keep the recording; by default it is thrown away.
    """
    from extproc.demo import tell

    with ExitStack() as exits:
        directory = keep or Path(exits.enter_context(tempfile.TemporaryDirectory(prefix="extproc-demo-")))
        return 0 if asyncio.run(tell(Console(), directory)) else 1
