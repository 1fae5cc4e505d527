"""``python -m benchmarks.idle [STREAMS]``: what an open stream costs that waits for Envoy's next message."""

from __future__ import annotations

import asyncio
import sys
from contextlib import AsyncExitStack
from typing import TYPE_CHECKING

from hpack import Encoder

from benchmarks.aborts import AT_ONCE, FIELDS, memory
from extproc import Chain, Exchange, Filter
from extproc.server.native import NativeFront
from extproc.server.native.frames import DATA, END_HEADERS, HEADERS, PREFACE, frame, ping, settings, window_update

if TYPE_CHECKING:
    from collections.abc import Callable

STREAMS_A_CONNECTION = 1000


class BothWays(Filter):
    """Has an answer to the request, and will have one to the response."""

    def on_request_headers(self, exchange: Exchange) -> None:
        """Sets one header."""
        exchange.request.headers["x-bench"] = "1"

    def on_response_headers(self, exchange: Exchange) -> None:
        """Sets another."""
        exchange.response.headers["x-bench"] = "2"


async def open_streams(address: str, streams: int, stack: AsyncExitStack) -> None:
    """Opens streams on a connection of their own, has the first message of each answered, and keeps them open."""
    host, _, port = address.rpartition(":")
    reader, writer = await asyncio.open_connection(host, int(port))
    stack.callback(writer.close)
    encoder = Encoder()
    writer.write(PREFACE + settings({}) + window_update(0, 1 << 24))
    for number in range(streams):
        writer.write(frame(HEADERS, END_HEADERS, number * 2 + 1, encoder.encode(FIELDS)))
        writer.write(frame(DATA, 0, number * 2 + 1, AT_ONCE))
    writer.write(ping(b"the last"))
    tail = b""
    while b"the last" not in tail:
        tail = tail[-8:] + await reader.read(1 << 16)


async def hold(streams: int, memory: Callable[[], int]) -> float:
    """Opens so many streams at once; returns the bytes of `memory` that each costs, client and all."""
    async with NativeFront(Chain([BothWays()]), grace=0) as front, AsyncExitStack() as stack:
        await open_streams(front.addresses[0], 1, stack)
        before = memory()
        for _ in range(streams // STREAMS_A_CONNECTION):
            await open_streams(front.addresses[0], STREAMS_A_CONNECTION, stack)
        if front.gauges()["streams"] != streams + 1:
            raise RuntimeError(f"not all streams are open: {front.gauges()}")
        return (memory() - before) / streams


def main(streams: str = "10000") -> None:
    """Says what a stream costs."""
    print(f"{asyncio.run(hold(int(streams), memory)):.0f} bytes a stream, of {streams}")


if __name__ == "__main__":
    main(*sys.argv[1:])
