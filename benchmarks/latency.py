"""What a client notices: exchanges per second through one Envoy worker, and the time that the processor adds."""

from __future__ import annotations

import statistics
from typing import TYPE_CHECKING, Any

from benchmarks.chains import HEADERS
from benchmarks.load import request
from benchmarks.outside import outside
from benchmarks.rounds import Batch, Sample, measure
from benchmarks.subject import Row

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["latency"]

_NONE = "envoy-alone"
_BARE = "bare-grpc-aio"
ROWS = (
    Row(_NONE, "", asks="1-filter"),
    Row(_BARE, "bare", "echo", asks="1-filter"),
    *outside(),
    Row("grpcio-1-filter", "grpcio", "1-filter"),
    Row("native-1-filter", "native", "1-filter"),
    Row("native-4-filters", "native", "4-filters"),
)
CONNECTIONS = (1, 8, 16, 64)
ROUNDS = 10
EXCHANGES = 640


async def latency(tell: Callable[[str], object]) -> list[dict[str, Any]]:
    """A row for each processor and number of connections; times in milliseconds, beyond those of Envoy alone."""
    batches = [Batch(request(HEADERS), EXCHANGES, connections) for connections in CONNECTIONS]
    samples = await measure(ROWS, batches, ROUNDS, tell)
    return [
        _row(row, connections, samples[row.name, index], samples[_NONE, index], samples[_BARE, index])
        for index, connections in enumerate(CONNECTIONS)
        for row in ROWS
    ]


def _row(row: Row, connections: int, sample: Sample, alone: Sample, bare: Sample) -> dict[str, Any]:
    p50, p99 = _percentiles(sample)
    alone_p50, alone_p99 = _percentiles(alone)
    return {
        "name": row.name,
        "connections": connections,
        "per_second": round(statistics.median(sample.rate)),
        **(_cpu(sample, bare) if row.front else {}),
        "p50_ms": round(p50, 3),
        "p99_ms": round(p99, 3),
        "added_p50_ms": round(p50 - alone_p50, 3),
        "added_p99_ms": round(p99 - alone_p99, 3),
        "load_generator_busy": round(statistics.median(sample.busy), 2),
    }


def _cpu(sample: Sample, bare: Sample) -> dict[str, float]:
    return {"us": round(statistics.median(sample.cpu) * 1e6, 1), "ratio": round(sample.ratio(bare).value, 3)}


def _percentiles(sample: Sample) -> tuple[float, float]:
    """The median and the 99th percentile, in milliseconds."""
    cuts = statistics.quantiles(sample.latencies, n=100)
    return cuts[49] * 1e3, cuts[98] * 1e3
