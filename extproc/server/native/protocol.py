"""`Http2Protocol`: a `Connection` on an asyncio transport."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from typing import TYPE_CHECKING, cast

from extproc.server.native.lifetime import Lifetime
from extproc.server.native.portion import SMALL_PORTION, Portion
from extproc.server.native.writing import plain_socket, write

if TYPE_CHECKING:
    from collections.abc import Callable

    from extproc.server.native.connection import Connection, Host

__all__ = ["Http2Protocol"]

_LINGER = 1.0
"""Seconds in which a peer may read our last words: closing at once would let the kernel throw them away."""
_LARGE_READ = 32 * 1024
"""Bytes from which on a read is a body, probably, and worth not being copied; small frames are quicker to copy."""
_LONGEST_TICK = 1.0
_TICKS_A_LIMIT = 4


class Http2Protocol(asyncio.BufferedProtocol):
    """One accepted connection."""

    _transport: asyncio.Transport
    connection: Connection
    lifetime: Lifetime

    def __init__(
        self,
        connect: Callable[[Host], Connection],
        *,
        buffer: memoryview,
        age: float | None,
        admit: Callable[[asyncio.BaseTransport], bool],
        opened: Callable[[Http2Protocol], object],
        closed: Callable[[Http2Protocol], object],
    ) -> None:
        """A connection about to be made.

        Args:
            connect: makes the connection.
            buffer: what comes is read into it and handled at once, so that all connections of a loop can share it;
                larger than any frame. asyncio's plain protocols allocate as much for each read, which takes longer
                than all the rest of it.
            age: seconds after which to end it; None: never.
            admit: whether the peer may stay; asked after its TLS handshake.
            opened: is told when it begins.
            closed: is told when it has ended.
        """
        self._connect = connect
        self._buffer = buffer
        self._portion = Portion(len(buffer))
        self._age = age
        self._admit = admit
        self._opened = opened
        self._closed = closed
        self._loop = asyncio.get_running_loop()
        self._paused = False
        self._leaving = False
        self._timer: asyncio.TimerHandle | None = None
        self._alarm: asyncio.TimerHandle | None = None
        self._grace: asyncio.TimerHandle | None = None

    # asyncio's side

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Greets the peer."""
        self._transport = cast("asyncio.Transport", transport)  # uvloop's is none by its class
        self._socket = plain_socket(self._transport)
        self.connection = self._connect(self)
        self.lifetime = Lifetime(self.connection, self._loop.time(), self._age)
        self._opened(self)
        if not self._admit(transport):
            self._transport.abort()
            return
        limits = self.connection.limits
        shortest = min(
            limits.preface_timeout,
            limits.headers_timeout,
            limits.stalled,
            limits.stalled_window,
            limits.keepalive_time,
            limits.keepalive_timeout,
            limits.idle,
            self._age or _LONGEST_TICK,
        )
        self._every = min(_LONGEST_TICK, shortest / _TICKS_A_LIMIT)
        self._timer = self._loop.call_later(self._every, self._tick)
        self._flush()

    def get_buffer(self, sizehint: int) -> memoryview:  # noqa: ARG002 (asyncio's signature)
        """Where to read to: behind what was cut off the last time."""
        cut_off = self.connection.cut_off
        if not cut_off:
            return self._buffer[: self._portion.size]
        start = len(cut_off)
        self._buffer[:start] = cut_off
        return self._buffer[start : start + self._portion.size]

    def buffer_updated(self, nbytes: int) -> None:
        """Takes what has come, and writes at once all that comes of it."""
        connection = self.connection
        read = self._buffer[: len(connection.cut_off) + nbytes]
        if nbytes < SMALL_PORTION:
            connection.receive(bytes(read))
            self._flush()
            return
        began = self._loop.time()
        connection.receive(read if nbytes >= _LARGE_READ else bytes(read))
        self._flush()
        self._portion.took(nbytes, self._loop.time() - began)

    def pause_writing(self) -> None:
        """The peer does not read fast enough."""
        self._paused = True
        self.connection.pause()
        self.lifetime.paused(self._loop.time())

    def resume_writing(self) -> None:
        """It has caught up."""
        self._paused = False
        self.lifetime.paused(None)
        self.connection.resume()
        self._flush()

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002 (asyncio's signature)
        """It is gone."""
        for timer in (self._timer, self._alarm, self._grace):
            if timer is not None:
                timer.cancel()
        self.connection.lost()
        self._closed(self)

    # The connection's side

    def wake(self) -> None:
        """Has everything written that this turn of the loop produces."""
        self._loop.call_soon(self._flush)

    def waiter(self) -> asyncio.Future[None]:
        """Something to wait for."""
        return self._loop.create_future()

    def time(self) -> float:
        """The loop's time."""
        return self._loop.time()

    def alarm(self, at: float) -> None:
        """Has deadlines looked at."""
        if self._alarm is not None:
            if self._alarm.when() <= at:
                return
            self._alarm.cancel()
        self._alarm = self._loop.call_at(at, self._expire)

    # The front's side

    def drain(self, grace: float) -> None:
        """Ends the connection once its streams have ended, and those after so many seconds."""
        self.lifetime.drain(self._loop.time(), grace)
        self._grace = self._loop.call_later(grace, self._look_after)

    def abort(self) -> None:
        """Ends the connection."""
        self._transport.abort()

    # Its own

    def _flush(self) -> None:
        connection = self.connection
        while connection.out:
            straight_to = self._socket if connection.is_large_write else None
            write(self._transport, connection.take(), straight_to)
            connection.pump()
        if connection.over or connection.refusing:
            self._leave()
        elif self._paused and self._transport.get_write_buffer_size() > connection.limits.control_bytes:
            connection.counters["limit.control_bytes"] += 1
            self._transport.abort()

    def _tick(self) -> None:
        self._timer = self._loop.call_later(self._every, self._tick)
        self._look_after()

    def _look_after(self) -> None:
        if self.lifetime.tick(self._loop.time()):
            self._flush()
        else:
            self._transport.abort()

    def _expire(self) -> None:
        self._alarm = None
        self.connection.expire(self._loop.time())

    def _leave(self) -> None:
        """Closes once the last stream has ended, and lets the peer read our last words."""
        if self._leaving or not (self.connection.over or self.connection.drained):
            return
        self._leaving = True
        self.connection.lost()
        if self._paused or not self._transport.can_write_eof():
            self._transport.close()
        elif not self._transport.is_closing():
            with suppress(OSError):  # the peer has reset what it was just sent
                self._transport.write_eof()
        if self._timer is not None:
            self._timer.cancel()
        self._timer = self._loop.call_later(_LINGER, self._transport.abort)
