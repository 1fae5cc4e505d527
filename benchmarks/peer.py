"""A small gRPC client by hand: it opens thousands of streams, says one thing on each, and leaves them open."""

from __future__ import annotations

import asyncio
import struct
from typing import TYPE_CHECKING

from extproc.wire import PROCESS, SERVICE
from extproc.wire.ext_proc_pb2 import ProcessingRequest

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["Peer", "grpc_message"]

_PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
_DATA, _HEADERS, _RST_STREAM, _SETTINGS, _PING, _GOAWAY, _WINDOW_UPDATE = 0, 1, 3, 4, 6, 7, 8
_ACK = _END_STREAM = 1
_END_HEADERS = 4
_MAX_CONCURRENT_STREAMS = 3
_PATH = f"/{SERVICE}/{PROCESS}".encode()
_BLOCK = (  # RFC 7541: POST and http from the static table, then literals that no table keeps
    b"\x83\x86\x04%c%b" % (len(_PATH), _PATH)
    + b"\x01\x05bench"
    + b"\x0f\x10\x10application/grpc"
    + b"\x00\x02te\x08trailers"
)


class Peer(asyncio.Protocol):
    """One connection to a processor.

    Attributes:
        settled: the server's settings have come.
        most: how many streams the server lets be open at once.
        answered: how many messages have come back.
        ended: how many streams the server has ended, by their numbers.
    """

    def __init__(self) -> None:
        self.settled = asyncio.Event()
        self.news = asyncio.Event()
        self.most = 2**31
        self.answered = 0
        self.ended: set[int] = set()
        self.lost = False
        self._rest = b""
        self._next = 1
        self._transport: asyncio.Transport

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Says hello, with a window that never closes."""
        assert isinstance(transport, asyncio.Transport)  # noqa: S101 (narrows the type)
        self._transport = transport
        transport.write(_PREFACE + _frame(_SETTINGS, 0, 0, b"") + _frame(_WINDOW_UPDATE, 0, 0, (2**30).to_bytes(4)))

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002
        """Lets whoever waits for news know."""
        self.lost = True
        self.settled.set()
        self.news.set()

    def open(self, message: bytes) -> None:
        """Opens a stream and says something on it."""
        stream, self._next = self._next, self._next + 2
        self._transport.write(_frame(_HEADERS, _END_HEADERS, stream, _BLOCK) + _frame(_DATA, 0, stream, message))

    def close(self) -> None:
        """Breaks off, whatever is open."""
        self._transport.abort()

    def data_received(self, data: bytes) -> None:
        """Takes whole frames."""
        data = self._rest + data
        at = 0
        while len(data) - at >= 9 and len(data) - at >= 9 + (size := int.from_bytes(data[at : at + 3])):
            self._take(data[at + 3], data[at + 4], int.from_bytes(data[at + 5 : at + 9]), data[at + 9 : at + 9 + size])
            at += 9 + size
        self._rest = data[at:]
        self.news.set()

    def _take(self, kind: int, flags: int, stream: int, payload: bytes) -> None:
        if kind == _SETTINGS and not flags & _ACK:
            values = dict(struct.iter_unpack(">HI", payload))
            self.most = values.get(_MAX_CONCURRENT_STREAMS, self.most)
            self._transport.write(_frame(_SETTINGS, _ACK, 0, b""))
            self.settled.set()
        elif kind == _PING and not flags & _ACK:
            self._transport.write(_frame(_PING, _ACK, 0, payload))
        elif kind == _DATA and payload:
            self.answered += 1
        if kind == _RST_STREAM or (kind in (_DATA, _HEADERS) and flags & _END_STREAM):
            self.ended.add(stream)


def grpc_message(headers: Mapping[str, str]) -> bytes:
    """What Envoy says first about a request with `headers`, in the frame that gRPC gives it."""
    request = ProcessingRequest()
    request.request_headers.end_of_stream = True
    pseudo = {":authority": "bench.example", ":path": "/bench", ":method": "GET", ":scheme": "http"}
    for name, value in {**pseudo, **headers}.items():
        request.request_headers.headers.headers.add(key=name, raw_value=value.encode())
    request.protocol_config.SetInParent()
    data = request.SerializeToString()
    return b"\0" + len(data).to_bytes(4) + data


def _frame(kind: int, flags: int, stream: int, payload: bytes) -> bytes:
    return struct.pack(">IBI", len(payload) << 8 | kind, flags, stream) + payload
