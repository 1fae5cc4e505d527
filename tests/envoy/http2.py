"""Just enough HTTP/2 to send what an HTTP/1.1 client cannot: a request whose body is nothing but trailers.

RFC 9113 for the frames, RFC 7541 for the headers, of which only literals without indexing are written.
"""

from __future__ import annotations

import asyncio
import struct
from collections.abc import AsyncIterator

from extproc.envoy.plain_http import PlainHeaders, split_address

_PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
_HEADERS, _RST_STREAM, _SETTINGS, _GOAWAY = 1, 3, 4, 7
_END_STREAM, _END_HEADERS = 1, 4
_STREAM = 1


async def send_trailers_only(address: str, headers: PlainHeaders, trailers: PlainHeaders) -> None:
    """Sends a request without a single DATA frame, and waits until it has been answered, in whatever way.

    The status is in Envoy's access log: reading it here would take the rest of RFC 7541.
    """
    reader, writer = await asyncio.open_connection(*split_address(address))
    try:
        writer.write(_PREFACE + _frame(_SETTINGS, 0, 0, b""))
        writer.write(_frame(_HEADERS, _END_HEADERS, _STREAM, _literals(headers)))
        writer.write(_frame(_HEADERS, _END_HEADERS | _END_STREAM, _STREAM, _literals(trailers)))
        async for kind, flags, stream in _frames(reader):
            if kind == _GOAWAY or (stream == _STREAM and (kind == _RST_STREAM or flags & _END_STREAM)):
                return
    finally:
        writer.close()
        await writer.wait_closed()


async def _frames(reader: asyncio.StreamReader) -> AsyncIterator[tuple[int, int, int]]:
    """Type, flags and stream of each frame."""
    while True:
        high, low, kind, flags, stream = struct.unpack(">BHBBL", await reader.readexactly(9))
        await reader.readexactly((high << 16) + low)
        yield kind, flags if kind != _SETTINGS else 0, stream


def _frame(kind: int, flags: int, stream: int, payload: bytes) -> bytes:
    return struct.pack(">BHBBL", len(payload) >> 16, len(payload) & 0xFFFF, kind, flags, stream) + payload


def _literals(headers: PlainHeaders) -> bytes:
    """All shorter than 127 bytes, so that a length is one byte."""
    return b"".join(b"\0%c%b%c%b" % (len(name), name, len(value), value) for name, value in headers)
