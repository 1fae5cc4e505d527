"""`ServerStream`: one stream of a connection, and the way back to the peer that a session is given."""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING

from extproc.server.native.errors import ErrorCode, StreamFault
from extproc.server.native.flow import Outbox
from extproc.server.native.frames import (
    DATA,
    END_STREAM,
    frame_header,
    window_update,
)
from extproc.server.native.grpc import MESSAGE_PREFIX_BYTES, OK_TRAILERS, RESPONSE_HEADERS, trailers
from extproc.server.native.messages import Messages
from extproc.server.native.packed import data_head, first_head, in_frames, ok_and_reset

if TYPE_CHECKING:
    from collections.abc import Awaitable, Sequence

    from extproc.messages import AnyBytes
    from extproc.server.native.connection import Connection
    from extproc.server.native.frames import Payload
    from extproc.server.native.grpc import PlainReply, Receiver
    from extproc.server.native.messages import Inbox

__all__ = ["ServerStream"]

_PREFIX = struct.Struct(">BI")


class ServerStream:
    """One stream, from its HEADERS to the end of both directions.

    Attributes:
        id: the stream's number.
        receiver: who is told what the peer says.
        over: we have said everything, or the stream is gone.
        heard: the peer has said everything.
        answered: the response headers have gone out.
        send_window: bytes of DATA that the peer takes.
        receive_window: bytes of DATA that the peer may send.
        owed: consumed bytes that the peer may send again, but has not been told of.
        prepaid: bytes that the peer was told to send again before they were consumed.
        unread: bytes of whole messages that the receiver still holds.
        due: bytes that the content-length still promises; None: it promised nothing.
        inbox: what takes pieces of messages; None: nothing has arrived in pieces.
        outbox: what waits to be sent; None: nothing does.
    """

    __slots__ = (
        "_connection",
        "answered",
        "due",
        "heard",
        "id",
        "inbox",
        "outbox",
        "over",
        "owed",
        "prepaid",
        "receive_window",
        "receiver",
        "send_window",
        "unread",
    )

    receiver: Receiver
    inbox: Inbox | None
    outbox: Outbox | None

    def __init__(self, connection: Connection, stream_id: int, due: int | None) -> None:
        """A stream whose HEADERS have arrived."""
        self._connection = connection
        self.id = stream_id
        self.due = due
        self.over = self.heard = self.answered = False
        self.send_window = connection.initial_send_window
        self.receive_window = connection.limits.stream_window
        self.owed = self.prepaid = self.unread = 0
        self.inbox = self.outbox = None

    # What a session does

    def send(self, data: bytes, body: bytes = b"") -> None:
        """Sends one message, of which `body` is the end; that is not copied, so it may be large."""
        if self.over:
            return
        connection = self._connection
        length = len(data) + len(body)
        size = length + MESSAGE_PREFIX_BYTES
        fits = size <= connection.room and size <= connection.send_window and size <= self.send_window
        if not fits or self.outbox is not None:
            self._queue(_PREFIX.pack(0, length) + data, body)
            return
        self.send_window -= size
        connection.send_window -= size
        connection.room -= size
        if not connection.out and not connection.receiving:
            connection.host.wake()
        if size > connection.frame_bytes or connection.prelude:
            if not self.answered:
                connection.out.append(self._response_headers())
            connection.out += in_frames(self.id, _PREFIX.pack(0, length) + data, body, connection.frame_bytes)
        elif self.answered:
            connection.out.append(data_head(size << 8, self.id, length) + data + body)
        else:
            self.answered = True
            connection.out.append(first_head(self.id, size, length) + data + body)

    def end(self, code: str, reason: str) -> None:
        """Ends the stream with a gRPC status, once everything has been sent.

        Args:
            code: the name of the status, such as ``INTERNAL``.
            reason: its message.
        """
        if self.over:
            return
        self.over = True
        connection = self._connection
        if code == "OK" and self.answered and not self.heard and self.outbox is None and not connection.prelude:
            # As most do: before the peer has said that it has no more to say.
            if not connection.out and not connection.receiving:
                connection.host.wake()
            connection.out.append(ok_and_reset(self.id))
            connection.left(self)
            return
        block = OK_TRAILERS if code == "OK" else trailers(code, reason)
        if not self.answered:
            self.answered = True
            block = RESPONSE_HEADERS + block
        self._end_with(block)

    def consumed(self, size: int) -> None:
        """So many bytes of messages are no longer held by the receiver."""
        self.unread -= size
        if self.prepaid:
            early = min(self.prepaid, size)
            self.prepaid -= early
            self._connection.prepaid -= early
            size -= early
        if self.outbox is not None:
            self.credit(size)
            return
        connection = self._connection  # from here on as in `credit`: this is the hot path
        connection.owed += size
        if connection.owed >= connection.half_window:
            connection.repay()
        self.owed += size
        if self.owed >= connection.half_stream_window:
            self._repay()

    def writable(self) -> Awaitable[None] | None:
        """None: there is room for more; else what to wait for."""
        outbox = self.outbox
        return None if outbox is None or outbox.roomy else outbox.wait(self._connection.host.waiter())

    # What the connection does

    def reply(self, reply: PlainReply) -> None:
        """Answers what is no gRPC request."""
        self.over = self.answered = True
        if not reply.body:
            self._end_with(reply.headers)
            return
        self._connection.emit(self._connection.headers(self.id, reply.headers, 0))
        self._put(reply.body, trailers=b"")

    def data(self, content: Payload) -> None:
        """Takes the content of a DATA frame, unless it is the whole message that it nearly always is."""
        inbox = self.inbox
        if inbox is None:
            inbox = self.inbox = Messages()
        if not inbox.feed(self, content):
            self.inbox = None

    def message(self, length: int, whole: bytes | None, parts: Sequence[AnyBytes] = ()) -> None:
        """Hands a message over, whole or in the parts in which it came; its prefix is consumed with that."""
        self.unread += length
        if self.prepaid:
            self.unread += MESSAGE_PREFIX_BYTES
            self.consumed(MESSAGE_PREFIX_BYTES)
        else:
            self.owed += MESSAGE_PREFIX_BYTES
            self._connection.owed += MESSAGE_PREFIX_BYTES
        if whole is None:
            self.receiver.receive_parts(parts, length)
        else:
            self.receiver.receive(whole)

    def finish(self) -> None:
        """The peer has ended its direction."""
        self.heard = True
        if self.due:
            raise StreamFault(ErrorCode.PROTOCOL_ERROR, "less content than content-length promised")
        if isinstance(self.inbox, Messages):
            self.abort("INTERNAL", "extproc.message_cut_off")
        elif not self.over:
            self.receiver.finish()

    def abort(self, code: str, reason: str) -> None:
        """Ends the stream over the receiver's head."""
        if not self.over:
            self.receiver.cancel()
            self.end(code, reason)

    def borrows(self, inbox: Messages) -> None:
        """The inbox holds a part of what is being received."""
        self._connection.borrowers.add(inbox)

    def admits(self, compressed: int, length: int) -> bool:
        """Whether a message with this prefix may come; if not, the stream is ended."""
        if compressed:
            self.abort("INTERNAL", "extproc.compressed_message")  # without a grpc-encoding
        elif not self._connection.admits(length):
            self.abort("RESOURCE_EXHAUSTED", "extproc.message_size")
        return not self.over

    def arriving(self, size: int, whole: int) -> None:
        """So many bytes of a message have arrived: one that is larger than the window needs more of it to complete.

        And where messages of many streams, none of them whole, fill the connection's window, so do all of them.
        """
        connection = self._connection
        crowded = connection.receive_window < connection.half_window and not self.unread and connection.has_room(size)
        if crowded or whole > connection.half_stream_window:
            self.prepaid += size
            connection.prepaid += size
            self.credit(size)

    def credit(self, size: int) -> None:
        """Lets the peer send so many bytes again, unless it leaves its answers unread."""
        connection, outbox = self._connection, self.outbox
        connection.owed += size
        if connection.owed >= connection.half_window:
            connection.repay()
        if outbox is not None and not outbox.roomy:
            outbox.withheld += size
            return
        self.owed += size
        if self.owed >= connection.half_stream_window:
            self._repay()

    def advance(self) -> bool:
        """Sends one DATA frame of what waits; whether it could, and something is left."""
        connection, outbox = self._connection, self.outbox
        room = min(self.send_window, connection.send_window, connection.room, connection.frame_bytes)
        if outbox is None or room <= 0:
            return False
        size = min(room, outbox.size)
        self.send_window -= size
        connection.send_window -= size
        connection.room -= size
        connection.queued -= size
        connection.moved = True
        content = outbox.take(size)
        ends = outbox.size == 0 and outbox.trailers == b""
        connection.emit(frame_header(DATA, END_STREAM if ends else 0, self.id, size))
        connection.out += content
        if outbox.roomy:
            self._make_room(outbox)
        if outbox.size == 0:
            self._sent_all(outbox)
        return self.outbox is not None and self.send_window > 0

    # Its own

    def _response_headers(self) -> bytes:
        self.answered = True
        return self._connection.headers(self.id, RESPONSE_HEADERS, 0)

    def _queue(self, *message: bytes) -> None:
        """Has a message with its prefix sent as windows allow."""
        if not self.answered:
            self._connection.emit(self._response_headers())
        self._put(*message)

    def _put(self, *pieces: bytes, trailers: bytes | None = None) -> None:
        outbox = self.outbox
        if outbox is None:
            outbox = self.outbox = Outbox()
        for piece in pieces:
            outbox.put(piece)
        outbox.trailers = trailers
        self._connection.wait_for_window(self, sum(map(len, pieces)))

    def _end_with(self, block: bytes) -> None:
        """Sends the header block that ends our direction, now or after what waits."""
        if self.outbox is not None:
            self.outbox.trailers = block
            self.outbox.release()
            return
        self._connection.emit(self._connection.headers(self.id, block, END_STREAM))
        self._connection.said(self)

    def _repay(self) -> None:
        """Tells the peer what it may send again."""
        if not self.heard:
            self._connection.emit(window_update(self.id, self.owed))
            self.receive_window += self.owed
            self.owed = 0

    def _make_room(self, outbox: Outbox) -> None:
        outbox.release()
        self.owed += outbox.withheld
        outbox.withheld = 0
        if self.owed >= self._connection.half_stream_window:
            self._repay()

    def _sent_all(self, outbox: Outbox) -> None:
        self.outbox = None
        if outbox.trailers:
            self._end_with(outbox.trailers)
        elif outbox.trailers is not None:
            self._connection.said(self)
