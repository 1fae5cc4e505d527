"""A small HTTP/1.1 client and server that keep order, duplicates, bytes, chunks and trailers as they were.

Clients and servers for production normalise headers and join chunks. These do not, and so what went into Envoy and what
came out of it can be compared byte by byte.
"""

from __future__ import annotations

import asyncio
import inspect
import re
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Self, TypeAlias

from extproc.envoy.extra import missing
from extproc.errors import EnvoyError

try:
    import h11
except ModuleNotFoundError as error:
    raise missing("h11") from error

if TYPE_CHECKING:
    from collections.abc import Iterable
    from types import TracebackType

__all__ = ["Connection", "Handler", "PlainHeaders", "PlainReply", "PlainRequest", "Upstream", "send", "split_address"]

PlainHeaders: TypeAlias = list[tuple[bytes, bytes]]
"""Names and values in the order and the case in which they stand on the wire."""

_ADDRESS = re.compile(r"(?:\[(?P<v6>[0-9A-Fa-f:.]+)\]|(?P<host>[^\s:\[\]/]+)):(?P<port>\d{1,5})")
_HIGHEST_PORT = 65535
_READ_BYTES = 64 * 1024
_HEADER_BYTES = 1024 * 1024
"""What h11 takes for headers; far above Envoy's own limit, which is the one to be seen at work."""
_BODILESS = (204, 304)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Fields:
    headers: PlainHeaders = field(default_factory=list[tuple[bytes, bytes]])
    """As on the wire. What is sent without framing headers is framed by its body: one item gets a content-length, more
    of them, or trailers, are chunked."""
    body: list[bytes] = field(default_factory=list[bytes])
    """One item a chunk, where the message was chunked; else all of it in one item. Empty when there was none."""
    trailers: PlainHeaders = field(default_factory=list[tuple[bytes, bytes]])

    @property
    def content(self) -> bytes:
        """The whole body."""
        return b"".join(self.body)

    def values(self, name: str) -> list[bytes]:
        """Every value of a header, in any case."""
        key = name.lower().encode()
        return [value for item, value in self.headers if item.lower() == key]

    def value(self, name: str) -> bytes | None:
        """The one value of a header; None when there is none.

        Raises:
            ValueError: it occurs more than once.
        """
        found = self.values(name)
        if len(found) > 1:
            raise ValueError(f"{name} occurs {len(found)} times: {found}")
        return found[0] if found else None


@dataclass(frozen=True, slots=True, kw_only=True)
class PlainRequest(_Fields):
    """A request as it stands on the wire. Sending adds a ``host`` where there is none."""

    method: str = "GET"
    target: str = "/"


@dataclass(frozen=True, slots=True, kw_only=True)
class PlainReply(_Fields):
    """A response as it stands on the wire."""

    status: int = 200
    complete: bool = True
    """False when the connection broke off before the end; what came until then is here."""


Handler: TypeAlias = Callable[[PlainRequest], PlainReply | Awaitable[PlainReply]]
"""Makes the reply to a request; an ``async def`` may take its time."""


async def send(address: str, request: PlainRequest, *, timeout: float = 30.0) -> PlainReply:  # noqa: ASYNC109
    """Sends one request on a connection of its own.

    Args:
        address: ``HOST:PORT`` or ``[IPV6]:PORT``.
        request: what to send.
        timeout: seconds until the whole reply has to be there.

    Raises:
        ConnectionError: nobody listens there, or no reply came back.
        TimeoutError: the reply took too long.
        EnvoyError: the address is malformed.
    """
    async with Connection(address) as connection:
        return await connection.send(request, timeout=timeout)


