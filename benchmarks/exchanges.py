"""CPU of the processor for one exchange: an HTTP request through the real Envoy, and what the chain does with it."""

from __future__ import annotations

import statistics
from typing import TYPE_CHECKING, Any

from benchmarks.chains import HEADERS
from benchmarks.load import request
from benchmarks.outside import outside
from benchmarks.rounds import Batch, measure
from benchmarks.subject import Row

if TYPE_CHECKING:
    from collections.abc import Callable

    from benchmarks.rounds import Sample

__all__ = ["BARE", "exchanges"]

BARE = "bare-grpc-aio"
_BARE_UNIX = "bare-grpc-aio-unix"
_BARE_TWICE = "bare-grpc-aio-2-messages"
_ASK = {"request_header_mode": "SEND"}

ROWS = (
    Row(BARE, "bare", "echo", asks="1-filter"),
    *outside(),
    Row("grpcio-1-filter", "grpcio", "1-filter"),
    Row("grpcio-4-filters", "grpcio", "4-filters"),
    Row("native-empty", "native", "empty", modes=_ASK),
    Row("native-1-filter", "native", "1-filter"),
    Row("native-4-filters", "native", "4-filters"),
    Row(_BARE_TWICE, "bare", "echo", asks="demo-chain"),
    Row("native-demo-chain", "native", "demo-chain"),
    Row(_BARE_UNIX, "bare", "echo", asks="1-filter", unix=True),
    Row("native-1-filter-unix", "native", "1-filter", unix=True),
    Row("native-4-filters-unix", "native", "4-filters", unix=True),
)
ROUNDS = 24
EXCHANGES = 800
CONNECTIONS = 64
"""A busy Envoy; fewer requests under way cost a processor more each, as `latency` shows."""


async def exchanges(tell: Callable[[str], object]) -> list[dict[str, Any]]:
    """A row each: microseconds, and the ratio to the bare servicer over TCP."""
    samples = await measure(ROWS, [Batch(request(HEADERS), EXCHANGES, CONNECTIONS)], ROUNDS, tell)
    base = samples[BARE, 0]
    return [_row(row, samples[row.name, 0], base) for row in ROWS]


def _row(row: Row, sample: Sample, base: Sample) -> dict[str, Any]:
    ratio = sample.ratio(base)
    return {
        "name": row.name,
        "kind": row.front,
        "us": round(statistics.median(sample.cpu) * 1e6, 1),
        "ratio": round(ratio.value, 3),
        "halves": round(ratio.halves, 3),
    }
