"""``make bench``: what a filter costs, through the real Envoy, as ratios to a bare ``grpc.aio`` servicer.

Prints tables, and writes ``results.json``, ``docs/performance.md`` and its plot. ``python -m benchmarks idle`` runs one
part of it, and leaves the results of the others as they are.
"""

from __future__ import annotations

import asyncio
import sys
from functools import partial
from os import cpu_count, getloadavg
from time import monotonic
from typing import TYPE_CHECKING, Any

from rich.console import Console

from benchmarks import page
from benchmarks.bodies import bodies
from benchmarks.exchanges import exchanges
from benchmarks.footprint import footprint
from benchmarks.h2load import h2load
from benchmarks.latency import latency
from benchmarks.results import Section, table, write
from benchmarks.streams import idle

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine

    from rich.status import Status

PARTS: dict[str, Callable[[Callable[[str], object]], Coroutine[Any, Any, Section]]] = {
    "exchanges": exchanges,
    "bodies": bodies,
    "latency": latency,
    "footprint": footprint,
    "idle": idle,
    "h2load": h2load,
}


def main(names: list[str]) -> int:
    """Runs the parts called `names`, or all; returns the exit code."""
    console = Console()
    if unknown := set(names) - set(PARTS):
        console.print(f"there is no part {', '.join(unknown)}: there are {', '.join(PARTS)}")
        return 2
    start = monotonic()
    for name in names or PARTS:
        with console.status(name) as status:
            rows = asyncio.run(PARTS[name](partial(_tell, status, name)))
        if rows:
            console.print(table(name, rows))
            write({name: rows, "machine": [{"cores": cpu_count(), "load": round(getloadavg()[0], 1)}]})
            page.write()
    console.print(f"{monotonic() - start:.0f} s; written to benchmarks/results.json and docs/performance.md")
    return 0


def _tell(status: Status, name: str, step: str) -> None:
    status.update(f"{name}: {step}")


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
