"""A processor driven by ``h2load``, if it is installed: somebody else's client, and no Envoy."""

from __future__ import annotations

import asyncio
import re
import shutil
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

from benchmarks.chains import HEADERS
from benchmarks.outside import outside
from benchmarks.peer import grpc_message
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
EXCHANGES = 10_000
STREAMS = 16
_RATE = re.compile(r"finished in .*?, (?P<rate>[\d.]+) req/s")
_SUCCEEDED = re.compile(r"(?P<count>\d+) succeeded")


async def h2load(tell: Callable[[str], object]) -> list[dict[str, Any]]:
    """A row each; none if there is no h2load."""
    program = shutil.which("h2load")
    if program is None:
        return []
    rows: list[dict[str, Any]] = []
    for row in ROWS:
        tell(row.name)
        async with processor(row.front, row.serves) as running:
            await _drive(program, running.address)  # warms up
            before = await running.cpu()
            rate = await _drive(program, running.address)
            us = (await running.cpu() - before) / EXCHANGES * 1e6
        rows.append({"name": row.name, "per_second": round(rate), "us": round(us, 1)})
    return [{**row, "ratio": round(row["us"] / rows[0]["us"], 3)} for row in rows]


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
