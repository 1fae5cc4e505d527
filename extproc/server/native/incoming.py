"""Frames as they arrive, one after the other (RFC 9113, section 4).

Nearly all of Envoy's exchanges consist of the same three frames. These are handled right where they are read, which
takes half as long; a frame that is in any way different goes to the handler of its type, which knows all the rules.
"""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING

from extproc.server.native.errors import ConnectionFault, ErrorCode, StreamFault
from extproc.server.native.frames import DATA, END_HEADERS, FRAME_HEADER_BYTES, HEADERS, LARGEST_STREAM_ID, RST_STREAM
from extproc.server.native.grpc import MESSAGE_PREFIX_BYTES
from extproc.server.native.messages import read_prefix
from extproc.server.native.opening import open_stream
from extproc.server.native.together import more_data, whole_message

if TYPE_CHECKING:
    from extproc.server.native.connection import Connection
    from extproc.server.native.frames import Payload

__all__ = ["take_frames"]

_read = struct.Struct(">BHHI").unpack_from
"""The first byte of the length, the others, ``type << 8 | flags``, the stream id with its reserved bit."""
_OPENING = HEADERS << 8 | END_HEADERS
_CONTENT = DATA << 8
_RESET = RST_STREAM << 8
_CODE_BYTES = 4
_LARGE = 4096
"""A DATA frame of this size is probably not the only one of its message."""


def take_frames(connection: Connection, data: Payload) -> bytes:  # noqa: C901, PLR0912 (in one function: see above)
    """Handles all complete frames, and returns what is left."""
    at, end = 0, len(data)
    streams, resets, limits = connection.streams, connection.resets, connection.limits
    largest = limits.frame_bytes
    by_the_book = connection.by_the_book
    known = connection.blocks.known
    while (start := at + FRAME_HEADER_BYTES) <= end:
        more, length, what, stream_id = _read(data, at)
        if more:
            length |= more << 16
        if length > largest:
            raise ConnectionFault(ErrorCode.FRAME_SIZE_ERROR, "frame too large")
        at = start + length
        if at > end:
            return bytes(data[start - FRAME_HEADER_BYTES :])
        if by_the_book:
            pass
        elif what == _OPENING:  # the next stream, with a block that has come before
            block = data[start:at]
            call = known(block if type(block) is bytes else bytes(block))
            if (
                call is not None
                and (opens := call.open) is not None
                and call.timeout is None
                and stream_id - 2 == connection.last_id  # which is odd where a block is known
                and stream_id <= connection.refuse_above
                and len(streams) < limits.streams
            ):
                connection.last_id = stream_id
                at = open_stream(connection, stream_id, call, opens, data, at)
                continue
        elif what == _CONTENT:  # one whole message, or the first frame of one
            stream = streams.get(stream_id)
            if (
                stream is not None
                and length >= MESSAGE_PREFIX_BYTES
                and not (stream.over or stream.heard or stream.prepaid)
                and stream.inbox is None
                and stream.due is None  # nothing is under way: a frame begins a message
            ):
                compressed, size = read_prefix(data, start)
                size += MESSAGE_PREFIX_BYTES
                if size == length <= connection.receive_window and length <= stream.receive_window and not compressed:
                    stream.receive_window -= length
                    connection.receive_window -= length
                    stream.message(length - MESSAGE_PREFIX_BYTES, bytes(data[start + MESSAGE_PREFIX_BYTES : at]))
                    continue
                if size > length >= _LARGE and not compressed:
                    over = whole_message(connection, stream, data, start, at, size)
                    if over:
                        at = over
                        continue
        elif what == _RESET and length == _CODE_BYTES and resets.get(stream_id):
            resets[stream_id] = False  # Envoy resets what we have reset, once
            continue
        stream_id &= LARGEST_STREAM_ID
        try:
            connection.handlers[what >> 8](connection, stream_id, what & 0xFF, data[start:at])
        except StreamFault as fault:
            connection.fault(stream_id, fault)
        by_the_book = connection.by_the_book
        if length >= _LARGE and what >> 8 == DATA:
            at = more_data(connection, stream_id, data, at)
    return bytes(data[at:])
