"""HTTP/2 connections that send what they are told to, right or wrong, and note what they get.

RFC 9113 for the frames. Nothing is checked: that is what Envoy is here for.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Sequence

import hpack
from hyperframe.frame import (
    ContinuationFrame,
    DataFrame,
    Frame,
    GoAwayFrame,
    HeadersFrame,
    PingFrame,
    RstStreamFrame,
    SettingsFrame,
    WindowUpdateFrame,
)

from extproc.envoy.plain_http import split_address
from extproc.messages import RawHeaders
from tests.envoy.received import COMPLETE, RESET, Data, Part, Received, Stir

__all__ = ["LARGEST_WINDOW", "Http2Client", "Http2Link", "Http2Upstream", "exchange"]

_PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
_HEADER = 9
_FRAME_BYTES = 16 * 1024
LARGEST_WINDOW = 2**31 - 1
_FIRST_WINDOW = 65535
_REPLENISH = 2**24


class Http2Link(asyncio.Protocol):
    """One end of a connection. It opens its own windows wide, unless it is told not to, and minds the other end's."""

    def __init__(self, *, client: bool, stir: Stir, window: int = LARGEST_WINDOW) -> None:
        self._client = client
        self._own_window = window
        self._stir = stir
        self._transport: asyncio.Transport | None = None
        self._buffer = b"" if client else None
        """None: the other end's preface has not come yet."""
        self._early = b""
        self._outbox = b""
        self._encoder = hpack.Encoder()
        self._decoder = hpack.Decoder(max_header_list_size=LARGEST_WINDOW)
        self._block, self._block_ends = b"", False
        self._unreplenished = 0
        self._window = _FIRST_WINDOW
        self._first_window = _FIRST_WINDOW
        self._windows: dict[int, int] = {}
        self._waiting: deque[tuple[int, bytes | list[tuple[bytes, bytes]], bool]] = deque()
        """What does not fit into the windows yet: stream, headers or a piece of body, and whether that ends it."""

    # What the owner does

    def send_headers(self, stream: int, headers: RawHeaders, *, end: bool) -> None:
        self._waiting.append((stream, [(name.encode(), value) for name, value in headers], end))
        self._flush()

    def send_data(self, stream: int, data: bytes, *, end: bool) -> None:
        pieces = _pieces(data)
        self._waiting += [(stream, piece, end and index == len(pieces) - 1) for index, piece in enumerate(pieces)]
        self._flush()

    def widen(self, stream: int, by: int) -> None:
        """Lets the other end send so many bytes more on a stream."""
        self._write(WindowUpdateFrame(stream, window_increment=by))

    def leave(self) -> None:
        """Closes the connection, whatever is under way on it."""
        if self._transport is not None:
            self._transport.abort()

    # What the owner is told

    def on_headers(self, stream: int, headers: RawHeaders, *, end: bool) -> None:
        raise NotImplementedError

    def on_data(self, stream: int, data: bytes, *, end: bool) -> None:
        raise NotImplementedError

    def on_reset(self, stream: int) -> None:
        raise NotImplementedError

    def on_gone(self) -> None:
        raise NotImplementedError

    # The connection

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport
        if self._client:
            transport.write(_PREFACE)
        self._write(SettingsFrame(0, settings={SettingsFrame.INITIAL_WINDOW_SIZE: self._own_window}))
        self._write(WindowUpdateFrame(0, window_increment=LARGEST_WINDOW - _FIRST_WINDOW))

    def connection_lost(self, exc: Exception | None) -> None:
        self._stir()
        self.on_gone()

    def data_received(self, data: bytes) -> None:
        self._stir()
        self._early += data
        if self._buffer is None and len(self._early) >= len(_PREFACE):
            self._early, self._buffer = self._early[len(_PREFACE) :], b""
        if self._buffer is not None:
            self._buffer, self._early = self._buffer + self._early, b""
            self._read()

    def _read(self) -> None:
        buffer = memoryview(self._buffer or b"")
        while len(buffer) >= _HEADER:
            frame, length = Frame.parse_frame_header(buffer[:_HEADER])
            if len(buffer) < _HEADER + length:
                break
            frame.parse_body(buffer[_HEADER : _HEADER + length])
            buffer = buffer[_HEADER + length :]
            self._take(frame)
        self._buffer = bytes(buffer)

    def _take(self, frame: Frame) -> None:
        end = "END_STREAM" in frame.flags
        if isinstance(frame, HeadersFrame | ContinuationFrame):
            self._take_headers(frame)
        elif isinstance(frame, DataFrame):
            self._replenish(frame.flow_controlled_length)
            self.on_data(frame.stream_id, bytes(frame.data), end=end)
        elif isinstance(frame, RstStreamFrame):
            self._waiting = deque(item for item in self._waiting if item[0] != frame.stream_id)
            self.on_reset(frame.stream_id)
        elif isinstance(frame, SettingsFrame):
            self._settings(frame)
        elif isinstance(frame, WindowUpdateFrame):
            self._widen(frame.stream_id, frame.window_increment)
        elif isinstance(frame, PingFrame) and "ACK" not in frame.flags:
            self._write(PingFrame(0, opaque_data=frame.opaque_data, flags=["ACK"]))
        elif isinstance(frame, GoAwayFrame):
            self.on_gone()

    def _take_headers(self, frame: HeadersFrame | ContinuationFrame) -> None:
        if isinstance(frame, HeadersFrame):
            self._block, self._block_ends = b"", "END_STREAM" in frame.flags
        self._block += frame.data
        if "END_HEADERS" in frame.flags:
            headers = self._decoder.decode(self._block, raw=True)
            self.on_headers(frame.stream_id, [(bytes(n).decode(), bytes(v)) for n, v in headers], end=self._block_ends)

    def _settings(self, frame: SettingsFrame) -> None:
        if "ACK" in frame.flags:
            return
        window = frame.settings.get(SettingsFrame.INITIAL_WINDOW_SIZE, self._first_window)
        self._windows = {stream: left + window - self._first_window for stream, left in self._windows.items()}
        self._first_window = window
        self._write(SettingsFrame(0, flags=["ACK"]))
        self._flush()

    def _replenish(self, size: int) -> None:
        self._unreplenished += size
        if self._unreplenished > _REPLENISH:
            self._write(WindowUpdateFrame(0, window_increment=self._unreplenished))
            self._unreplenished = 0

    def _widen(self, stream: int, by: int) -> None:
        if stream:
            self._windows[stream] = self._windows.get(stream, self._first_window) + by
        else:
            self._window += by
        self._flush()

    def _flush(self) -> None:
        while self._waiting:
            stream, what, end = self._waiting[0]
            flags = ["END_STREAM"] if end else []
            if isinstance(what, bytes):
                left = self._windows.get(stream, self._first_window)
                if len(what) > min(left, self._window):
                    return
                self._window -= len(what)
                self._windows[stream] = left - len(what)
                self._write(DataFrame(stream, what, flags=flags))
            else:
                self._write_headers(stream, self._encoder.encode(what), flags)
            self._waiting.popleft()

    def _write_headers(self, stream: int, block: bytes, flags: list[str]) -> None:
        first, *more = _pieces(block)
        self._write(HeadersFrame(stream, first, flags=flags if more else [*flags, "END_HEADERS"]))
        for index, piece in enumerate(more):
            self._write(ContinuationFrame(stream, piece, flags=["END_HEADERS"] if index == len(more) - 1 else []))

    def _write(self, frame: Frame) -> None:
        """What is written in one go arrives in one go."""
        if not self._outbox:
            asyncio.get_running_loop().call_soon(self._send_out)
        self._outbox += frame.serialize()

    def _send_out(self) -> None:
        if self._transport is not None:
            self._transport.write(self._outbox)
        self._outbox = b""


