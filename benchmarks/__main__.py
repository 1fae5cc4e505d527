"""``make bench``: processor CPU per exchange, through the real Envoy, as ratios to a bare grpc.aio servicer.

Every processor runs in a process of its own behind an Envoy of its own, all of them at once. Rounds of exchanges go
through them in turn, so that whatever else the machine does hits all alike; a row is the median of its rounds. Each
Envoy sends the phases that its chain needs: for the bare servicer and the single filter, the request's headers.
"""

from __future__ import annotations

import asyncio
import json
import statistics
import sys
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from rich.console import Console
from rich.table import Table

from benchmarks.load import exchanges, upstream
from benchmarks.processors import four_filters, one_filter
from extproc.envoy.binary import RunningEnvoy
from extproc.envoy.config import EnvoyOptions, bootstrap

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator

    from extproc import Chain

RESULTS = Path(__file__).with_name("results.json")
BARE = "bare-grpc-aio"
ROWS = {BARE: one_filter, "grpcio-1-filter": one_filter, "grpcio-4-filters": four_filters}
"""Each row, and the chain whose needs its Envoy is configured for."""

ROUNDS = 45
EXCHANGES = 200
CONNECTIONS = 8
HEADERS = {"user-agent": "bench/1.0", "accept": "*/*", "x-api-key": "bench-key", "x-user": "user-1"}


@dataclass
class Subject:
    """One row under measurement."""

    name: str
    address: str
    process: asyncio.subprocess.Process
    rounds: list[float] = field(default_factory=list[float])

    async def cpu(self) -> float:
        """CPU seconds that the processor has used so far."""
        assert self.process.stdin is not None  # noqa: S101 (both are pipes)
        assert self.process.stdout is not None  # noqa: S101
        self.process.stdin.write(b"\n")
        return float(await self.process.stdout.readline())

    async def round(self) -> None:
        """Runs one round and keeps its CPU per exchange, in microseconds."""
        before = await self.cpu()
        await exchanges(self.address, EXCHANGES, CONNECTIONS, HEADERS)
        self.rounds.append((await self.cpu() - before) / EXCHANGES * 1e6)


@asynccontextmanager
async def subject(name: str, chain: Chain, upstream_address: str) -> AsyncGenerator[Subject]:
    """Starts a processor and an Envoy in front of it."""
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "benchmarks.processors",
        name,
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
    )
    assert process.stdin is not None  # noqa: S101
    assert process.stdout is not None  # noqa: S101
    try:
        processor = (await process.stdout.readline()).decode().strip()
        options = EnvoyOptions(
            listen="127.0.0.1:0", admin="127.0.0.1:0", upstream=upstream_address, processors=(processor,)
        )
        async with RunningEnvoy(bootstrap(chain, options)) as envoy:
            yield Subject(name, f"127.0.0.1:{envoy.port('ingress')}", process)
    finally:
        process.stdin.close()
        await process.wait()


async def measure() -> list[Subject]:
    """Runs all rounds of all rows, after one to warm up."""
    async with AsyncExitStack() as stack:
        upstream_address = await stack.enter_async_context(upstream())
        subjects = [
            await stack.enter_async_context(subject(name, chain(), upstream_address)) for name, chain in ROWS.items()
        ]
        for _ in range(ROUNDS + 1):
            for each in subjects:
                await each.round()
    for each in subjects:
        del each.rounds[0]
    return subjects


def results(subjects: list[Subject]) -> list[dict[str, str | float]]:
    """What `RESULTS` holds: a row each, with its ratio to the bare servicer."""
    cost = {each.name: statistics.median(each.rounds) for each in subjects}
    return [
        {"name": name, "cpu_us_per_exchange": round(value, 1), "ratio_to_bare": round(value / cost[BARE], 3)}
        for name, value in cost.items()
    ]


def main() -> None:
    """Measures, prints the table, writes the file."""
    console = Console()
    with console.status(f"{len(ROWS)} processors, {ROUNDS} rounds of {EXCHANGES} exchanges each ..."):
        rows = results(asyncio.run(measure()))
    RESULTS.write_text(json.dumps(rows, indent=2) + "\n")
    table = Table("processor", "CPU per exchange (µs)", "ratio to bare")
    for row in rows:
        table.add_row(str(row["name"]), f"{row['cpu_us_per_exchange']}", f"{row['ratio_to_bare']:.2f}")
    console.print(table)
    console.print(f"written to {RESULTS.relative_to(Path.cwd())}")


if __name__ == "__main__":
    main()
