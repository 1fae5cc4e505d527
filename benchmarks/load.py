"""A small HTTP/1.1 client and upstream on raw asyncio protocols: they must not be what limits a measurement.

Both read into a buffer that is kept: asyncio's plain protocols allocate 256 KiB for each read.
"""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from dataclasses import dataclass
from time import perf_counter
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Sequence

__all__ = ["Load", "request", "run", "upstream"]

_REPLY = b"HTTP/1.1 200 OK\r\ncontent-type: text/plain\r\ncontent-length: 5\r\n\r\nhello"
_LAST_CHUNK = b"\r\n0\r\n\r\n"
_OK = b"HTTP/1.1 200"
_READ_BYTES = 256 * 1024


class _Reader(asyncio.BufferedProtocol):
    """Reads into one buffer; whoever derives takes the bytes."""

    def __init__(self) -> None:
        self._view = memoryview(bytearray(_READ_BYTES))
        self._transport: asyncio.Transport

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)  # noqa: S101 (narrows the type)
        self._transport = transport

    def get_buffer(self, sizehint: int) -> memoryview:  # noqa: ARG002
        return self._view

    def buffer_updated(self, nbytes: int) -> None:
        self.take(self._view[:nbytes])

    def take(self, data: memoryview) -> None:
        """What has come in."""
        raise NotImplementedError


class _Replier(_Reader):
    """Answers every request with the same reply, once it has read its body: of a known length, or chunked."""

    _head = b""
    _left = 0  # bytes of a body of known length that are to come
    _tail: bytes | None = None  # how the chunked body under way ended so far

    def __init__(self, delay: float) -> None:
        super().__init__()
        self._delay = delay

    def take(self, data: memoryview) -> None:
        if self._tail is not None:
            self._chunked(self._tail + data[-len(_LAST_CHUNK) :])
        elif self._left:
            self._sized(len(data))
        else:
            self._head += data
            head, end, body = self._head.partition(b"\r\n\r\n")
            if end:
                self._head = b""
                self._begin(head, body)

    def _begin(self, head: bytes, body: bytes) -> None:
        if b"\r\ntransfer-encoding: chunked" in head:
            self._chunked(body)
        else:
            self._left = _content_length(head)
            self._sized(len(body))

    def _sized(self, size: int) -> None:
        self._left -= size
        if not self._left:
            self._reply()

    def _chunked(self, end: bytes) -> None:
        over = end.endswith(_LAST_CHUNK)
        self._tail = None if over else end[-len(_LAST_CHUNK) :]
        if over:
            self._reply()

    def _reply(self) -> None:
        if self._delay:
            asyncio.get_running_loop().call_later(self._delay, self._write)
        else:
            self._write()

    def _write(self) -> None:
        if not self._transport.is_closing():
            self._transport.write(_REPLY)


@asynccontextmanager
async def upstream(delay: float = 0.0) -> AsyncGenerator[str]:
    """An upstream on a free port that replies after `delay` seconds; yields its address."""
    server = await asyncio.get_running_loop().create_server(lambda: _Replier(delay), "127.0.0.1", 0)
    async with server:
        host, port = server.sockets[0].getsockname()
        yield f"{host}:{port}"


def request(headers: dict[str, str], body: bytes = b"") -> bytes:
    """A request as it stands on the wire."""
    lines = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
    if body:
        lines += f"content-length: {len(body)}\r\n"
    return f"{'POST' if body else 'GET'} /bench HTTP/1.1\r\nhost: bench.example\r\n{lines}\r\n".encode() + body


class _Client(_Reader):
    """One kept-alive connection that sends the same request again and again, each when the last one is answered.

    Attributes:
        done: is set when all are answered; fails when one of them is not a 200.
        seconds: how long each took.
    """

    def __init__(self, message: bytes, count: int) -> None:
        super().__init__()
        self.done: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self.seconds: list[float] = []
        self._message = message
        self._count = count
        self._reply = b""
        self._sent = 0.0

    def send(self) -> None:
        """Sends a request."""
        self._sent = perf_counter()
        self._transport.write(self._message)

    def take(self, data: memoryview) -> None:
        self._reply += data
        if not self._reply.endswith(b"\r\n\r\nhello"):
            if self._reply[: len(_OK)] not in (_OK, _OK[: len(self._reply)]):
                self._fail(f"a request of the benchmark was answered {self._reply!r}")
            return
        self.seconds.append(perf_counter() - self._sent)
        self._reply = b""
        if len(self.seconds) < self._count:
            self.send()
        else:
            self.done.set_result(None)

    def connection_lost(self, exc: Exception | None) -> None:
        self._fail(f"a connection of the benchmark broke: {exc}")

    def close(self) -> None:
        """Closes the connection."""
        self._transport.close()

    def _fail(self, sentence: str) -> None:
        if not self.done.done():
            self.done.set_exception(RuntimeError(sentence))


@dataclass(frozen=True, slots=True)
class Load:
    """What came of a run.

    Attributes:
        seconds: how long it took.
        latencies: of each exchange, in seconds.
    """

    seconds: float
    latencies: Sequence[float]


async def run(address: str, message: bytes, count: int, connections: int) -> Load:
    """Sends `count` requests over `connections` kept-alive connections.

    Raises:
        RuntimeError: one of them is not answered with a 200.
    """
    host, _, port = address.rpartition(":")
    loop = asyncio.get_running_loop()
    clients: list[_Client] = []
    for _ in range(connections):
        _, client = await loop.create_connection(lambda: _Client(message, count // connections), host, int(port))
        clients.append(client)
    start = perf_counter()
    for client in clients:
        client.send()
    await asyncio.gather(*(client.done for client in clients))
    seconds = perf_counter() - start
    for client in clients:
        client.close()
    return Load(seconds, [value for client in clients for value in client.seconds])


def _content_length(head: bytes) -> int:
    _, found, rest = head.lower().partition(b"\r\ncontent-length: ")
    return int(rest.partition(b"\r\n")[0]) if found else 0
