"""HTTP/2 frames as bytes, right and wrong ones alike: nothing here stops a test from breaking a rule.

RFC 9113 section 6 for the layouts. Header blocks are written by an encoder that starts afresh each time, so that a
block is a constant: it adds to the peer's dynamic table and never refers to it.
"""

from __future__ import annotations

import enum
import struct
from collections.abc import Iterable
from dataclasses import dataclass
from typing import TypeAlias

import hpack

PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
DEFAULT_WINDOW = 65_535
DEFAULT_FRAME_SIZE = 16_384
HIGHEST_WINDOW = HIGHEST_STREAM = 2**31 - 1

Fields: TypeAlias = Iterable[tuple[str | bytes, str | bytes]]


class Kind(enum.IntEnum):
    """Frame types."""

    DATA = 0
    HEADERS = 1
    PRIORITY = 2
    RST_STREAM = 3
    SETTINGS = 4
    PUSH_PROMISE = 5
    PING = 6
    GOAWAY = 7
    WINDOW_UPDATE = 8
    CONTINUATION = 9
    UNKNOWN = 0x16


class Code(enum.IntEnum):
    """Error codes, RFC 9113 section 7."""

    NO_ERROR = 0
    PROTOCOL_ERROR = 1
    INTERNAL_ERROR = 2
    FLOW_CONTROL_ERROR = 3
    SETTINGS_TIMEOUT = 4
    STREAM_CLOSED = 5
    FRAME_SIZE_ERROR = 6
    REFUSED_STREAM = 7
    CANCEL = 8
    COMPRESSION_ERROR = 9
    CONNECT_ERROR = 10
    ENHANCE_YOUR_CALM = 11
    INADEQUATE_SECURITY = 12
    HTTP_1_1_REQUIRED = 13


class Setting(enum.IntEnum):
    """Settings, RFC 9113 section 6.5.2."""

    HEADER_TABLE_SIZE = 1
    ENABLE_PUSH = 2
    MAX_CONCURRENT_STREAMS = 3
    INITIAL_WINDOW_SIZE = 4
    MAX_FRAME_SIZE = 5
    MAX_HEADER_LIST_SIZE = 6


ACK = END_STREAM = 0x1
END_HEADERS = 0x4
PADDED = 0x8
PRIORITIZED = 0x20


@dataclass(frozen=True, slots=True)
class Frame:
    """A frame that came in."""

    kind: int
    flags: int
    stream: int
    payload: bytes

    @property
    def ends_stream(self) -> bool:
        return self.kind in {Kind.DATA, Kind.HEADERS} and bool(self.flags & END_STREAM)

    @property
    def code(self) -> int:
        """The error code of a RST_STREAM or GOAWAY."""
        at = 4 if self.kind == Kind.GOAWAY else 0
        return int.from_bytes(self.payload[at : at + 4])

    @property
    def last_stream(self) -> int:
        """What a GOAWAY says was still looked at."""
        return int.from_bytes(self.payload[:4])

    @property
    def increment(self) -> int:
        """Of a WINDOW_UPDATE."""
        return int.from_bytes(self.payload)

    @property
    def settings(self) -> list[tuple[int, int]]:
        return list(struct.iter_unpack(">HL", self.payload))


def frame(kind: int, flags: int, stream: int, payload: bytes = b"", *, length: int | None = None) -> bytes:
    """One frame; `length` is what its header claims, where that is a lie."""
    claimed = len(payload) if length is None else length
    return struct.pack(">BHBBL", claimed >> 16, claimed & 0xFFFF, kind, flags, stream) + payload


def data(stream: int, content: bytes, flags: int = 0, *, pad: int | None = None) -> bytes:
    return frame(Kind.DATA, flags | (0 if pad is None else PADDED), stream, _padded(content, pad))


def headers(stream: int, block: bytes, flags: int = END_HEADERS | END_STREAM, *, pad: int | None = None) -> bytes:
    return frame(Kind.HEADERS, flags | (0 if pad is None else PADDED), stream, _padded(block, pad))


def continuation(stream: int, block: bytes, flags: int = 0) -> bytes:
    return frame(Kind.CONTINUATION, flags, stream, block)


def dependency(on: int, weight: int, *, exclusive: bool = False) -> bytes:
    """The five bytes of PRIORITY, and of HEADERS with its flag."""
    return struct.pack(">LB", on | exclusive << 31, weight)


def priority(stream: int, on: int = 0, weight: int = 255, *, exclusive: bool = False) -> bytes:
    return frame(Kind.PRIORITY, 0, stream, dependency(on, weight, exclusive=exclusive))


def rst_stream(stream: int, code: int = Code.CANCEL) -> bytes:
    return frame(Kind.RST_STREAM, 0, stream, struct.pack(">L", code))


def settings(*pairs: tuple[int, int], flags: int = 0, stream: int = 0) -> bytes:
    return frame(Kind.SETTINGS, flags, stream, b"".join(struct.pack(">HL", *pair) for pair in pairs))


def ping(opaque: bytes = b"are-you?", flags: int = 0, stream: int = 0) -> bytes:
    return frame(Kind.PING, flags, stream, opaque)


def goaway(last_stream: int = 0, code: int = Code.NO_ERROR, debug: bytes = b"", *, stream: int = 0) -> bytes:
    return frame(Kind.GOAWAY, 0, stream, struct.pack(">LL", last_stream, code) + debug)


def window_update(stream: int, increment: int) -> bytes:
    return frame(Kind.WINDOW_UPDATE, 0, stream, struct.pack(">L", increment))


def block(fields: Fields) -> bytes:
    """A header block, Huffman-coded and with incremental indexing."""
    encoder = hpack.Encoder()
    return bytes(encoder.encode([(_bytes(name), _bytes(value)) for name, value in fields]))


def literals(fields: Fields) -> bytes:
    """A header block in plain text: as long as it looks, and it leaves the dynamic table alone."""
    return b"".join(literal(_bytes(name), _bytes(value)) for name, value in fields)


def literal(name: bytes, value: bytes, first: int = 0x00) -> bytes:
    """A field with a new name; `first` is its representation (0x40 adds it to the table, 0x10 never does)."""
    return bytes([first]) + integer(len(name), 7) + name + integer(len(value), 7) + value


def integer(value: int, bits: int, first: int = 0) -> bytes:
    """An HPACK integer, RFC 7541 section 5.1, below the bits of `first`."""
    most = (1 << bits) - 1
    if value < most:
        return bytes([first | value])
    out = bytearray([first | most])
    value -= most
    while value >= 0x80:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    out.append(value)
    return bytes(out)


def _padded(payload: bytes, pad: int | None) -> bytes:
    return payload if pad is None else bytes([pad]) + payload + bytes(pad)


def _bytes(text: str | bytes) -> bytes:
    return text if isinstance(text, bytes) else text.encode()
