"""HTTP/1.1 endpoints for one exchange each: they send a part when they are told to, and note what they get."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

import h11

from extproc.messages import RawHeaders
from tests.envoy.received import COMPLETE, RESET, Head, Part, Received, Stir, Trailers

__all__ = ["Http1Client", "Http1Upstream"]

_HEADER_BYTES = 1024 * 1024
_BODILESS = (b"204", b"304")
_UPGRADING = ("connection", "upgrade")
_SWITCHING = 101


class _Endpoint(asyncio.Protocol):
    """Either end of a connection. It reads with h11 and writes what it is told to, right or wrong."""

    def __init__(self, role: type[h11.CLIENT | h11.SERVER], stir: Stir) -> None:
        self.received = Received()
        self._stir = stir
        self._h11 = h11.Connection(role, max_incomplete_event_size=_HEADER_BYTES)
        self._transport: asyncio.Transport | None = None
        self._chunked = False
        self._switched = False
        """What follows is no HTTP any more."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        self._stir()
        if self._switched:
            self.received.body += data
        elif not self.received.over:
            self._h11.receive_data(data)
            self._read()

    def eof_received(self) -> None:
        if not self.received.over and not self._switched:
            self._h11.receive_data(b"")
            self._read()

    def connection_lost(self, exc: Exception | None) -> None:
        self._stir()
        if not self.received.over:
            self.received.state = RESET

    def send(self, parts: Sequence[Part]) -> None:
        """Sends parts of a message in one go."""
        assert self._transport is not None
        self._transport.write(b"".join(map(self._bytes, parts)))

    def leave(self) -> None:
        """Closes the connection, whatever is under way on it."""
        if self._transport is not None:
            self._transport.abort()

    def _line(self, line: dict[str, bytes], upgrading: RawHeaders) -> bytes:
        """The first line of a message, and the lines that come of its pseudo-headers."""
        raise NotImplementedError

    def _bytes(self, part: Part) -> bytes:
        if isinstance(part, Head):
            return self._head(part)
        if isinstance(part, Trailers):
            return b"0\r\n" + _lines(part.headers) + b"\r\n"
        if not self._chunked:
            return part.data
        chunk = b"%x\r\n%b\r\n" % (len(part.data), part.data) if part.data else b""
        return chunk + (b"0\r\n\r\n" if part.end else b"")

    def _head(self, head: Head) -> bytes:
        line = {name: value for name, value in head.headers if name.startswith(":")}
        rest = [item for item in head.headers if not item[0].startswith(":") and item[0] != "transfer-encoding"]
        self._chunked = not head.end and all(name not in ("content-length", "upgrade") for name, _ in rest)
        if self._chunked:
            rest.append(("transfer-encoding", b"chunked"))
        return self._line(line, [item for item in rest if item[0] in _UPGRADING]) + _lines(rest) + b"\r\n"

    def _read(self) -> None:
        try:
            while isinstance(event := self._h11.next_event(), h11.Event):
                self._take(event)
        except h11.RemoteProtocolError:
            self.received.state = RESET
        if self._switched:
            self.received.body += self._h11.trailing_data[0]

    def _take(self, event: h11.Event) -> None:
        received = self.received
        if isinstance(event, h11.Data):
            received.body += event.data
        elif isinstance(event, h11.EndOfMessage):
            if self._switched:
                return
            received.trailers = _decoded(event.headers) or None
            received.state = COMPLETE
        elif isinstance(event, h11.InformationalResponse) and event.status_code == _SWITCHING:
            received.headers = [(":status", b"101"), *_decoded(event.headers)]
            self._switched = True
        elif isinstance(event, h11.InformationalResponse):
            received.interim.append([(":status", b"%d" % event.status_code), *_decoded(event.headers)])
        elif isinstance(event, h11.Response):
            received.headers = [(":status", b"%d" % event.status_code), *_decoded(event.headers)]
        elif isinstance(event, h11.Request):
            (_, host), *rest = _decoded(event.headers)
            received.headers = [(":authority", host), (":method", event.method), (":path", event.target), *rest]
            self._switched = any(name == "upgrade" for name, _ in rest)
        elif not received.over:  # the connection closed
            received.state = RESET


class Http1Client(_Endpoint):
    """A client with one request."""

    def __init__(self, stir: Stir) -> None:
        super().__init__(h11.CLIENT, stir)

    def _line(self, line: dict[str, bytes], upgrading: RawHeaders) -> bytes:
        host, method = line[":authority"], line[":method"]
        told = [(b"host", b"h"), *((name.encode(), value) for name, value in upgrading)]
        self._h11.send(h11.Request(method=method, target="/", headers=told))  # so that it knows what it will read
        return b"%b %b HTTP/1.1\r\nhost: %b\r\n" % (method, line[":path"], host)


class Http1Upstream(_Endpoint):
    """An upstream's end of a connection that brings one request."""

    def __init__(self, stir: Stir) -> None:
        super().__init__(h11.SERVER, stir)

    def _line(self, line: dict[str, bytes], upgrading: RawHeaders) -> bytes:
        self._chunked = self._chunked and line[":status"] not in _BODILESS
        return b"HTTP/1.1 %b Reason\r\n" % line[":status"]


def _lines(headers: RawHeaders) -> bytes:
    return b"".join(b"%b: %b\r\n" % (name.encode(), value) for name, value in headers)


def _decoded(headers: h11._headers.Headers) -> RawHeaders:
    return [(name.decode(), value) for name, value in headers.raw_items()]
