"""Where time comes from: injected, so that a replay sees the time of the recording."""

from __future__ import annotations

import time as _time
from typing import Protocol

__all__ = ["Clock", "SystemClock"]


class Clock(Protocol):
    """Two ways to tell the time."""

    def time(self) -> float:
        """Seconds since the Unix epoch."""
        ...

    def monotonic(self) -> float:
        """Seconds since some fixed point; never goes back."""
        ...


class SystemClock:
    """The machine's own clock."""

    time = staticmethod(_time.time)  # noqa: TID251 (this is the one place that reads it)
    monotonic = staticmethod(_time.monotonic)
