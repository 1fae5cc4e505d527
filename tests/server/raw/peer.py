"""`Peer`: a client that sends whatever it is told to, and takes apart what comes back."""

from __future__ import annotations

import asyncio
import socket
import ssl
import struct
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field

import hpack

from tests.server.raw.frames import (
    ACK,
    DEFAULT_WINDOW,
    END_HEADERS,
    PADDED,
    PREFACE,
    Code,
    Frame,
    Kind,
    Setting,
    ping,
    settings,
)

_PATIENCE = 5.0
"""Seconds after which a frame that has not come never will."""


class Gone(Exception):  # noqa: N818 (it is how many a test ends well)
    """The server has closed the connection.

    Attributes:
        code: of the GOAWAY before, if there was one.
        last_stream: of that GOAWAY.
    """

    def __init__(self, code: int | None, last_stream: int | None) -> None:
        super().__init__(f"closed after {'no GOAWAY' if code is None else f'GOAWAY {Code(code).name}'}")
        self.code = code
        self.last_stream = last_stream


@dataclass(slots=True)
class Answer:
    """What came on one stream, until its end.

    Attributes:
        reset: the code of the RST_STREAM that ended it, if one did.
    """

    headers: dict[str, str] = field(default_factory=dict)
    body: bytes = b""
    trailers: dict[str, str] = field(default_factory=dict)
    reset: int | None = None

    @property
    def status(self) -> str | None:
        """The gRPC status, wherever it stands."""
        return self.trailers.get("grpc-status", self.headers.get("grpc-status"))


class Peer:
    """One connection to a server.

    Attributes:
        settings: what the server has announced.
        seen: every frame that came.
        window: by how much the server let the connection's window grow beyond its initial size.
        answers_pings: as it should.
    """

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.settings: dict[int, int] = {}
        self.seen: list[Frame] = []
        self.window = 0
        self.answers_pings = True
        self.decoder = hpack.Decoder()
        self._reader = reader
        self._writer = writer
        self._goaway: Frame | None = None

    def send(self, *pieces: bytes) -> None:
        """Hands bytes to the socket, however many."""
        self._writer.write(b"".join(pieces))

    async def flushed(self) -> None:
        """Waits until the server has taken most of what was sent.

        Raises:
            Gone: it has hung up.
        """
        try:
            async with asyncio.timeout(_PATIENCE):
                await self._writer.drain()
        except ConnectionError:
            raise self._gone() from None

    async def handshake(self, *announced: tuple[int, int]) -> None:
        """Preface and settings, both ways, each acknowledged."""
        self.send(PREFACE, settings(*(announced or [(Setting.INITIAL_WINDOW_SIZE, DEFAULT_WINDOW)])))
        first = await self.frame()
        assert (first.kind, first.flags) == (Kind.SETTINGS, 0), f"the server began with {first}"
        self.send(settings(flags=ACK))
        await self.until(lambda frame: frame.kind == Kind.SETTINGS and frame.flags == ACK)

    async def frame(self) -> Frame:
        """The next frame.

        Raises:
            Gone: there is none, as the server has closed the connection.
            TimeoutError: there is none.
        """
        async with asyncio.timeout(_PATIENCE):
            try:
                high, low, kind, flags, stream = struct.unpack(">BHBBL", await self._reader.readexactly(9))
                frame = Frame(kind, flags, stream, await self._reader.readexactly((high << 16) + low))
            except (asyncio.IncompleteReadError, ConnectionError):
                raise self._gone() from None
        self._note(frame)
        return frame

    async def until(self, wanted: Callable[[Frame], bool]) -> Frame:
        """The next frame that is wanted; others before it are dropped."""
        while not wanted(frame := await self.frame()):
            pass
        return frame

    async def answer(self, stream: int) -> Answer:
        """All that comes on a stream until it ends."""
        answer = Answer()
        while True:
            frame = await self.frame()
            if frame.kind in {Kind.HEADERS, Kind.CONTINUATION}:  # whatever its stream: the decoder's state needs it
                fields = self.fields(frame)
                if frame.stream == stream:
                    (answer.trailers if answer.headers else answer.headers).update(fields)
            if frame.stream != stream:
                continue
            if frame.kind == Kind.DATA:
                answer.body += frame.payload
            if frame.kind == Kind.RST_STREAM:
                answer.reset = frame.code
                return answer
            if frame.ends_stream:
                return answer

    def fields(self, frame: Frame) -> dict[str, str]:
        """The header block of a HEADERS frame, which must be whole: servers here have no need of CONTINUATION."""
        assert frame.flags & END_HEADERS
        assert not frame.flags & PADDED
        return {str(name): str(value) for name, value in self.decoder.decode(frame.payload)}

    async def alive(self, opaque: bytes = b"are-you?") -> None:
        """Waits until the server has dealt with all that was sent so far; it has if it answers a PING after it."""
        self.send(ping(opaque))
        await self.until(lambda frame: frame.kind == Kind.PING and frame.flags == ACK and frame.payload == opaque)

    async def sends_unread(self, content: bytes) -> None:
        """Reads no more, and sends the same over and over until the server will have no more of it."""
        self._writer.transport.pause_reading()  # type: ignore[attr-defined]
        with suppress(Gone):
            while not self._writer.transport.is_closing():
                self.send(content)
                await self.flushed()
                await asyncio.sleep(0)

    async def closed(self) -> Gone:
        """How the server closed the connection, which it must."""
        try:
            while True:
                await self.frame()
        except Gone as gone:
            return gone

    def half_close(self) -> None:
        """Nothing more will be sent."""
        self._writer.write_eof()

    async def hang_up(self) -> None:
        """Closes this side."""
        self._writer.close()
        with suppress(ConnectionError):  # the server was quicker
            await self._writer.wait_closed()

    def abort(self) -> None:
        """Closes this side at once, with a TCP reset where something was left unread."""
        self._writer.transport.abort()

    def _note(self, frame: Frame) -> None:
        self.seen.append(frame)
        if frame.kind == Kind.SETTINGS and not frame.flags & ACK:
            self.settings.update(frame.settings)
        elif frame.kind == Kind.PING and not frame.flags & ACK and self.answers_pings:
            self.send(ping(frame.payload, ACK))
        elif frame.kind == Kind.GOAWAY:
            self._goaway = frame
        elif frame.kind == Kind.WINDOW_UPDATE and not frame.stream:
            self.window += frame.increment

    def _gone(self) -> Gone:
        return Gone(None, None) if self._goaway is None else Gone(self._goaway.code, self._goaway.last_stream)


@asynccontextmanager
async def connected(address: str, *, tls: ssl.SSLContext | None = None, receive_buffer: int = 0) -> AsyncIterator[Peer]:
    """A connection over TCP or TLS on which nothing has been said yet, with a small receive buffer if need be."""
    host, _, port = address.rpartition(":")
    client = socket.socket()
    client.setblocking(False)
    if receive_buffer:
        client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
    await asyncio.get_running_loop().sock_connect(client, (host, int(port)))
    name = None if tls is None else host
    peer = Peer(*await asyncio.open_connection(sock=client, ssl=tls, server_hostname=name))
    try:
        yield peer
    finally:
        await peer.hang_up()


@asynccontextmanager
async def greeted(
    address: str, *announced: tuple[int, int], tls: ssl.SSLContext | None = None, receive_buffer: int = 0
) -> AsyncIterator[Peer]:
    """A connection on which both sides have exchanged their settings."""
    async with connected(address, tls=tls, receive_buffer=receive_buffer) as peer:
        await peer.handshake(*announced)
        yield peer
