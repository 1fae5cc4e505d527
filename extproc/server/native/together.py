"""DATA frames that hold one message, taken together: most frames of a body are of this kind.

There is less to do for all of them than for DATA of any kind, one after the other. What is not just so stays where it
is, for the handlers.
"""

from __future__ import annotations

import struct
from functools import lru_cache
from typing import TYPE_CHECKING, Any

from extproc.server.native.frames import DATA, FRAME_HEADER_BYTES, SMALLEST_FRAME, read_header
from extproc.server.native.grpc import MESSAGE_PREFIX_BYTES
from extproc.server.native.messages import Messages

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from extproc.server.native.connection import Connection
    from extproc.server.native.frames import Payload
    from extproc.server.native.streams import ServerStream

__all__ = ["more_data", "whole_message"]

_FULL_BYTES = FRAME_HEADER_BYTES + SMALLEST_FRAME


def whole_message(  # noqa: PLR0917 (called for every message: keywords take time)
    connection: Connection, stream: ServerStream, data: Payload, start: int, at: int, size: int
) -> int:
    """Takes a message that begins with a frame, if all the others are here.

    Args:
        connection: whose stream it is.
        stream: the stream, for which nothing is under way.
        data: what is being received.
        start: where the content of the first frame begins.
        at: where it ends.
        size: of the message with its prefix, which is more than that.

    Returns:
        Where the last of its frames ends; 0: it has not been taken.
    """
    if size > connection.receive_window or size > stream.receive_window or size > connection.most_together:
        return 0
    missing = size - at + start
    full, rest = divmod(missing - 1, SMALLEST_FRAME)  # the last frame holds what the others leave, and is not empty
    over = at + missing + (full + 1) * FRAME_HEADER_BYTES
    if over > len(data):
        return 0
    number = stream.id
    heads, contents = _full_frames(full)
    if heads(data, at) == (SMALLEST_FRAME << 8, 0, number) * full + (rest + 1 << 8, 0, number):
        pieces: Iterator[Any] = map(data[at:over].__getitem__, contents)
    else:
        found, over = _following(connection, number, data, at, missing)
        if sum(map(len, found)) < missing:
            return 0
        pieces = iter(found)
    connection.receive_window -= size
    stream.receive_window -= size
    parts = (data[start + MESSAGE_PREFIX_BYTES : at], *pieces)
    stream.message(size - MESSAGE_PREFIX_BYTES, None, parts)
    return over


def more_data(connection: Connection, stream_id: int, data: Payload, at: int) -> int:
    """Takes the frames that follow and hold more of a stream's message; returns where they end."""
    stream = connection.streams.get(stream_id)
    if stream is None or stream.over or stream.heard or stream.due is not None:
        return at
    inbox = stream.inbox
    if not isinstance(inbox, Messages):
        return at
    most = min(inbox.missing, stream.receive_window, connection.receive_window)
    pieces, at = _following(connection, stream_id, data, at, most)
    if pieces:
        size = sum(map(len, pieces))
        connection.receive_window -= size
        stream.receive_window -= size
        inbox.more(stream, pieces, size)
    return at


def _following(connection: Connection, stream_id: int, data: Payload, at: int, most: int) -> tuple[list[Payload], int]:
    """The contents of the next frames of a stream, as far as they are here, up to so many bytes; where they end."""
    largest, end = connection.limits.frame_bytes, len(data)
    pieces: list[Payload] = []
    while most and end - at >= FRAME_HEADER_BYTES:
        head, flags, other = read_header(data, at)
        length, start = head >> 8, at + FRAME_HEADER_BYTES
        if other != stream_id or flags or head & 0xFF != DATA or not 0 < length <= most:
            break
        if length > largest or start + length > end:
            break
        at = start + length
        pieces.append(data[start:at])
        most -= length
    return pieces, at


@lru_cache(maxsize=128)
def _full_frames(count: int) -> tuple[Callable[[Payload, int], tuple[Any, ...]], tuple[slice, ...]]:
    """What reads the headers of frames, as `read_header` does, of which so many are full and the last need not be.

    Nearly all that Envoy sends are. And where their contents are.
    """
    starts = range(FRAME_HEADER_BYTES, count * _FULL_BYTES + FRAME_HEADER_BYTES, _FULL_BYTES)
    contents = (
        *(slice(start, start + SMALLEST_FRAME) for start in starts),
        slice(count * _FULL_BYTES + FRAME_HEADER_BYTES, None),
    )
    return struct.Struct(">" + f"IBI{SMALLEST_FRAME}x" * count + "IBI").unpack_from, contents