class _Endpoint(Http2Link):
    """Either end of a connection for one exchange."""

    def __init__(self, *, client: bool, stir: Stir) -> None:
        super().__init__(client=client, stir=stir)
        self.received = Received()
        self._exchange = 1

    def send(self, parts: Sequence[Part]) -> None:
        """Sends parts of a message in one go."""
        for part in parts:
            if isinstance(part, Data):
                self.send_data(self._exchange, part.data, end=part.end)
            else:
                headers = [item for item in part.headers if item[0] != "transfer-encoding"]
                self.send_headers(self._exchange, headers, end=part.end)

    def on_headers(self, stream: int, headers: RawHeaders, *, end: bool) -> None:
        received = self.received
        self._exchange = stream
        if received.headers is None and _is_interim(headers):
            received.interim.append(headers)
        elif received.headers is None:
            received.headers = headers
        else:
            received.trailers = headers
        self._end(end)

    def on_data(self, stream: int, data: bytes, *, end: bool) -> None:
        self.received.body += data
        self._end(end)

    def on_reset(self, stream: int) -> None:
        self.on_gone()

    def on_gone(self) -> None:
        if not self.received.over:
            self.received.state = RESET

    def _end(self, end: bool) -> None:
        if end:
            self.received.state = COMPLETE


class Http2Client(_Endpoint):
    """A client with one request."""

    def __init__(self, stir: Stir) -> None:
        super().__init__(client=True, stir=stir)


class Http2Upstream(_Endpoint):
    """An upstream's end of a connection that brings one request."""

    def __init__(self, stir: Stir) -> None:
        super().__init__(client=False, stir=stir)


async def exchange(address: str, request: Sequence[Part]) -> Received:
    """Sends a request on a connection of its own, and waits for the response."""
    over = asyncio.Event()

    def stir() -> None:
        asyncio.get_running_loop().call_soon(lambda: over.set() if client.received.over else None)

    host, port = split_address(address)
    _, client = await asyncio.get_running_loop().create_connection(lambda: Http2Client(stir), host, port)
    client.send(request)
    await over.wait()
    client.leave()
    return client.received


def _pieces(data: bytes) -> list[bytes]:
    return [data[start : start + _FRAME_BYTES] for start in range(0, len(data), _FRAME_BYTES)] or [b""]


def _is_interim(headers: RawHeaders) -> bool:
    return headers[0][0] == ":status" and headers[0][1].startswith(b"1")
