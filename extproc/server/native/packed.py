"""The frames that every exchange needs, each put together in one call: this is the hot path."""

from __future__ import annotations

import struct
from typing import Final

from extproc.server.native.frames import END_HEADERS, END_STREAM, FRAME_HEADER_BYTES, HEADERS, RST_STREAM, frame_header
from extproc.server.native.grpc import OK_TRAILERS, RESPONSE_HEADERS

__all__ = ["data_head", "first_head", "ok_and_reset", "read_whole"]

_TO_ID: Final = FRAME_HEADER_BYTES - 4
"""Of the header of a frame, what stands before its stream's id."""
_RESPONSE: Final = frame_header(HEADERS, END_HEADERS, 0, len(RESPONSE_HEADERS))[:_TO_ID]
_TRAILERS: Final = frame_header(HEADERS, END_HEADERS | END_STREAM, 0, len(OK_TRAILERS))[:_TO_ID]
_RESET: Final = frame_header(RST_STREAM, 0, 0, 4)[:_TO_ID]
_FIRST = struct.Struct(f">{_TO_ID}sI{len(RESPONSE_HEADERS)}sIxIxI").pack
_OK_AND_RESET = struct.Struct(f">{_TO_ID}sI{len(OK_TRAILERS)}s{_TO_ID}sI4x").pack

data_head = struct.Struct(">IxIxI").pack
"""The header of a DATA frame (``length << 8``, the stream's id), and the prefix of the message in it (its length)."""

read_whole = struct.Struct(">IBIBI").unpack_from
"""The same read: ``length << 8 | type``, flags, stream id with its reserved bit, whether compressed, length."""


def first_head(stream_id: int, size: int, length: int) -> bytes:
    """The response's HEADERS frame, and what stands before a message of `length` bytes, `size` with its prefix."""
    return _FIRST(_RESPONSE, stream_id, RESPONSE_HEADERS, size << 8, stream_id, length)


def ok_and_reset(stream_id: int) -> bytes:
    """The HEADERS frame of trailers, and a RST_STREAM frame with NO_ERROR."""
    return _OK_AND_RESET(_TRAILERS, stream_id, OK_TRAILERS, _RESET, stream_id)
