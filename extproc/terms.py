"""`Terms`: what all exchanges of a front have in common beside the chain."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from extproc.clock import SystemClock
from extproc.guard import Limits
from extproc.phases import Direction

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from extproc.budget import Budget
    from extproc.clock import Clock
    from extproc.timing import Timing

__all__ = ["REQUEST_LIMITS", "RESPONSE_LIMITS", "Terms"]

REQUEST_LIMITS = Limits()
RESPONSE_LIMITS = Limits(header_bytes=80 * 1024)
_MAX_BODY_BYTES = 64 * 1024 * 1024
_CLOCK = SystemClock()


@dataclass(frozen=True, slots=True, kw_only=True)
class Terms:
    """How exchanges are to be dealt with.

    Attributes:
        clock: where time comes from.
        limits: how many request headers Envoy takes, and how large.
        response_limits: the same for a response.
        trace: whether to keep what each filter did.
        bodies: what the bodies of all exchanges together may take; None: anything.
        max_body_bytes: the largest body that a filter may have whole.
        change_modes: whether to tell Envoy what no filter wants any more (``mode_override``).
        timing: how long Envoy waits, if that is known; by default, longer than the chain's timeout.
    """

    clock: Clock = _CLOCK
    limits: Limits = REQUEST_LIMITS
    response_limits: Limits = RESPONSE_LIMITS
    trace: bool = False
    bodies: Budget | None = None
    max_body_bytes: int = _MAX_BODY_BYTES
    change_modes: bool = False
    timing: Timing | None = None
    by_direction: Mapping[Direction, Limits] = field(init=False)
    """Both limits."""
    _wall: Callable[[], float] = field(init=False)
    _monotonic: Callable[[], float] = field(init=False)

    def times(self, timeout: float) -> tuple[float, float]:
        """Now, in seconds since the Unix epoch; and by when a chain that takes so long has to answer, as `Exchange`."""
        wall, monotonic, timing = self._wall, self._monotonic, self.timing
        return wall(), monotonic() + (timeout if timing is None else timing.budget(timeout))

    def __post_init__(self) -> None:
        """Puts the limits and the clock's hands where they are looked up."""
        both = {Direction.REQUEST: self.limits, Direction.RESPONSE: self.response_limits}
        object.__setattr__(self, "by_direction", both)
        object.__setattr__(self, "_wall", self.clock.time)
        object.__setattr__(self, "_monotonic", self.clock.monotonic)
