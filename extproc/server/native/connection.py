"""`Connection`: the server's end of an HTTP/2 connection (RFC 9113), without I/O.

Bytes go in through `receive`; what they ask for is called right there; the bytes to be written are fetched with `take`.
The beginning of a frame that is not complete stays outside: it goes in again with what comes next.
"""

from __future__ import annotations

import logging
from types import MappingProxyType
from typing import TYPE_CHECKING, Protocol

from extproc.server.native.allowance import Allowance
from extproc.server.native.errors import ConnectionFault, ErrorCode, StreamFault
from extproc.server.native.frames import (
    DEFAULT_WINDOW,
    END_HEADERS,
    HEADERS,
    LARGEST_STREAM_ID,
    PREFACE,
    SMALLEST_FRAME,
    Setting,
    frame,
    goaway,
    ping,
    rst_stream,
    settings,
    window_update,
)
from extproc.server.native.grpc import MESSAGE_PREFIX_BYTES, call_of
from extproc.server.native.headers import HeaderBlocks
from extproc.server.native.incoming import take_frames
from extproc.server.native.received import ALWAYS, BEGINNING, WITHIN_BLOCK
from extproc.server.native.unserved import NOBODY

if TYPE_CHECKING:
    from collections import Counter
    from collections.abc import Mapping

    from extproc.server.http2 import Http2Limits
    from extproc.server.native.blocks import Block
    from extproc.server.native.flow import Waiter
    from extproc.server.native.frames import Payload
    from extproc.server.native.grpc import AtOnce, Open
    from extproc.server.native.messages import Messages
    from extproc.server.native.received import Handler
    from extproc.server.native.streams import ServerStream

__all__ = ["Connection", "Host"]

_logger = logging.getLogger("extproc.server")

_ROOM = 512 * 1024
"""Bytes of DATA that go to the socket at once; the rest waits where it can still be reordered and counted."""
_LARGE_WRITE = 32 * 1024
_RESETS_KEPT = 1024
_MOST_RESETS = 2 * _RESETS_KEPT
_DRAIN_PING = b"draining"


class Host(Protocol):
    """Where a connection lives."""

    def wake(self) -> None:
        """There is something to `take`, soon; not called from inside `receive`."""
        ...

    def waiter(self) -> Waiter:
        """A new, unset waiter."""
        ...

    def time(self) -> float:
        """Seconds since some fixed point."""
        ...

    def alarm(self, at: float) -> None:
        """Has `expire` called at this time, if not sooner."""
        ...


