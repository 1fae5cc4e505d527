"""What handles a frame, by its type (RFC 9113, section 6).

A handler takes the connection, the number of the stream, the flags and the payload.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeAlias

from extproc.server.native.blocks import on_continuation, on_headers, priority_fault
from extproc.server.native.errors import ConnectionFault, ErrorCode, StreamFault
from extproc.server.native.frames import (
    ACK,
    CONTINUATION,
    DATA,
    END_STREAM,
    GOAWAY,
    HEADERS,
    PADDED,
    PING,
    PRIORITY,
    PRIORITY_BYTES,
    PUSH_PROMISE,
    RST_STREAM,
    SETTINGS,
    WINDOW_UPDATE,
    ping,
    unpadded,
)
from extproc.server.native.windows import on_settings, on_window_update

if TYPE_CHECKING:
    from collections.abc import Callable

    from extproc.server.native.connection import Connection
    from extproc.server.native.frames import Payload
    from extproc.server.native.streams import ServerStream

__all__ = ["ALWAYS", "BEGINNING", "WITHIN_BLOCK", "Handler"]

Handler: TypeAlias = "Callable[[Connection, int, int, Payload], None]"

_PING_BYTES = 8


def _on_data(connection: Connection, stream_id: int, flags: int, payload: Payload) -> None:
    """Section 6.1."""
    size = len(payload)
    connection.receive_window -= size
    stream = connection.streams.get(stream_id)
    if connection.receive_window < 0:
        raise ConnectionFault(ErrorCode.FLOW_CONTROL_ERROR, "more DATA than the connection's window")
    if stream is None or stream.heard:
        _data_on_closed(connection, stream_id, size)
        return
    stream.receive_window -= size
    if stream.receive_window < 0:
        connection.owe(size)
        raise StreamFault(ErrorCode.FLOW_CONTROL_ERROR, "more DATA than the stream's window")
    if size and not flags and stream.due is None:
        stream.data(payload)
    else:
        _rare_data(connection, stream, flags, payload)


def _rare_data(connection: Connection, stream: ServerStream, flags: int, payload: Payload) -> None:
    """DATA that is padded, empty, the last, or of a known length."""
    if flags & PADDED:
        size = len(payload)
        payload = unpadded(payload)
        stream.credit(size - len(payload))
    if stream.due is not None:
        stream.due -= len(payload)
        if stream.due < 0:
            connection.owe(len(payload))
            raise StreamFault(ErrorCode.PROTOCOL_ERROR, "more content than content-length promised")
    if not payload and not flags & END_STREAM:
        connection.spend("empty_frames")
    if not flags & END_STREAM:
        stream.data(payload)
        return
    stream.heard = True
    stream.data(payload)
    if stream.id in connection.streams:
        stream.finish()


def _data_on_closed(connection: Connection, stream_id: int, size: int) -> None:
    """DATA that had been sent before our RST_STREAM arrived is ignored, but counts (section 5.1)."""
    connection.owe(size)
    if stream_id in connection.streams:
        raise StreamFault(ErrorCode.STREAM_CLOSED, "DATA after the end of the stream")
    connection.spend("late_frames")
    connection.check_closed(stream_id)


def _on_priority(connection: Connection, stream_id: int, flags: int, payload: Payload) -> None:
    """Section 6.3: obsolete, and still sent."""
    connection.spend("priorities")
    if stream_id == 0:
        raise ConnectionFault(ErrorCode.PROTOCOL_ERROR, "PRIORITY on stream 0")
    fault = priority_fault(stream_id, payload)
    if fault is None and len(payload) != PRIORITY_BYTES:
        fault = StreamFault(ErrorCode.FRAME_SIZE_ERROR, "PRIORITY of a wrong size")
    if fault is not None:
        raise fault


def _on_rst_stream(connection: Connection, stream_id: int, flags: int, payload: Payload) -> None:
    """Section 6.4."""
    if len(payload) != 4:  # noqa: PLR2004 (the size of its one field)
        raise ConnectionFault(ErrorCode.FRAME_SIZE_ERROR, "RST_STREAM of a wrong size")
    if connection.is_idle(stream_id):
        raise ConnectionFault(ErrorCode.PROTOCOL_ERROR, "RST_STREAM on an idle stream")
    stream = connection.streams.get(stream_id)
    if stream is None:
        if connection.resets.get(stream_id):
            connection.resets[stream_id] = False  # Envoy resets what we have reset, once
        else:
            connection.spend("late_frames")
        return
    if not stream.answered:
        connection.spend("resets")
    connection.drop(stream)


def _on_push_promise(connection: Connection, stream_id: int, flags: int, payload: Payload) -> None:
    """Section 8.4: a client cannot push."""
    raise ConnectionFault(ErrorCode.PROTOCOL_ERROR, "PUSH_PROMISE from a client")


def _on_ping(connection: Connection, stream_id: int, flags: int, payload: Payload) -> None:
    """Section 6.7."""
    if stream_id != 0:
        raise ConnectionFault(ErrorCode.PROTOCOL_ERROR, "PING on a stream")
    if len(payload) != _PING_BYTES:
        raise ConnectionFault(ErrorCode.FRAME_SIZE_ERROR, "PING of a wrong size")
    connection.spend("pings")
    if not flags & ACK:
        connection.emit(ping(payload, ack=True))
        return
    connection.answered(payload)


def _on_goaway(connection: Connection, stream_id: int, flags: int, payload: Payload) -> None:
    """Section 6.8: the peer opens no more streams; those that are open go on."""
    if stream_id != 0:
        raise ConnectionFault(ErrorCode.PROTOCOL_ERROR, "GOAWAY on a stream")
    if len(payload) < 8:  # noqa: PLR2004 (the size of its two fields)
        raise ConnectionFault(ErrorCode.FRAME_SIZE_ERROR, "GOAWAY of a wrong size")
    connection.spend("empty_frames")


def _on_unknown(connection: Connection, stream_id: int, flags: int, payload: Payload) -> None:
    """Section 5.5: extensions are ignored."""
    connection.spend("empty_frames")


def _on_first(connection: Connection, stream_id: int, flags: int, payload: Payload) -> None:
    raise ConnectionFault(ErrorCode.PROTOCOL_ERROR, "the first frame is not SETTINGS")


def _on_interrupted(connection: Connection, stream_id: int, flags: int, payload: Payload) -> None:
    raise ConnectionFault(ErrorCode.PROTOCOL_ERROR, "a header block was interrupted by another frame")


_TYPES = 256
_KNOWN: dict[int, Handler] = {
    DATA: _on_data,
    HEADERS: on_headers,
    PRIORITY: _on_priority,
    RST_STREAM: _on_rst_stream,
    SETTINGS: on_settings,
    PUSH_PROMISE: _on_push_promise,
    PING: _on_ping,
    GOAWAY: _on_goaway,
    WINDOW_UPDATE: on_window_update,
    CONTINUATION: on_continuation,
}

ALWAYS: tuple[Handler, ...] = tuple(_KNOWN.get(kind, _on_unknown) for kind in range(_TYPES))
BEGINNING: tuple[Handler, ...] = tuple(on_settings if kind == SETTINGS else _on_first for kind in range(_TYPES))
"""The first frame is SETTINGS (section 3.4)."""
WITHIN_BLOCK: tuple[Handler, ...] = tuple(
    on_continuation if kind == CONTINUATION else _on_interrupted for kind in range(_TYPES)
)
"""Nothing may come between the frames of a header block (section 6.10)."""
