"""`VirtualClock`: the time in a modelled exchange, which passes only when somebody lets it."""

from __future__ import annotations

__all__ = ["VirtualClock"]


class VirtualClock:
    """Seconds since the exchange began.

    Attributes:
        now: the time.
    """

    def __init__(self) -> None:
        self.now = 0.0
