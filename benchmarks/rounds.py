"""Rounds: every row gets its turn in each, so that whatever else the machine does hits all rows alike."""

from __future__ import annotations

import statistics
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from tempfile import TemporaryDirectory
from time import perf_counter, process_time
from typing import TYPE_CHECKING

from benchmarks.load import run, upstream
from benchmarks.subject import subject

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from benchmarks.subject import Row, Subject

__all__ = ["Batch", "Ratio", "Sample", "measure"]


@dataclass(frozen=True, slots=True)
class Batch:
    """What a row gets in one round.

    Attributes:
        message: the request, as it stands on the wire.
        count: how many of them.
        connections: over how many connections.
    """

    message: bytes
    count: int
    connections: int


@dataclass(slots=True)
class Sample:
    """All rounds of one row with one kind of batch.

    Attributes:
        cpu: of the processor for one exchange, in seconds, by round.
        rate: exchanges per second, by round.
        busy: the share of its time that the load generator, which is also the upstream, was busy; by round.
        latencies: of all exchanges, in seconds.
    """

    cpu: list[float] = field(default_factory=list[float])
    rate: list[float] = field(default_factory=list[float])
    busy: list[float] = field(default_factory=list[float])
    latencies: list[float] = field(default_factory=list[float])

    def ratio(self, base: Sample) -> Ratio:
        """CPU as a ratio to another row's, taken round by round: whatever slowed one of them slowed the other."""
        ratios = [ours / theirs for ours, theirs in zip(self.cpu, base.cpu, strict=True)]
        ratio, middle = statistics.median(ratios), len(ratios) // 2
        first, second = statistics.median(ratios[:middle]), statistics.median(ratios[middle:])
        return Ratio(ratio, abs(first - second) / ratio)


@dataclass(frozen=True, slots=True)
class Ratio:
    """How a row compares to another.

    Attributes:
        value: the median of its rounds.
        halves: by how much of it the first and the second half of the rounds differ: how far to trust it.
    """

    value: float
    halves: float


async def measure(
    rows: Sequence[Row], batches: Sequence[Batch], rounds: int, tell: Callable[[str], object]
) -> dict[tuple[str, int], Sample]:
    """Runs all rounds of all rows, after one to warm up.

    Returns:
        The samples, by the row's name and the index of the batch.
    """
    samples = {(row.name, index): Sample() for row in rows for index in range(len(batches))}
    async with AsyncExitStack() as exits:
        folder = exits.enter_context(TemporaryDirectory(prefix="bench-"))
        address = await exits.enter_async_context(upstream())
        subjects = [await exits.enter_async_context(subject(row, address, folder)) for row in rows]
        for number in range(rounds + 1):
            tell(f"round {number} of {rounds}" if number else "warming up")
            for index, batch in enumerate(batches):
                for each in subjects:
                    sample = samples[each.row.name, index] if number else Sample()
                    await _take(each, batch, sample)
    return samples


async def _take(each: Subject, batch: Batch, sample: Sample) -> None:
    """One batch of one row."""
    before = await each.processor.cpu() if each.processor else 0.0
    start, busy = perf_counter(), process_time()
    load = await run(each.address, batch.message, batch.count, batch.connections)
    sample.busy.append((process_time() - busy) / (perf_counter() - start))
    after = await each.processor.cpu() if each.processor else 0.0
    sample.cpu.append((after - before) / batch.count)
    sample.rate.append(batch.count / load.seconds)
    sample.latencies += load.latencies
