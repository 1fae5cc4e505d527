"""The generic cell rate algorithm: a token bucket whose whole state is one moment.

Theory of operation
-------------------
Every admitted request uses up one interval ``T = period / count``. The *theoretical arrival time* (TAT) is when all the
intervals used so far would be over; a request is admitted when using one more keeps the TAT at most ``tau = T * burst``
ahead of now. A TAT that lies in the past is the same as none: the bucket is full.

Time is counted in whole units of 1/count microsecond. In these T is a whole number too (the period in microseconds),
so nothing is ever rounded and exactly `burst` requests fit into one moment.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from extproc_filters.rate import Rate

__all__ = ["Decision", "Gcra"]

_MICROSECONDS = 1_000_000


class Decision:
    """What came of one request.

    Attributes:
        now: the moment at which it came.
        allowed: it is within the limit.
        tat: the theoretical arrival time to be kept.
    """

    __slots__ = ("_gcra", "allowed", "now", "tat")

    def __init__(self, gcra: Gcra, now: int, tat: int, *, allowed: bool) -> None:
        self._gcra = gcra
        self.now = now
        self.tat = tat
        self.allowed = allowed

    @property
    def remaining(self) -> int:
        """How many more requests would be within the limit, right now."""
        return (self.now + self._gcra.tolerance - self.tat) // self._gcra.interval

    @property
    def wait(self) -> int:
        """Seconds, rounded up and at least 1, until the quota is whole again; or when none is left, until one is."""
        gcra, now = self._gcra, self.now
        span = self.tat - now if self.remaining else self.tat + gcra.interval - now - gcra.tolerance
        return max(1, -(-span // gcra.second))


class Gcra:
    """The algorithm with its numbers, in the units above; it keeps no state.

    Attributes:
        second: one second.
        interval: what a request uses up.
        tolerance: what may be used up at once.
    """

    __slots__ = ("_count", "interval", "second", "tolerance")

    def __init__(self, rate: Rate, burst: int) -> None:
        """Admits `burst` at once, and in the long run `rate`."""
        self._count = rate.count
        self.second = rate.count * _MICROSECONDS
        self.interval = rate.seconds * _MICROSECONDS
        self.tolerance = self.interval * burst

    def moment(self, now: float) -> int:
        """`now`, in seconds since the epoch, in our units."""
        return round(now * _MICROSECONDS) * self._count

    def decide(self, tat: int | None, now: float) -> Decision:
        """Decides on a request at `now` (seconds), given the TAT that was kept; it stays for a request that is refused.

        A TAT further ahead than any request can have brought it means that the clock was set back. It is then taken for
        the furthest there can be: nothing is left of the quota, but it fills up from now on as ever.
        """
        moment = self.moment(now)
        horizon = moment + self.tolerance
        if tat is None or tat < moment:
            tat = moment
        elif tat > horizon:
            tat = horizon
        after = tat + self.interval
        allowed = after <= horizon
        return Decision(self, moment, after if allowed else tat, allowed=allowed)
