"""`Allowance`: what stops floods."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from extproc.server.http2 import Rate

__all__ = ["Allowance"]


class Allowance:
    """How much of a `Rate` is left: a bucket that fills up again with time."""

    __slots__ = ("_at", "_left", "_rate")

    def __init__(self, rate: Rate, now: float) -> None:
        """A full bucket."""
        self._rate = rate
        self._left: float = rate.burst
        self._at = now

    def spend(self, now: float) -> bool:
        """Takes one out, if there is one."""
        left = min(self._rate.burst, self._left + (now - self._at) * self._rate.per_second)
        self._at = now
        self._left = left - 1 if left >= 1 else left
        return left >= 1

    def give_back(self) -> None:
        """Puts one in: something useful was done."""
        if self._left < self._rate.burst:
            self._left += 1
