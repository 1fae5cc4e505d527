"""Frames: their types and flags, and the bytes of those that a server sends (RFC 9113, sections 4 and 6)."""

from __future__ import annotations

import struct
from typing import Final, TypeAlias

from extproc.server.native.errors import ConnectionFault, ErrorCode

__all__ = [
    "ACK",
    "CONTINUATION",
    "DATA",
    "DEFAULT_WINDOW",
    "END_HEADERS",
    "END_STREAM",
    "FRAME_HEADER_BYTES",
    "GOAWAY",
    "HEADERS",
    "LARGEST_FRAME",
    "LARGEST_STREAM_ID",
    "LARGEST_WINDOW",
    "PADDED",
    "PING",
    "PREFACE",
    "PRIORITIZED",
    "PRIORITY",
    "PRIORITY_BYTES",
    "PUSH_PROMISE",
    "RST_STREAM",
    "SETTINGS",
    "SMALLEST_FRAME",
    "WINDOW_UPDATE",
    "Payload",
    "Setting",
    "frame",
    "frame_header",
    "goaway",
    "ping",
    "read_header",
    "read_setting",
    "rst_stream",
    "settings",
    "unpadded",
    "window_update",
]

Payload: TypeAlias = bytes | memoryview
"""What is in a frame: a part of what was read, which is gone once that has been handled. Who keeps it, copies it."""

PREFACE: Final = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
"""What a client says first (section 3.4)."""

DATA: Final = 0
HEADERS: Final = 1
PRIORITY: Final = 2
RST_STREAM: Final = 3
SETTINGS: Final = 4
PUSH_PROMISE: Final = 5
PING: Final = 6
GOAWAY: Final = 7
WINDOW_UPDATE: Final = 8
CONTINUATION: Final = 9

END_STREAM: Final = 0x1
ACK: Final = 0x1
END_HEADERS: Final = 0x4
PADDED: Final = 0x8
PRIORITIZED: Final = 0x20
"""The flag of a HEADERS frame that begins with a priority."""

FRAME_HEADER_BYTES: Final = 9
PRIORITY_BYTES: Final = 5
SMALLEST_FRAME: Final = 2**14
"""Every peer takes payloads of this size (section 4.2)."""
LARGEST_FRAME: Final = 2**24 - 1
LARGEST_STREAM_ID: Final = 2**31 - 1
LARGEST_WINDOW: Final = 2**31 - 1
DEFAULT_WINDOW: Final = 2**16 - 1


class Setting:
    """Parameters of a SETTINGS frame (section 6.5.2)."""

    HEADER_TABLE_SIZE: Final = 0x1
    ENABLE_PUSH: Final = 0x2
    MAX_CONCURRENT_STREAMS: Final = 0x3
    INITIAL_WINDOW_SIZE: Final = 0x4
    MAX_FRAME_SIZE: Final = 0x5
    MAX_HEADER_LIST_SIZE: Final = 0x6


_HEADER = struct.Struct(">IBI")
_SETTING = struct.Struct(">HI")
_WORD = struct.Struct(">I")
_TWO_WORDS = struct.Struct(">II")

read_header = _HEADER.unpack_from
"""``(length << 8 | type, flags, stream id with its reserved bit)`` of the frame header at an offset."""

read_setting = _SETTING.iter_unpack
"""Identifiers and values of the payload of a SETTINGS frame."""


def frame_header(kind: int, flags: int, stream_id: int, length: int) -> bytes:
    """What stands before a payload of `length` bytes."""
    return _HEADER.pack(length << 8 | kind, flags, stream_id)


def frame(kind: int, flags: int, stream_id: int, payload: Payload = b"") -> bytes:
    """A frame of any type."""
    return _HEADER.pack(len(payload) << 8 | kind, flags, stream_id) + payload


def settings(values: dict[int, int]) -> bytes:
    """A SETTINGS frame."""
    return frame(SETTINGS, 0, 0, b"".join(_SETTING.pack(*each) for each in values.items()))


def ping(payload: Payload, *, ack: bool = False) -> bytes:
    """A PING frame; its payload is 8 bytes."""
    return frame(PING, ACK if ack else 0, 0, payload)


def goaway(last_stream_id: int, code: int, debug: str = "") -> bytes:
    """A GOAWAY frame: streams above `last_stream_id` have not been, and will not be, looked at."""
    return frame(GOAWAY, 0, 0, _TWO_WORDS.pack(last_stream_id, code) + debug.encode())


def rst_stream(stream_id: int, code: int) -> bytes:
    """A RST_STREAM frame."""
    return frame(RST_STREAM, 0, stream_id, _WORD.pack(code))


def window_update(stream_id: int, increment: int) -> bytes:
    """A WINDOW_UPDATE frame; stream 0 is the connection."""
    return frame(WINDOW_UPDATE, 0, stream_id, _WORD.pack(increment))


def unpadded(payload: Payload) -> Payload:
    """What is in the payload of a padded frame (section 6.1).

    Raises:
        ConnectionFault: it has more padding than payload.
    """
    if not payload or payload[0] >= len(payload):
        raise ConnectionFault(ErrorCode.PROTOCOL_ERROR, "more padding than frame")
    return payload[1 : len(payload) - payload[0]]
