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

from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from extproc_filters.rate import Rate

__all__ = ["Decision", "Gcra"]

_MICROSECONDS = 1_000_000


class Decision(NamedTuple):
    """What came of one request.

    Attributes:
        allowed: it is within the limit.
        remaining: how many more would be, right now.
        wait: seconds, rounded up and at least 1, until the quota is whole again; or when none is left, until one is.
    """

    allowed: bool
    remaining: int
    wait: int


class Gcra:
    """The algorithm with its numbers; it keeps no state."""

    __slots__ = ("_count", "_interval", "_second", "_tolerance")

    def __init__(self, rate: Rate, burst: int) -> None:
        """Admits `burst` at once, and in the long run `rate`."""
        self._count = rate.count
        self._second = rate.count * _MICROSECONDS
        self._interval = rate.seconds * _MICROSECONDS
        self._tolerance = self._interval * burst

    def moment(self, now: float) -> int:
        """`now`, in seconds since the epoch, in our units."""
        return round(now * _MICROSECONDS) * self._count

    def decide(self, tat: int, now: int) -> tuple[Decision, int]:
        """Decides on a request at `now`; the TAT to be kept comes back, unchanged for a request that was refused.

        A TAT further ahead than any request can have brought it means that the clock was set back. It is then taken for
        the furthest there can be: nothing is left of the quota, but it fills up from now on as ever.
        """
        horizon = now + self._tolerance
        tat = min(max(tat, now), horizon)
        after = tat + self._interval
        if after > horizon:
            return Decision(allowed=False, remaining=0, wait=self._seconds(after - horizon)), tat
        remaining = (horizon - after) // self._interval
        wait = after - now if remaining else after + self._interval - horizon
        return Decision(allowed=True, remaining=remaining, wait=self._seconds(wait)), after

    def _seconds(self, span: int) -> int:
        return max(1, -(-span // self._second))
