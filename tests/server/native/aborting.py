"""Clients that break off at random, in the ways of HTTP/2 itself; `benchmarks.hangups` has those that Envoy has.

A client opens streams on a connection of its own, and does to each what chance says: lets it end, resets it before or
after the answer, sends half a message, or goes away with everything open. Half of the hooks suspend. Nothing may
stay behind: no stream, no task, no byte.
"""

from __future__ import annotations

import asyncio
import gc
import random
from dataclasses import dataclass
from typing import TYPE_CHECKING

from hpack import Encoder

from extproc import Chain, Exchange, Filter
from extproc.server import FrontOptions
from extproc.server.native import Http2Limits, NativeFront, Rate
from extproc.server.native.errors import ErrorCode
from extproc.server.native.frames import (
    DATA,
    END_HEADERS,
    END_STREAM,
    HEADERS,
    LARGEST_WINDOW,
    PREFACE,
    Setting,
    frame,
    ping,
    rst_stream,
    settings,
    window_update,
)
from extproc.server.native.streams import ServerStream
from extproc.server.session import Session
from extproc.wire import PROCESS, SERVICE
from extproc.wire.ext_proc_pb2 import ProcessingRequest

if TYPE_CHECKING:
    from collections.abc import Callable

STREAMS_A_CONNECTION = 100
CLIENTS = 8


class Sometimes(Filter):
    """Suspends where the path says so."""

    async def on_request_headers(self, exchange: Exchange) -> None:
        """Sets a header, now or later."""
        if exchange.request.path == "/later":
            await asyncio.sleep(0.002)
        exchange.request.headers["x-bench"] = "1"


@dataclass(frozen=True, slots=True)
class Left:
    """What is left behind.

    Attributes:
        gauges: what the front says that it holds.
        objects: streams and sessions that are still alive, and were not there before.
        tasks: tasks that were not there before.
    """

    gauges: dict[str, int]
    objects: int
    tasks: int


def message(path: str) -> bytes:
    """Request headers, as the one message in a DATA frame."""
    request = ProcessingRequest()
    for name, value in {":method": "GET", ":path": path, ":authority": "bench.example", ":scheme": "http"}.items():
        request.request_headers.headers.headers.add(key=name, raw_value=value.encode())
    data = request.SerializeToString()
    return b"\x00" + len(data).to_bytes(4, "big") + data


FIELDS = [
    (":method", "POST"),
    (":scheme", "http"),
    (":path", f"/{SERVICE}/{PROCESS}"),
    ("te", "trailers"),
    ("content-type", "application/grpc"),
]
AT_ONCE, LATER = message("/now"), message("/later")


def end(stream_id: int, content: bytes) -> list[bytes]:
    """Behaves."""
    return [frame(DATA, 0, stream_id, content), frame(DATA, END_STREAM, stream_id)]


def reset(stream_id: int, content: bytes) -> list[bytes]:
    """Resets while the hook may still be running, or after the answer."""
    return [frame(DATA, 0, stream_id, content), rst_stream(stream_id, ErrorCode.CANCEL)]


def reset_early(stream_id: int, _: bytes) -> list[bytes]:
    """Resets before there is a message."""
    return [rst_stream(stream_id, ErrorCode.CANCEL)]


def cut_off(stream_id: int, content: bytes) -> list[bytes]:
    """Ends within a message."""
    return [frame(DATA, END_STREAM, stream_id, content[: len(content) // 2])]


def stay(stream_id: int, content: bytes) -> list[bytes]:
    """Says half a message, and no more."""
    return [frame(DATA, 0, stream_id, content[:-3])]


WAYS: tuple[Callable[[int, bytes], list[bytes]], ...] = (end, end, end, reset, reset_early, cut_off, stay)


async def one_connection(address: str, rng: random.Random) -> None:
    """Opens streams, and leaves, politely or not."""
    host, _, port = address.rpartition(":")
    reader, writer = await asyncio.open_connection(host, int(port))
    encoder = Encoder()
    writer.write(PREFACE + settings({Setting.INITIAL_WINDOW_SIZE: rng.choice((0, 10, LARGEST_WINDOW))}))
    writer.write(window_update(0, 1 << 30))
    for number in range(STREAMS_A_CONNECTION):
        stream_id = number * 2 + 1
        writer.write(frame(HEADERS, END_HEADERS, stream_id, encoder.encode(FIELDS)))
        for part in rng.choice(WAYS)(stream_id, rng.choice((AT_ONCE, LATER))):
            writer.write(part)
            if rng.random() < 0.05:
                await writer.drain()
                await asyncio.sleep(0)
    if rng.random() < 0.5:
        writer.write(ping(b"the last"))
        await reader.readuntil(b"the last")
    if rng.random() < 0.5:
        writer.transport.abort()
    else:
        writer.close()


async def abort_at_random(exchanges: int, seed: int = 1) -> Left:
    """Runs so many exchanges, and looks at what is left."""
    rng = random.Random(seed)
    before, others = len(asyncio.all_tasks()), alive()
    # Every other stream comes to nothing: what is tested is what becomes of it, not that the client is thrown out.
    limits = Http2Limits(resets=Rate(STREAMS_A_CONNECTION, 0))
    async with NativeFront(Chain([Sometimes()]), options=FrontOptions(http2=limits)) as front:
        connections = -(-exchanges // STREAMS_A_CONNECTION)
        for first in range(0, connections, CLIENTS):
            async with asyncio.TaskGroup() as clients:
                for _ in range(first, min(first + CLIENTS, connections)):
                    clients.create_task(one_connection(front.addresses[0], rng))
        while front.gauges()["connections"]:
            await asyncio.sleep(0.01)
        while len(asyncio.all_tasks()) > before:
            await asyncio.sleep(0.01)
        ours = [each for each in alive() if not any(each is other for other in others)]
        return Left(front.gauges(), len(ours), len(asyncio.all_tasks()) - before)


def alive() -> list[ServerStream | Session]:
    """The streams and sessions of this process, be they of other tests."""
    gc.collect()
    return [each for each in gc.get_objects() if isinstance(each, (ServerStream, Session))]
