"""Streams as they nearly always begin: with HEADERS that came before in just this form, and their first message."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from extproc.server.native.frames import DATA, END_HEADERS, END_STREAM, FRAME_HEADER_BYTES, HEADERS, frame
from extproc.server.native.grpc import MESSAGE_PREFIX_BYTES, OK_TRAILERS, Receiver
from extproc.server.native.packed import first_head, ok_and_reset, read_whole
from extproc.server.native.streams import ServerStream

if TYPE_CHECKING:
    from extproc.server.native.connection import Connection
    from extproc.server.native.frames import Payload
    from extproc.server.native.grpc import AtOnce, Call, Open

__all__ = ["open_stream"]

_BEFORE_MESSAGE = FRAME_HEADER_BYTES + MESSAGE_PREFIX_BYTES


def open_stream(  # noqa: PLR0917 (called for every stream: keywords take time)
    connection: Connection, stream_id: int, call: Call, opens: Open, data: Payload, at: int
) -> int:
    """Opens a stream; where the next frame is its first message, and that can be answered at once, it is over again.

    Args:
        connection: whose stream it is.
        stream_id: the stream.
        call: what it asks for, without a deadline.
        opens: the method that is called.
        data: what is being received.
        at: where the frame behind the stream's HEADERS begins.

    Returns:
        Where the next frame begins that is not dealt with.
    """
    start = at + _BEFORE_MESSAGE
    at_once = call.at_once
    if at_once is not None and start <= len(data):
        head, flags, other, compressed, length = read_whole(data, at)
        size: int = length + MESSAGE_PREFIX_BYTES
        end: int = start + length
        if (
            head == size << 8 | DATA
            and other == stream_id
            and flags <= END_STREAM
            and not compressed
            and end <= len(data)
            and size <= connection.whole_bytes
            and size <= connection.receive_window
            and (call.length is None or call.length == size)
        ):
            message = data[start:end]
            answer = at_once(message if type(message) is bytes else bytes(message))
            if not isinstance(answer, bytes):
                opens = answer or opens
            elif _answer(connection, stream_id, answer, flags):
                connection.receive_window -= size
                connection.owe(size)
                return end
            else:
                opens = partial(_Late, answer=answer)
            at_once = None
    if at_once is not None:
        opens = partial(_Unheard, at_once=at_once, opens=opens)
    stream = connection.streams[stream_id] = ServerStream(connection, stream_id, call.length)
    stream.receiver = opens(stream)
    return at


def _answer(connection: Connection, stream_id: int, answer: bytes, flags: int) -> bool:
    """Sends the answer to a frame with these flags and ends the stream, if that goes in one piece."""
    length = len(answer)
    size = length + MESSAGE_PREFIX_BYTES
    if (
        size > connection.room
        or size > connection.send_window
        or size > connection.initial_send_window
        or size > connection.frame_bytes
        or connection.prelude
    ):
        return False
    connection.send_window -= size
    connection.room -= size
    last = frame(HEADERS, END_HEADERS | END_STREAM, stream_id, OK_TRAILERS) if flags else ok_and_reset(stream_id)
    connection.out.append(first_head(stream_id, size, length) + answer + last)
    connection.passed(stream_id, heard=flags == END_STREAM)
    return True


class _Unheard(Receiver):
    """Has not been given the first message yet, which nearly always can be answered at once."""

    def __init__(self, stream: ServerStream, at_once: AtOnce, opens: Open) -> None:
        self._stream = stream
        self._at_once = at_once
        self._opens = opens

    def receive(self, data: bytes) -> None:
        """Answers the message, or has it answered."""
        answer = self._at_once(data)
        if isinstance(answer, bytes):
            self._stream.receiver = _Late(self._stream, answer)
        else:
            self._stream.receiver = (answer or self._opens)(self._stream)
        self._stream.receiver.receive(data)

    def finish(self) -> None:
        """There is no message."""
        self._stream.receiver = self._opens(self._stream)
        self._stream.receiver.finish()

    def cancel(self) -> None:
        """There will be no message."""
        self._opens(self._stream).cancel()


class _Late(Receiver):
    """Has its answer, and waits to be given the message to which it is one."""

    def __init__(self, stream: ServerStream, answer: bytes) -> None:
        self._stream = stream
        self._answer: bytes | None = answer

    def receive(self, data: bytes) -> None:
        """Takes the message, or whatever follows it."""
        if self._answer is None:
            self._stream.consumed(len(data))
            return
        self._stream.send(self._answer)
        self._answer = None
        self._stream.consumed(len(data))
        self._stream.end("OK", "")

    def finish(self) -> None:
        """Everything has been said already."""

    def cancel(self) -> None:
        """Nothing is under way."""
