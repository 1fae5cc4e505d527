"""DATA frames that hold one message, taken together: most frames of a body are of this kind.

There is less to do for all of them than for DATA of any kind, one after the other. What is not just so stays where it
is, for the handlers.
"""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING

from extproc.server.native.frames import DATA, FRAME_HEADER_BYTES, SMALLEST_FRAME, read_header
from extproc.server.native.grpc import MESSAGE_PREFIX_BYTES
from extproc.server.native.messages import Messages, read_prefix

if TYPE_CHECKING:
    from extproc.server.native.connection import Connection
    from extproc.server.native.frames import Payload
    from extproc.server.native.streams import ServerStream

__all__ = ["more_data", "whole_message"]

_FULL_BYTES = FRAME_HEADER_BYTES + SMALLEST_FRAME
_read_full = struct.Struct(f">IBI{SMALLEST_FRAME}x").iter_unpack
"""As `read_header`, of frames that are all full."""


def whole_message(connection: Connection, stream: ServerStream, data: Payload, at: int, first: Payload) -> int:
    """Takes a message that begins with a frame, if all the others are here.

    Args:
        connection: whose stream it is.
        stream: the stream, for which nothing is under way.
        data: what is being received.
        at: where the frame behind the first one begins.
        first: the content of the first frame, of which the message is to be more than that.

    Returns:
        Where the last of its frames ends; 0: it has not been taken.
    """
    compressed, length = read_prefix(first)
    size: int = length + MESSAGE_PREFIX_BYTES
    crowded = connection.receive_window - size < connection.half_window
    if compressed or crowded or size > stream.receive_window or size > connection.most_together:
        return 0
    pieces, at = _following(connection, stream.id, data, at, size - len(first))
    if len(first) + sum(map(len, pieces)) < size:
        return 0
    connection.receive_window -= size
    stream.receive_window -= size
    stream.message(b"".join((first[MESSAGE_PREFIX_BYTES:], *pieces)))
    return at


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
    full = min(most // SMALLEST_FRAME, (end - at) // _FULL_BYTES)
    if full > 1 and _are_full(data[at : at + full * _FULL_BYTES], stream_id, full):
        stop = at + full * _FULL_BYTES
        pieces = [data[start : start + SMALLEST_FRAME] for start in range(at + FRAME_HEADER_BYTES, stop, _FULL_BYTES)]
        most -= full * SMALLEST_FRAME
        at = stop
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


def _are_full(data: Payload, stream_id: int, count: int) -> bool:
    """Whether it is so many DATA frames of the stream, of the size of which Envoy makes nearly all."""
    headers = list(_read_full(data))
    return headers.count((SMALLEST_FRAME << 8 | DATA, 0, stream_id)) == count
