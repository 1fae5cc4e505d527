"""CPU of the processor for a streamed body, by the byte: every chunk comes to the filter and goes back changed."""

from __future__ import annotations

import statistics
from typing import TYPE_CHECKING, Any

from benchmarks.chains import HEADERS
from benchmarks.load import request
from benchmarks.rounds import Batch, measure
from benchmarks.subject import Row

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["bodies"]

_STREAMED = {"request_body_mode": "STREAMED"}
_FULL_DUPLEX = {"request_body_mode": "FULL_DUPLEX_STREAMED", "request_trailer_mode": "SEND"}
CHUNK = 64 * 1024
"""Bytes of a chunk. Each body is at hand all at once, so Envoy hands it on in the largest chunks that it makes."""

ROWS = (
    Row("bare-grpc-aio-streamed", "bare", "streamed", asks="chunks", modes=_STREAMED, buffer_limit=CHUNK),
    Row("native-streamed", "native", "chunks", modes=_STREAMED, buffer_limit=CHUNK),
    Row("bare-grpc-aio-full-duplex", "bare", "full-duplex", asks="chunks", modes=_FULL_DUPLEX, buffer_limit=CHUNK),
    Row("native-full-duplex", "native", "chunks", modes=_FULL_DUPLEX, buffer_limit=CHUNK),
)
_MIB = 1024 * 1024
SIZE = 4 * _MIB
"""Bytes of each request's body."""
ROUNDS = 12
EXCHANGES = 6
CONNECTIONS = 2


async def bodies(tell: Callable[[str], object]) -> list[dict[str, Any]]:
    """A row each: microseconds for a MiB, and the ratio to the bare servicer in the same body mode."""
    samples = await measure(ROWS, [Batch(request(HEADERS, bytes(SIZE)), EXCHANGES, CONNECTIONS)], ROUNDS, tell)
    rows: list[dict[str, Any]] = []
    for row in ROWS:
        bare = next(other for other in ROWS if other.front == "bare" and other.modes == row.modes)
        sample = samples[row.name, 0]
        rows.append(
            {
                "name": row.name,
                "us_per_mib": round(statistics.median(sample.cpu) * 1e6 * _MIB / SIZE),
                "ratio": round(sample.ratio(samples[bare.name, 0]).value, 3),
            }
        )
    return rows
