"""What an open stream costs that waits for Envoy's next message: ``python -m tests.server.native.idle STREAMS``."""

from __future__ import annotations

import asyncio
import resource
import sys
from contextlib import AsyncExitStack
from pathlib import Path

from hpack import Encoder

from extproc import Chain, Exchange, Filter
from extproc.server import FrontOptions
from extproc.server.native import NativeFront
from extproc.server.native.frames import DATA, END_HEADERS, HEADERS, PREFACE, frame, ping, settings, window_update
from tests.server.native.aborting import AT_ONCE, FIELDS

STATM = Path("/proc/self/statm")
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


async def hold(streams: int) -> float:
    """Opens so many streams at once; returns the bytes that each costs, client and all."""
    async with NativeFront(Chain([BothWays()]), options=FrontOptions(grace=0)) as front, AsyncExitStack() as stack:
        await open_streams(front.addresses[0], 1, stack)
        before = memory()
        for _ in range(streams // STREAMS_A_CONNECTION):
            await open_streams(front.addresses[0], STREAMS_A_CONNECTION, stack)
        if front.gauges()["streams"] != streams + 1:
            raise RuntimeError(f"not all streams are open: {front.gauges()}")
        return (memory() - before) / streams


def memory() -> int:
    """Bytes that the process has; where that is not to be known, those it has had at most."""
    if STATM.exists():
        return int(STATM.read_text().split()[1]) * resource.getpagesize()
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


if __name__ == "__main__":
    sys.stdout.write(f"{asyncio.run(hold(int(sys.argv[1]))):.0f}\n")
