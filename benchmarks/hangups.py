"""``python -m benchmarks.hangups``: 100,000 exchanges whose clients break off at random; what is left of them.

Requests go through a real Envoy to a chain whose hooks suspend, and to an upstream that takes its time. A client closes
its connection at a random moment, mostly before its response is there, and Envoy resets the stream. The random moments
come from a seed, which is printed.
"""

from __future__ import annotations

import asyncio
import sys
from contextlib import AsyncExitStack
from random import Random
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

from rich.console import Console

from benchmarks import page
from benchmarks.chains import HEADERS
from benchmarks.load import request, upstream
from benchmarks.results import table, write
from benchmarks.subject import Row, subject

if TYPE_CHECKING:
    from collections.abc import Callable

    from benchmarks.processors import Usage
    from benchmarks.subject import Processor

EXCHANGES = 100_000
WARM_UP = 20_000
CLIENTS = 48
SEED = 20261126
_LONGEST = 0.06
"""Seconds: some clients are gone before Envoy has seen the request, some stay until they have the response."""
_LOOKS = 30
_MIB = 1024 * 1024


async def abort(
    front: str, tell: Callable[[str], object] = lambda _: None, *, exchanges: int = EXCHANGES, warm_up: int = WARM_UP
) -> dict[str, Any]:
    """What is left, on one front."""
    async with AsyncExitStack() as exits:
        folder = exits.enter_context(TemporaryDirectory(prefix="bench-"))
        address = await exits.enter_async_context(upstream(delay=_LONGEST / 4))
        each = await exits.enter_async_context(subject(Row(f"abort-{front}", front, "waits"), address, folder))
        assert each.processor is not None  # noqa: S101 (the row has a front)
        random = Random(SEED)  # noqa: S311 (to be repeated)
        await _clients(each.address, warm_up, random, tell)
        before = await _settled(each.processor)
        aborted = await _clients(each.address, exchanges, random, tell)
        after = await _settled(each.processor)
    return {
        "name": front,
        "exchanges": exchanges,
        "aborted": aborted,
        "sessions_left": after.sessions,
        "tasks_left": after.tasks - before.tasks,
        "blocks_before": before.blocks,
        "blocks_left": after.blocks - before.blocks,
        "grown_mib": round((after.memory - before.memory) / _MIB, 1),
    }


async def _clients(address: str, count: int, random: Random, tell: Callable[[str], object]) -> int:
    """Runs `count` exchanges; how many were broken off."""
    host, _, port = address.rpartition(":")
    message = request(HEADERS)
    todo = iter(range(count))
    aborted = 0

    async def client() -> None:
        nonlocal aborted
        for number in todo:
            if number % 1000 == 0:
                tell(f"{number} of {count}")
            reader, writer = await asyncio.open_connection(host, int(port))
            writer.write(message)
            try:
                async with asyncio.timeout(random.random() * _LONGEST):
                    await reader.readuntil(b"hello")
            except TimeoutError:
                aborted += 1
            writer.transport.abort()

    async with asyncio.TaskGroup() as tasks:
        for _ in range(CLIENTS):
            tasks.create_task(client())
    return aborted


async def _settled(processor: Processor) -> Usage:
    """What the processor holds once nothing changes any more, or after a while in which it did not let go."""
    usage = await processor.census()
    for _ in range(_LOOKS):
        last = usage
        await asyncio.sleep(1)
        usage = await processor.census()
        if not usage.sessions and usage.tasks == last.tasks:
            break
    return usage


def main(fronts: list[str]) -> None:
    """Runs it on each front, prints a table, and writes the results."""
    console = Console()
    console.print(f"seed {SEED}")
    rows: list[dict[str, Any]] = []
    for front in fronts:
        with console.status(front) as status:
            rows.append(asyncio.run(abort(front, status.update)))
    console.print(table("abort", rows))
    write({"abort": rows})
    page.write()


if __name__ == "__main__":
    main(sys.argv[1:] or ["native", "grpcio"])
