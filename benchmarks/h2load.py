"""A processor driven by ``h2load``, if it is installed: somebody else's client, and no Envoy."""

from __future__ import annotations

import asyncio
import re
import shutil
from contextlib import AsyncExitStack
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

from benchmarks.chains import HEADERS
from benchmarks.outside import outside
from benchmarks.peer import grpc_message
from benchmarks.rounds import Sample
from benchmarks.subject import Row, processor
from extproc.wire import PROCESS, SERVICE

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["h2load"]

ROWS = (
    Row("bare-grpc-aio", "bare", "echo"),
    *outside(),
    Row("native-1-filter", "native", "1-filter"),
    Row("native-4-filters", "native", "4-filters"),
)
ROUNDS = 12
EXCHANGES = 2_000
STREAMS = 16
_RATE = re.compile(r"finished in .*?, (?P<rate>[\d.]+) req/s")
_SUCCEEDED = re.compile(r"(?P<count>\d+) succeeded")


async def h2load(tell: Callable[[str], object]) -> list[dict[str, Any]]:
    """A row each, in turns as in `rounds`; none if there is no h2load."""
    program = shutil.which("h2load")
    if program is None:
        return []
    samples = {row.name: Sample() for row in ROWS}
    async with AsyncExitStack() as exits:
        running = [(row, await exits.enter_async_context(processor(row.front, row.serves))) for row in ROWS]
        for number in range(ROUNDS + 1):
            tell(f"round {number} of {ROUNDS}" if number else "warming up")
            for row, each in running:
                sample = samples[row.name] if number else Sample()
                before = await each.cpu()
                sample.rate.append(await _drive(program, each.address))
                sample.cpu.append((await each.cpu() - before) / EXCHANGES)
    base = samples[ROWS[0].name]
    return [_row(name, sample, base) for name, sample in samples.items()]


def _row(name: str, sample: Sample, base: Sample) -> dict[str, Any]:
    return {
        "name": name,
        "per_second": round(median(sample.rate)),
        "us": round(median(sample.cpu) * 1e6, 1),
        "ratio": round(sample.ratio(base).value, 3),
    }


async def _drive(program: str, address: str) -> float:
    """Runs it once; requests per second."""
    with TemporaryDirectory(prefix="bench-") as folder:
        body = f"{folder}/request"
        Path(body).write_bytes(grpc_message(HEADERS))  # noqa: ASYNC240 (nothing else runs)
        options = ["-n", str(EXCHANGES), "-c", "1", "-m", str(STREAMS), "-d", body]
        headers = ["-H", "content-type: application/grpc", "-H", "te: trailers"]
        process = await asyncio.create_subprocess_exec(
            program, *options, *headers, f"http://{address}/{SERVICE}/{PROCESS}", stdout=asyncio.subprocess.PIPE
        )
        output = (await process.communicate())[0].decode()
    rate, succeeded = _RATE.search(output), _SUCCEEDED.search(output)
    if rate is None or succeeded is None or int(succeeded["count"]) != EXCHANGES:
        raise RuntimeError(f"h2load did not get {EXCHANGES} answers: {output}")
    return float(rate["rate"])