class Connection:
    """One peer.

    Attributes:
        limits: what the peer may do.
        counters: are told of every error and every limit that is hit, by name.
        host: where the connection lives.
        streams: those that are open, by number.
        over: a GOAWAY for an error has been sent, or the connection is gone; whatever comes is ignored.
        cut_off: the beginning of a frame; it has to be received again, with what follows it.
        receiving: whoever called will `take` what there is, so that the host need not be woken.
        heard: something came since this was last set to False.
        initial_send_window: what a new stream of ours may send.
        send_window: bytes of DATA that the peer takes on all streams.
        receive_window: bytes of DATA that the peer may send on all streams.
        owed: consumed bytes that the peer may send again, but has not been told of.
        prepaid: bytes that the peer was told to send again before they were consumed.
        queued: bytes of DATA that wait to be sent.
        moved: something that waited was sent since this was last set to False.
        room: bytes of DATA that the socket takes at once.
        frame_bytes: the largest payload that the peer takes.
        half_window: half of what the peer may send on all streams: it is told of what is owed once that is so much.
        half_stream_window: the same of one stream; a longer message may not fit into what is left of its window.
        most_together: what a message may take whose frames are taken together, and so need no more window.
        whole_bytes: what a message in one frame, the first of its stream, may take at most.
        by_the_book: each frame goes to its handler: before SETTINGS, within a header block, and always where a message
            can be too long for us and yet fit into one frame.
        blocks: what header blocks ask for.
        handlers: what handles a frame, by its type.
        block: a header block that is not complete.
        last_id: the highest number of a stream that the peer has opened.
        refusing: no stream can be opened any more.
        refuse_above: streams above it are not looked at: the peer was told that the connection ends.
        resets: numbers of streams that we have reset, and whether the peer may yet do the same.
        gaps: numbers below `last_id` that were skipped.
        prelude: what our next header block must begin with.
        waiting: streams that have something to send, and a window for it.
        deadlines: when streams have to end.
        borrowers: hold parts of what is being received.
        out: what is to be written.
    """

    def __init__(
        self,
        host: Host,
        methods: Mapping[bytes, Open],
        *,
        limits: Http2Limits,
        counters: Counter[str],
        max_message_bytes: int,
        at_once: Mapping[bytes, AtOnce] = MappingProxyType({}),
    ) -> None:
        """A connection that was just accepted: our SETTINGS are the first thing to take."""
        self.host = host
        self.limits = limits
        self.counters = counters
        self.streams: dict[int, ServerStream] = {}
        self.over = False
        self.heard = False
        self.initial_send_window = DEFAULT_WINDOW
        self.send_window = DEFAULT_WINDOW
        self.receive_window = limits.connection_window
        self.owed = self.prepaid = self.queued = 0
        self.moved = False
        self.room = _ROOM
        self.frame_bytes = SMALLEST_FRAME
        self.half_window = limits.connection_window >> 1
        self.whole_bytes = min(limits.frame_bytes, limits.stream_window)
        self.half_stream_window = limits.stream_window >> 1
        self._any_frame_fits = max_message_bytes + MESSAGE_PREFIX_BYTES >= limits.frame_bytes
        self.most_together = min(self.half_stream_window, max_message_bytes + MESSAGE_PREFIX_BYTES)
        self.by_the_book = True
        self._max_message_bytes = max_message_bytes
        self.blocks = HeaderBlocks(
            lambda fields: call_of(fields, methods, at_once), list_bytes=limits.header_bytes, keep=limits.header_cache
        )
        self._preface = PREFACE
        self.cut_off = b""
        self.receiving = False
        self._paused = False
        self.handlers: tuple[Handler, ...] = BEGINNING
        self.block: Block | None = None
        self.last_id = 0
        self.refusing = False
        self.refuse_above = LARGEST_STREAM_ID
        self.resets: dict[int, bool] = {}
        self.gaps: list[range] = []
        self.prelude = b""
        self._allowances: dict[str, Allowance] = {}
        self._squandered: Allowance | None = None  # of them, the one for resets
        self.waiting: dict[ServerStream, None] = {}
        self.deadlines: dict[ServerStream, float] = {}
        self.borrowers: set[Messages] = set()
        self.out: list[bytes | memoryview] = [_greeting(limits)]

    # The host's side

    @property
    def greeted(self) -> bool:
        """The peer has said that it speaks HTTP/2."""
        return self.handlers is not BEGINNING

    @property
    def within_block(self) -> bool:
        """A header block has begun and is not complete."""
        return self.block is not None

    def receive(self, data: Payload) -> None:
        """Takes what the peer has sent, and what was `cut_off` before it; keeps no part of `data` itself."""
        if self.over:
            return
        self.heard = True
        self.receiving = True
        if len(self.resets) > _MOST_RESETS:
            for stream_id in list(self.resets)[:-_RESETS_KEPT]:
                del self.resets[stream_id]
        try:
            if self._preface:
                data = self._without_preface(data)
            self.cut_off = take_frames(self, data)
        except ConnectionFault as fault:
            self.fail(fault)
        except Exception:
            _logger.exception("a connection is given up: the front itself failed")
            self.fail(ConnectionFault(ErrorCode.INTERNAL_ERROR, "internal error"))
        finally:
            self.receiving = False
            if self.borrowers:
                for inbox in self.borrowers:
                    inbox.settle()
                self.borrowers.clear()

    @property
    def is_large_write(self) -> bool:
        """What is to be written is much."""
        return self.room <= _ROOM - _LARGE_WRITE

    def take(self) -> list[bytes | memoryview]:
        """What is to be written."""
        out, self.out = self.out, []
        return out

    def pump(self) -> None:
        """What was taken has been written: more may be sent."""
        if not self._paused:
            self.room = _ROOM
            if self.waiting:
                self.advance()

    def pause(self) -> None:
        """The socket takes no more."""
        self._paused = True
        self.room = 0

    def resume(self) -> None:
        """The socket takes more again."""
        self._paused = False
        self.pump()

    def expire(self, now: float) -> None:
        """Ends the streams whose deadline has passed."""
        for stream in [stream for stream, at in self.deadlines.items() if at <= now]:
            self.counters["deadline"] += 1
            stream.abort("DEADLINE_EXCEEDED", "extproc.deadline")
            self.deadlines.pop(stream, None)
        if self.deadlines:
            self.host.alarm(min(self.deadlines.values()))

    def ping(self, payload: bytes = b"are you?") -> None:
        """Asks the peer for a sign of life."""
        self.emit(ping(payload))

    def announce_end(self) -> None:
        """Asks the peer to open no more streams, and finds out which it has opened: the first step of two."""
        self.emit(goaway(LARGEST_STREAM_ID, ErrorCode.NO_ERROR) + ping(_DRAIN_PING))

    def refuse_more(self) -> None:
        """Tells which stream was the last: the second step."""
        if not self.refusing:
            self.refusing = True
            self.refuse_above = self.last_id
            self.emit(goaway(self.last_id, ErrorCode.NO_ERROR))

    @property
    def drained(self) -> bool:
        """No stream is open, and none will be."""
        return not self.streams and self.refusing

    def buffered(self) -> int:
        """Bytes that are held: received and not consumed, or waiting to be sent."""
        return self.limits.connection_window - self.receive_window - self.owed + self.prepaid + self.queued

    def end_streams(self, code: str, reason: str) -> None:
        """Ends all streams with a gRPC status."""
        for stream in list(self.streams.values()):
            stream.abort(code, reason)

    def lost(self) -> None:
        """The connection is gone."""
        self.over = True
        for stream in list(self.streams.values()):
            self.drop(stream)

    def fail(self, fault: ConnectionFault) -> None:
        """Gives the connection up, and says why."""
        self.counters[f"connection_error.{fault.code.name}"] += 1
        if fault.limit:
            self.counters[f"limit.{fault.limit}"] += 1
        _logger.info("a connection is closed: %s (%s)", fault.why, fault.code.name)
        self.receiving = True  # whoever calls this takes what there is
        self.emit(goaway(min(self.last_id, self.refuse_above), fault.code, fault.why))
        self.lost()

    # The streams' side

    def emit(self, *data: bytes | memoryview) -> None:
        """Has bytes written."""
        if self.over:
            return
        if not self.out and not self.receiving:
            self.host.wake()
        self.out += data

    def headers(self, stream_id: int, block: bytes, flags: int) -> bytes:
        """A HEADERS frame: no block of ours is near the size of the smallest frame."""
        if self.prelude:
            block = self.prelude + block
            self.prelude = b""
        return frame(HEADERS, END_HEADERS | flags, stream_id, block)

    def admits(self, length: int) -> bool:
        """Whether a message of this length may come."""
        large = length + MESSAGE_PREFIX_BYTES > self.half_stream_window
        if length > self._max_message_bytes or (large and self.prepaid + length > self.limits.large_message_bytes):
            self.counters["limit.message_bytes"] += 1
            return False
        return True

    def has_room(self, size: int) -> bool:
        """Whether so many bytes may still come on top of the window."""
        return self.prepaid + size <= self.limits.large_message_bytes

    def owe(self, size: int) -> None:
        """Lets the peer send so many bytes again; it is told once that is half of the window."""
        self.owed += size
        if self.owed >= self.half_window:
            self.repay()

    def repay(self) -> None:
        """Tells the peer what it may send again."""
        self.emit(window_update(0, self.owed))
        self.receive_window += self.owed
        self.owed = 0

    def wait_for_window(self, stream: ServerStream, size: int) -> None:
        """A stream has queued so many bytes."""
        self.queued += size
        self.waiting[stream] = None
        self.advance()

    def said(self, stream: ServerStream) -> None:
        """A stream's last frame is on its way; where the peer has more to say, it may stop."""
        if not stream.heard:
            self.emit(rst_stream(stream.id, ErrorCode.NO_ERROR))
        self.left(stream)

    def left(self, stream: ServerStream) -> None:
        """A stream's last frame is on its way, and where the peer has more to say, it was told that it may stop."""
        self.passed(stream.id, heard=stream.heard)
        self._forget(stream)

    def passed(self, stream_id: int, *, heard: bool) -> None:
        """The same of a stream that nobody knows any more."""
        if not heard:
            self.resets[stream_id] = True
        if self._squandered is not None:
            self._squandered.give_back()

    # Frames

    def greet(self) -> None:
        """Any frame may come: the first was SETTINGS, or a header block is complete."""
        self.handlers = ALWAYS
        self.by_the_book = not self._any_frame_fits

    def begin_block(self, block: Block) -> None:
        """Nothing but the rest of a header block may come."""
        self.block = block
        self.handlers = WITHIN_BLOCK
        self.by_the_book = True

    def end_block(self) -> None:
        """The header block is complete."""
        self.block = None
        self.greet()

    def answered(self, ping: Payload) -> None:
        """A ping of ours has come back."""
        if ping == _DRAIN_PING:
            self.refuse_more()

    def _without_preface(self, data: Payload) -> Payload:
        """Takes the preface off, as far as it is there."""
        known = min(len(self._preface), len(data))
        if self._preface[:known] != data[:known]:
            raise ConnectionFault(ErrorCode.PROTOCOL_ERROR, "this is not HTTP/2")
        self._preface = self._preface[known:]
        return data[known:]

    def advance(self) -> None:
        """Sends what waits, a frame of each stream in turn, as far as windows and the socket allow."""
        while self.waiting and self.send_window > 0 and self.room > 0:
            stream = next(iter(self.waiting))
            del self.waiting[stream]
            if stream.advance():
                self.waiting[stream] = None

    # Streams that end

    def is_idle(self, stream_id: int) -> bool:
        """Nothing may be said on it: the client has not opened it, or it is one of ours (section 5.1.1)."""
        return stream_id > self.last_id or stream_id % 2 == 0

    def check_closed(self, stream_id: int) -> None:
        """A frame has come for a stream that is not open: one that we reset is excused (section 5.1)."""
        if self.is_idle(stream_id):
            raise ConnectionFault(ErrorCode.PROTOCOL_ERROR, "frame on an idle stream")
        if stream_id not in self.resets and stream_id <= self.refuse_above:
            raise ConnectionFault(ErrorCode.STREAM_CLOSED, "frame on a closed stream")

    def fault(self, stream_id: int, fault: StreamFault) -> None:
        """Resets a stream for what the peer did to it."""
        if self.is_idle(stream_id):
            raise ConnectionFault(fault.code, fault.why)
        _logger.info("stream %d is reset: %s (%s)", stream_id, fault.why, fault.code.name)
        self.spend("resets")
        if stream_id not in self.resets:  # once is enough
            self.send_reset(stream_id, fault.code)
        stream = self.streams.get(stream_id)
        if stream is not None:
            self.drop(stream)

    def send_reset(self, stream_id: int, code: ErrorCode) -> None:
        """Tells the peer that a stream has failed."""
        self.counters[f"stream_error.{code.name}"] += 1
        self.emit(rst_stream(stream_id, code))
        self.resets[stream_id] = True

    def drop(self, stream: ServerStream) -> None:
        """A stream is gone before its end."""
        receiver = stream.receiver
        self._forget(stream)
        if not stream.over:
            stream.over = True
            receiver.cancel()

    def _forget(self, stream: ServerStream) -> None:
        del self.streams[stream.id]
        stream.heard = True
        stream.receiver = NOBODY  # a receiver knows its stream: the cycle would keep both until garbage is collected
        if stream.inbox is not None:
            stream.consumed(stream.inbox.held)
            stream.inbox = None
        if self.deadlines:
            self.deadlines.pop(stream, None)
        outbox = stream.outbox
        if outbox is not None:
            stream.outbox = None
            self.queued -= outbox.size
            self.waiting.pop(stream, None)
            outbox.release()

    def spend(self, name: str) -> None:
        """Counts against a rate.

        Raises:
            ConnectionFault: it is used up.
        """
        now = self.host.time()
        allowance = self._allowances.get(name)
        if allowance is None:
            allowance = self._allowances[name] = Allowance(getattr(self.limits, name), now)
            self._squandered = self._allowances.get("resets")
        if not allowance.spend(now):
            raise ConnectionFault(ErrorCode.ENHANCE_YOUR_CALM, f"too many {name.replace('_', ' ')}", name)


def _greeting(limits: Http2Limits) -> bytes:
    """What a server says first (section 3.4)."""
    announced = {
        Setting.MAX_CONCURRENT_STREAMS: limits.streams,
        Setting.INITIAL_WINDOW_SIZE: limits.stream_window,
        Setting.MAX_FRAME_SIZE: limits.frame_bytes,
        Setting.MAX_HEADER_LIST_SIZE: limits.header_bytes,
    }
    return settings(announced) + window_update(0, limits.connection_window - DEFAULT_WINDOW)
