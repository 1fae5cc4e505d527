"""Header blocks as they arrive, and the streams that they open (RFC 9113, sections 6.2, 6.10 and 8.1)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from extproc.server.native.errors import ConnectionFault, ErrorCode, StreamFault
from extproc.server.native.frames import (
    END_HEADERS,
    END_STREAM,
    LARGEST_STREAM_ID,
    PADDED,
    PRIORITIZED,
    PRIORITY_BYTES,
    unpadded,
)
from extproc.server.native.streams import ServerStream
from extproc.server.native.unserved import NOBODY, Plain, Unread

if TYPE_CHECKING:
    from extproc.server.native.connection import Connection
    from extproc.server.native.frames import Payload
    from extproc.server.native.grpc import Call

__all__ = ["Block", "on_continuation", "on_headers", "priority_fault"]

_GAPS_KEPT = 64


class Block:
    """A header block that arrives in more than one frame."""

    __slots__ = ("content", "fault", "flags", "frames", "stream_id")

    def __init__(self, stream_id: int, flags: int, content: Payload, fault: StreamFault | None) -> None:
        self.stream_id = stream_id
        self.flags = flags
        self.content = bytearray(content)
        self.fault = fault
        self.frames = 0


def on_headers(connection: Connection, stream_id: int, flags: int, payload: Payload) -> None:
    """Section 6.2."""
    fault: StreamFault | None = None
    if flags & (PADDED | PRIORITIZED):
        if flags & PADDED:
            payload = unpadded(payload)
        if flags & PRIORITIZED:
            fault = priority_fault(stream_id, payload)
            if len(payload) < PRIORITY_BYTES:
                raise ConnectionFault(ErrorCode.FRAME_SIZE_ERROR, "HEADERS of a wrong size")
            payload = payload[PRIORITY_BYTES:]
    if stream_id == 0:
        raise ConnectionFault(ErrorCode.PROTOCOL_ERROR, "HEADERS on stream 0")
    if flags & END_HEADERS:
        _complete(connection, stream_id, flags, bytes(payload), fault)
    else:
        connection.begin_block(Block(stream_id, flags, payload, fault))


def on_continuation(connection: Connection, stream_id: int, flags: int, payload: Payload) -> None:
    """Section 6.10."""
    block = connection.block
    if block is None or block.stream_id != stream_id:
        raise ConnectionFault(ErrorCode.PROTOCOL_ERROR, "CONTINUATION of no header block")
    block.frames += 1
    block.content += payload
    if block.frames > connection.limits.continuations:
        raise ConnectionFault(ErrorCode.ENHANCE_YOUR_CALM, "too many CONTINUATION frames", "continuations")
    if len(block.content) > connection.limits.header_bytes:
        raise ConnectionFault(ErrorCode.ENHANCE_YOUR_CALM, "header block too large", "header_bytes")
    if flags & END_HEADERS:
        connection.end_block()
        _complete(connection, stream_id, block.flags, bytes(block.content), block.fault)


def priority_fault(stream_id: int, payload: Payload) -> StreamFault | None:
    """RFC 7540, section 5.3.1, which RFC 9113 has dropped: a stream cannot depend on itself."""
    if len(payload) >= PRIORITY_BYTES and int.from_bytes(payload[:4], "big") & LARGEST_STREAM_ID == stream_id:
        return StreamFault(ErrorCode.PROTOCOL_ERROR, "a stream depends on itself")
    return None


def _complete(connection: Connection, stream_id: int, flags: int, block: bytes, fault: StreamFault | None) -> None:
    """A header block is complete: it opens a stream, or it is trailers."""
    call = connection.blocks.read(block)
    if stream_id <= connection.last_id:
        _trailers(connection, stream_id, flags, call)
        return
    if not stream_id & 1:
        raise ConnectionFault(ErrorCode.PROTOCOL_ERROR, "a client's streams have odd numbers")
    if stream_id != connection.last_id + 2:
        _note_gap(connection, stream_id)
    connection.last_id = stream_id
    if stream_id > connection.refuse_above:
        return
    if call.malformed:
        raise StreamFault(ErrorCode.PROTOCOL_ERROR, call.malformed)
    if fault is not None:
        raise fault
    if len(connection.streams) >= connection.limits.streams:
        raise StreamFault(ErrorCode.REFUSED_STREAM, "too many streams")
    _open(connection, stream_id, flags, call)


def _open(connection: Connection, stream_id: int, flags: int, call: Call) -> None:
    stream = connection.streams[stream_id] = ServerStream(connection, stream_id, call.length)
    if call.timeout is not None:
        _set_deadline(connection, stream, call.timeout)
    if call.open is not None:
        stream.receiver = call.open(stream)
    elif call.plain is not None:
        stream.inbox = Unread()
        stream.receiver = Plain(stream, call.plain)
    else:
        stream.receiver = NOBODY
        stream.end(*call.refusal)
    if flags & END_STREAM and stream_id in connection.streams:
        stream.finish()


def _trailers(connection: Connection, stream_id: int, flags: int, call: Call) -> None:
    """A second header block (section 8.1)."""
    stream = connection.streams.get(stream_id)
    if stream is None:
        if any(stream_id in gap for gap in connection.gaps):
            raise ConnectionFault(ErrorCode.PROTOCOL_ERROR, "a stream below the last one cannot be opened")
        connection.check_closed(stream_id)
    elif stream.heard:
        raise StreamFault(ErrorCode.STREAM_CLOSED, "HEADERS after the end of the stream")
    elif not flags & END_STREAM:
        raise StreamFault(ErrorCode.PROTOCOL_ERROR, "trailers that do not end the stream")
    elif call.malformed_trailers:
        raise StreamFault(ErrorCode.PROTOCOL_ERROR, call.malformed_trailers)
    else:
        stream.finish()


def _note_gap(connection: Connection, stream_id: int) -> None:
    """Numbers that were skipped will never be streams (section 5.1.1)."""
    connection.gaps = [*connection.gaps[-_GAPS_KEPT:], range(connection.last_id + 1, stream_id)]


def _set_deadline(connection: Connection, stream: ServerStream, timeout: float) -> None:
    at = connection.host.time() + timeout
    connection.deadlines[stream] = at
    connection.host.alarm(at)
