"""The frames that every exchange needs, each put together in one call: this is the hot path."""

from __future__ import annotations

import struct
from functools import lru_cache
from itertools import chain
from typing import TYPE_CHECKING, Any, Final

from extproc.server.native.frames import END_HEADERS, END_STREAM, FRAME_HEADER_BYTES, HEADERS, RST_STREAM, frame_header
from extproc.server.native.grpc import OK_TRAILERS, RESPONSE_HEADERS

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["data_head", "first_head", "in_frames", "ok_and_reset", "read_whole"]

_TO_ID: Final = FRAME_HEADER_BYTES - 4
"""Of the header of a frame, what stands before its stream's id."""
_pack_header = struct.Struct(">IBI").pack
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


def in_frames(stream_id: int, data: bytes, body: bytes, largest: int) -> list[bytes | memoryview]:
    """A message with its prefix in as many DATA frames as it takes; `body` is its end, and large."""
    if len(data) >= largest:
        data, body = b"", data + body
    full, rest = divmod(len(data) + len(body) - 1, largest)  # the last frame holds what the others leave
    heads: tuple[bytes, ...] = (_pack_header(largest << 8, 0, stream_id),) * full
    contents: Iterator[Any] = map(memoryview(body).__getitem__, _contents(len(data), full, largest))
    last = _pack_header(rest + 1 << 8, 0, stream_id)
    parts: list[bytes | memoryview] = [*chain.from_iterable(zip((*heads, last), contents, strict=True))]
    parts[0] = (heads or (last,))[0] + data
    return parts


@lru_cache(maxsize=128)
def _contents(before: int, full: int, largest: int) -> tuple[slice, ...]:
    """How a body, with so many bytes before it, is cut for so many full frames and the one behind them."""
    starts = [0, *range(largest - before, full * largest - before + 1, largest)]
    return tuple(map(slice, starts, [*starts[1:], None]))


def ok_and_reset(stream_id: int) -> bytes:
    """The HEADERS frame of trailers, and a RST_STREAM frame with NO_ERROR."""
    return _OK_AND_RESET(_TRAILERS, stream_id, OK_TRAILERS, _RESET, stream_id)