class Connection:
    """A connection on which requests follow each other; the first one opens it."""

    def __init__(self, address: str) -> None:
        """Names the other end, as ``HOST:PORT`` or ``[IPV6]:PORT``.

        Raises:
            EnvoyError: the address is malformed.
        """
        self._address = address
        self._host, self._port = split_address(address)
        self._link: _Link | None = None

    async def __aenter__(self) -> Self:
        """Nothing yet: the first request connects."""
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Closes the connection."""
        await self._drop()

    async def send(self, request: PlainRequest, *, timeout: float = 30.0) -> PlainReply:  # noqa: ASYNC109
        """Sends a request and reads the whole reply; connects anew when the other end has closed.

        Raises:
            ConnectionError: nobody listens there, or no reply came back.
            TimeoutError: the reply took too long.
            ValueError: the request cannot be written as HTTP/1.1, such as one with a body longer than its length.
        """
        try:
            async with asyncio.timeout(timeout):
                return await self._exchange(request)
        except h11.LocalProtocolError as error:
            await self._drop()
            raise ValueError(f"the request cannot be sent: {error}") from error
        except h11.RemoteProtocolError as error:
            await self._drop()
            raise ConnectionError(f"{self._address}: {error}") from error
        except BaseException:
            await self._drop()
            raise

    async def _exchange(self, request: PlainRequest) -> PlainReply:
        if self._link is not None and self._link.reader.at_eof():
            await self._drop()
        if self._link is None:
            self._link = _Link(h11.CLIENT, *await asyncio.open_connection(self._host, self._port))
        self._link.send(_request_event(request, self._address), request)
        reply = await self._link.read_reply()
        if not self._link.next_cycle():
            await self._drop()
        return reply

    async def _drop(self) -> None:
        link, self._link = self._link, None
        if link is not None:
            await link.close()


class Upstream:
    """An HTTP/1.1 server for as long as it is entered; it keeps every request that it gets.

    Attributes:
        answer: the reply, or what makes it; may be replaced at any time.
        requests: what came, in the order in which the requests ended.
        errors: what was no HTTP, such as the rest of a smuggled request; it is answered with 400.
    """

    def __init__(self, answer: PlainReply | Handler | None = None, *, listen: str = "127.0.0.1:0") -> None:
        """Sets the server up; nothing listens yet.

        Args:
            answer: the reply, or what makes it; by default an empty 200.
            listen: ``HOST:PORT``; port 0 is any free one.

        Raises:
            EnvoyError: `listen` is malformed.
        """
        self.answer: PlainReply | Handler = answer or PlainReply()
        self.requests: list[PlainRequest] = []
        self.errors: list[str] = []
        self._host, self._port = split_address(listen)
        self._server: asyncio.Server | None = None
        self._tasks: set[asyncio.Task[None]] = set()

    @property
    def address(self) -> str:
        """``HOST:PORT``, with the port resolved."""
        host = f"[{self._host}]" if ":" in self._host else self._host
        return f"{host}:{self._port}"

    async def __aenter__(self) -> Self:
        """Listens.

        Raises:
            OSError: the address is in use, or not of this machine.
        """
        self._server = await asyncio.start_server(self._connected, self._host, self._port)
        self._port = self._server.sockets[0].getsockname()[1]
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Stops listening and drops the connections."""
        if self._server is not None:
            self._server.close()
            for task in self._tasks:
                task.cancel()
            await asyncio.gather(*self._tasks)
            await self._server.wait_closed()

    async def _connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """One connection, in the task that asyncio made for it; only `__aexit__` cancels it."""
        task = asyncio.current_task()
        assert task is not None  # noqa: S101 (a coroutine always runs in one)
        self._tasks.add(task)
        link = _Link(h11.SERVER, reader, writer)
        try:
            with suppress(asyncio.CancelledError, ConnectionError):
                await self._serve(link)
        finally:
            self._tasks.discard(task)
            await link.close()

    async def _serve(self, link: _Link) -> None:
        while True:
            try:
                request = await link.read_request()
            except h11.RemoteProtocolError as error:
                self.errors.append(str(error))
                link.writer.write(b"HTTP/1.1 400 Bad Request\r\ncontent-length: 0\r\nconnection: close\r\n\r\n")
                return
            if request is None:
                return
            self.requests.append(request)
            reply = await self._reply(request)
            bodiless = request.method == "HEAD" or reply.status in _BODILESS
            link.send(_reply_event(reply), PlainReply() if bodiless else reply)
            await link.writer.drain()
            if not link.next_cycle():
                return

    async def _reply(self, request: PlainRequest) -> PlainReply:
        if isinstance(self.answer, PlainReply):
            return self.answer
        reply = self.answer(request)
        return await reply if inspect.isawaitable(reply) else reply


