"""The times of a connection: how long a peer may be silent, how a connection ends in good order (without I/O)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from extproc.server.native.errors import ConnectionFault, ErrorCode

if TYPE_CHECKING:
    from extproc.server.native.connection import Connection

__all__ = ["Lifetime"]

_DRAIN_ANSWER = 1.0
"""Seconds in which a peer has to answer the ping that shows which streams it has opened."""


class Lifetime:
    """Watches over a connection; `tick` is called every now and then."""

    def __init__(self, connection: Connection, now: float, age: float | None) -> None:
        """A connection that was just accepted.

        Args:
            connection: what to watch over.
            now: the time.
            age: seconds after which to end it; None: never.
        """
        self._connection = connection
        self._limits = connection.limits
        self._begun = self._quiet_since = self._idle_since = self._moved_at = now
        self._ends_at = None if age is None else now + age
        self._asked_at: float | None = None
        self._block_since: float | None = None
        self._paused_since: float | None = None
        self._announced_at: float | None = None
        self._deadline: float | None = None

    @property
    def draining(self) -> bool:
        """The connection is about to end."""
        return self._announced_at is not None

    def paused(self, now: float | None) -> None:
        """Since when the socket takes no more; None: it takes more again."""
        self._paused_since = now

    def drain(self, now: float, grace: float) -> None:
        """Ends the connection once its streams have ended, and those after so many seconds."""
        deadline = now + grace
        self._deadline = deadline if self._deadline is None else min(deadline, self._deadline)
        if not self.draining:
            self._announced_at = now
            self._connection.announce_end()

    def tick(self, now: float) -> bool:
        """Looks after everything that takes time; False: the peer is gone, or might as well be."""
        try:
            self._check_beginning(now)
            self._check_output(now)
        except ConnectionFault as fault:
            self._connection.fail(fault)
            return True
        self._check_age(now)
        self._go_on_draining(now)
        return self._is_alive(now) and self._is_reading(now)

    def _check_beginning(self, now: float) -> None:
        """A peer that begins something has to go on with it."""
        if not self._connection.greeted and now - self._begun >= self._limits.preface_timeout:
            raise ConnectionFault(ErrorCode.SETTINGS_TIMEOUT, "no preface", "preface_timeout")
        if not self._connection.within_block:
            self._block_since = None
        elif self._block_since is None:
            self._block_since = now
        elif now - self._block_since >= self._limits.headers_timeout:
            raise ConnectionFault(ErrorCode.ENHANCE_YOUR_CALM, "a header block without an end", "headers_timeout")

    def _check_output(self, now: float) -> None:
        """A peer has to take its answers."""
        connection = self._connection
        if connection.queued > self._limits.queued_bytes:
            raise ConnectionFault(ErrorCode.ENHANCE_YOUR_CALM, "answers pile up", "queued_bytes")
        if connection.moved or not connection.queued:
            connection.moved = False
            self._moved_at = now
        elif now - self._moved_at >= self._limits.stalled_window:
            raise ConnectionFault(ErrorCode.ENHANCE_YOUR_CALM, "no window for answers", "stalled_window")

    def _check_age(self, now: float) -> None:
        if self._connection.streams:
            self._idle_since = now
        elif now - self._idle_since >= self._limits.idle and not self.draining:
            self._connection.counters["limit.idle"] += 1
            self.drain(now, self._limits.drain_grace)
        if self._ends_at is not None and now >= self._ends_at and not self.draining:
            self._connection.counters["limit.age"] += 1
            self.drain(now, self._limits.drain_grace)

    def _go_on_draining(self, now: float) -> None:
        if self._announced_at is not None and now - self._announced_at >= _DRAIN_ANSWER:
            self._connection.refuse_more()
        if self._deadline is not None and now >= self._deadline:
            self._connection.refuse_more()
            self._connection.end_streams("UNAVAILABLE", "extproc.stopping")

    def _is_alive(self, now: float) -> bool:
        """Asks a silent peer whether it is there."""
        if self._connection.heard:
            self._connection.heard = False
            self._quiet_since = now
            self._asked_at = None
        elif self._asked_at is None:
            if now - self._quiet_since >= self._limits.keepalive_time:
                self._asked_at = now
                self._connection.ping()
        elif now - self._asked_at >= self._limits.keepalive_timeout:
            self._connection.counters["limit.keepalive_timeout"] += 1
            return False
        return True

    def _is_reading(self, now: float) -> bool:
        if self._paused_since is not None and now - self._paused_since >= self._limits.stalled:
            self._connection.counters["limit.stalled"] += 1
            return False
        return True
