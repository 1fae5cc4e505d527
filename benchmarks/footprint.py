"""What a processor takes before it does anything: time to start, memory, time to import."""

from __future__ import annotations

import asyncio
import statistics
import sys
from pathlib import Path
from time import perf_counter
from typing import TYPE_CHECKING, Any

import extproc.demo
from benchmarks.processors import resident

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["footprint"]

_CHAIN = Path(extproc.demo.__file__).with_name("chain.yaml")
_MIB = 1024 * 1024
_TIMES = 7


async def footprint(tell: Callable[[str], object]) -> list[dict[str, Any]]:
    """Rows: `extproc serve` of the demo's chain on each front, and ``import extproc``. Medians of several starts."""
    tell(f"{_TIMES} starts of each")
    found = {front: [await _serve(front) for _ in range(_TIMES)] for front in ("native", "grpcio")}
    rows: list[dict[str, Any]] = [
        {
            "name": f"extproc serve --front {front}",
            "ms": round(statistics.median(seconds for seconds, _ in starts) * 1e3),
            "mib": round(statistics.median(size for _, size in starts) / _MIB, 1),
        }
        for front, starts in found.items()
    ]
    for name, code in {"python -c pass": "pass", "import extproc": "import extproc"}.items():
        times = [await _python(code) for _ in range(_TIMES)]
        rows.append({"name": name, "ms": round(statistics.median(times) * 1e3)})
    return rows


async def _serve(front: str) -> tuple[float, int]:
    """Seconds until it is ready, and the memory that it has then."""
    options = ("--front", front, "--listen", "127.0.0.1:0", "--log-level", "error")
    start = perf_counter()
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "extproc", "serve", str(_CHAIN), *options, stdout=asyncio.subprocess.PIPE
    )
    assert process.stdout is not None  # noqa: S101 (it is a pipe)
    ready = await process.stdout.readline()
    seconds = perf_counter() - start
    if not ready:
        raise RuntimeError(f"extproc serve --front {front} did not start; what it says stands above")
    size = resident(process.pid)
    process.terminate()
    await process.wait()
    return seconds, size


async def _python(code: str) -> float:
    start = perf_counter()
    process = await asyncio.create_subprocess_exec(sys.executable, "-c", code)
    await process.wait()
    return perf_counter() - start