class _Link:
    """A socket and what h11 knows about it."""

    def __init__(
        self, role: type[h11.CLIENT | h11.SERVER], reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        self.reader = reader
        self.writer = writer
        self._h11 = h11.Connection(role, max_incomplete_event_size=_HEADER_BYTES)

    def send(self, head: h11.Request | h11.Response, message: _Fields) -> None:
        """Writes a message whole. Not drained: the other end may well answer before it has read everything."""
        events: Iterable[h11.Event] = (head, *map(_data, message.body), h11.EndOfMessage(headers=message.trailers))
        for event in events:
            self.writer.write(self._h11.send(event) or b"")

    async def read_request(self) -> PlainRequest | None:
        """The next request; None when the client has closed."""
        head = await self._event()
        if not isinstance(head, h11.Request):
            return None
        body, trailers, complete = await self._rest()
        if not complete:
            return None
        return PlainRequest(
            method=head.method.decode(),
            target=head.target.decode(),
            headers=head.headers.raw_items(),
            body=body,
            trailers=trailers,
        )

    async def read_reply(self) -> PlainReply:
        head = await self._event()
        while isinstance(head, h11.InformationalResponse):
            head = await self._event()
        if not isinstance(head, h11.Response):
            raise ConnectionResetError("closed without a reply")
        body, trailers, complete = await self._rest()
        return PlainReply(
            status=head.status_code, headers=head.headers.raw_items(), body=body, trailers=trailers, complete=complete
        )

    def next_cycle(self) -> bool:
        """Whether another exchange can follow on this connection."""
        if self._h11.our_state is not h11.DONE or self._h11.their_state is not h11.DONE:
            return False
        self._h11.start_next_cycle()
        return True

    async def close(self) -> None:
        self.writer.close()
        with suppress(OSError):
            await self.writer.wait_closed()

    async def _rest(self) -> tuple[list[bytes], PlainHeaders, bool]:
        """Body, trailers, and whether it came whole."""
        chunks: list[bytes] = []
        chunk = b""
        try:
            while True:
                event = await self._event()
                if not isinstance(event, h11.Data):
                    break
                chunk += event.data
                if event.chunk_end:
                    chunks.append(chunk)
                    chunk = b""
        except (h11.RemoteProtocolError, ConnectionError):
            event = None
        if chunk:
            chunks.append(chunk)
        if isinstance(event, h11.EndOfMessage):
            return chunks, event.headers.raw_items(), True
        return chunks, [], False

    async def _event(self) -> h11.Event:
        while True:
            event = self._h11.next_event()
            if event is h11.NEED_DATA:
                self._h11.receive_data(await self.reader.read(_READ_BYTES))
            elif isinstance(event, h11.Event):
                return event
            else:  # PAUSED: a pipelined request follows, and is not answered yet
                return h11.ConnectionClosed()


def split_address(address: str) -> tuple[str, int]:
    """Host and port of ``HOST:PORT`` or ``[IPV6]:PORT``.

    Raises:
        EnvoyError: it is neither.
    """
    match = _ADDRESS.fullmatch(address)
    if match is None or int(match["port"]) > _HIGHEST_PORT:
        raise EnvoyError(f"{address!r} is no address: use HOST:PORT or [IPV6]:PORT")
    return match["v6"] or match["host"], int(match["port"])


def _request_event(request: PlainRequest, address: str) -> h11.Request:
    host = [] if request.values("host") else [(b"host", address.encode())]
    headers = [*host, *request.headers, *(_framing(request) if request.body or request.trailers else [])]
    return h11.Request(method=request.method, target=request.target, headers=headers)


def _reply_event(reply: PlainReply) -> h11.Response:
    framing = [] if reply.status in _BODILESS else _framing(reply)
    return h11.Response(status_code=reply.status, headers=[*reply.headers, *framing])


def _framing(message: _Fields) -> PlainHeaders:
    if message.values("content-length") or message.values("transfer-encoding"):
        return []
    if len(message.body) > 1 or message.trailers:
        return [(b"transfer-encoding", b"chunked")]
    return [(b"content-length", b"%d" % len(message.content))]


def _data(chunk: bytes) -> h11.Data:
    return h11.Data(data=chunk)
