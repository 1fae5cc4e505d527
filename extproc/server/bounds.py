"""`Bounds`: what the exchanges of a processor may take, of time and of memory."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from extproc.timing import Timing

__all__ = ["Bounds"]

_MIB = 1024 * 1024


@dataclass(frozen=True, slots=True, kw_only=True)
class Bounds:
    """What exchanges may take; ``docs/limits.md`` says what happens beyond.

    Attributes:
        body_bytes: what one exchange may hold of bodies that a filter wants whole, where Envoy does not hold them.
        bodies_bytes: the same for all exchanges together.
        stall: seconds that a hook may block the event loop before the log names it; None: it is not watched.
        timing: how long Envoy waits for an answer; None: long enough for the chain.
    """

    body_bytes: int = 64 * _MIB
    bodies_bytes: int = 512 * _MIB
    stall: float | None = 0.1
    timing: Timing | None = None
