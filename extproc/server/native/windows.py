"""SETTINGS and WINDOW_UPDATE: what the peer takes, and how much of it (RFC 9113, sections 6.5 and 6.9)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from extproc.server.native.errors import ConnectionFault, ErrorCode, StreamFault
from extproc.server.native.frames import (
    ACK,
    LARGEST_FRAME,
    LARGEST_WINDOW,
    SETTINGS,
    SMALLEST_FRAME,
    Setting,
    frame,
    read_setting,
)
from extproc.server.native.headers import EMPTY_TABLE

if TYPE_CHECKING:
    from extproc.server.native.connection import Connection
    from extproc.server.native.frames import Payload
    from extproc.server.native.streams import ServerStream

__all__ = ["on_settings", "on_window_update"]

_DEFAULT_TABLE = 4096
_SETTING_BYTES = 6


def on_settings(connection: Connection, stream_id: int, flags: int, payload: Payload) -> None:
    """Section 6.5."""
    if stream_id != 0:
        raise ConnectionFault(ErrorCode.PROTOCOL_ERROR, "SETTINGS on a stream")
    if (len(payload)) % _SETTING_BYTES or (flags & ACK and payload):
        raise ConnectionFault(ErrorCode.FRAME_SIZE_ERROR, "SETTINGS of a wrong size")
    if flags & ACK and not connection.greeted:
        raise ConnectionFault(ErrorCode.PROTOCOL_ERROR, "SETTINGS that acknowledge nothing")
    connection.greet()
    connection.spend("settings")
    if flags & ACK:
        return
    window = connection.initial_send_window
    for setting, value in read_setting(payload):
        _set(connection, setting, value)
    if window != connection.initial_send_window:
        _shift_windows(connection, connection.initial_send_window - window)
    connection.emit(frame(SETTINGS, ACK, 0))
    connection.advance()


def on_window_update(connection: Connection, stream_id: int, flags: int, payload: Payload) -> None:
    """Section 6.9."""
    if len(payload) != 4:  # noqa: PLR2004 (the size of its one field)
        raise ConnectionFault(ErrorCode.FRAME_SIZE_ERROR, "WINDOW_UPDATE of a wrong size")
    connection.spend("window_updates")
    increment = int.from_bytes(payload, "big") & LARGEST_WINDOW
    if stream_id == 0:
        connection.send_window += increment
        if not increment:
            raise ConnectionFault(ErrorCode.PROTOCOL_ERROR, "WINDOW_UPDATE by nothing")
        if connection.send_window > LARGEST_WINDOW:
            raise ConnectionFault(ErrorCode.FLOW_CONTROL_ERROR, "the connection's window overflows")
        connection.advance()
        return
    stream = connection.streams.get(stream_id)
    if stream is not None:
        _widen(connection, stream, increment)
    elif connection.is_idle(stream_id):
        raise ConnectionFault(ErrorCode.PROTOCOL_ERROR, "WINDOW_UPDATE on an idle stream")


def _set(connection: Connection, setting: int, value: int) -> None:
    """Section 6.5.2."""
    if setting == Setting.INITIAL_WINDOW_SIZE:
        if value > LARGEST_WINDOW:
            raise ConnectionFault(ErrorCode.FLOW_CONTROL_ERROR, "SETTINGS_INITIAL_WINDOW_SIZE too large")
        connection.initial_send_window = value
    elif setting == Setting.MAX_FRAME_SIZE:
        if not SMALLEST_FRAME <= value <= LARGEST_FRAME:
            raise ConnectionFault(ErrorCode.PROTOCOL_ERROR, "SETTINGS_MAX_FRAME_SIZE out of range")
        connection.frame_bytes = value
    elif setting == Setting.ENABLE_PUSH and value > 1:
        raise ConnectionFault(ErrorCode.PROTOCOL_ERROR, "SETTINGS_ENABLE_PUSH is 0 or 1")
    elif setting == Setting.HEADER_TABLE_SIZE and value < _DEFAULT_TABLE:
        connection.prelude = EMPTY_TABLE


def _shift_windows(connection: Connection, change: int) -> None:
    """Section 6.9.2: a new initial window is one for the open streams, too."""
    for stream in connection.streams.values():
        stream.send_window += change
        if stream.send_window > LARGEST_WINDOW:
            raise ConnectionFault(ErrorCode.FLOW_CONTROL_ERROR, "a stream's window overflows")
        if stream.outbox is not None:
            connection.waiting[stream] = None


def _widen(connection: Connection, stream: ServerStream, increment: int) -> None:
    if not increment:
        raise StreamFault(ErrorCode.PROTOCOL_ERROR, "WINDOW_UPDATE by nothing")
    stream.send_window += increment
    if stream.send_window > LARGEST_WINDOW:
        raise StreamFault(ErrorCode.FLOW_CONTROL_ERROR, "the stream's window overflows")
    if stream.outbox is not None:
        connection.waiting[stream] = None
        connection.advance()
