"""`Timing`: how long Envoy waits for an answer, and what that leaves for a chain."""

from __future__ import annotations

import math
from dataclasses import dataclass

__all__ = ["Timing"]

_SHARE = 0.9
"""Of the time that Envoy waits, so that a filter's own failure policy comes before Envoy's timer."""
_LEAST = 0.001
"""The shortest time that ``override_message_timeout`` may ask for, in seconds."""


@dataclass(frozen=True, slots=True)
class Timing:
    """What is known of Envoy's timer, which runs for each message by itself.

    Attributes:
        message_timeout: ``message_timeout`` of its ext_proc filter, in seconds.
        max_message_timeout: ``max_message_timeout``, the most that may be asked for, in seconds; 0: nothing may.
    """

    message_timeout: float
    max_message_timeout: float = 0.0

    @classmethod
    def extensible(cls, message_timeout: float, wanted: float) -> Timing:
        """That of an Envoy which may be asked for as long as a chain needs that wants `wanted`, to the millisecond."""
        return cls(message_timeout, math.ceil(wanted / _SHARE * 1000) / 1000)

    def budget(self, wanted: float) -> float:
        """Seconds that a chain which wants `wanted` has for one message."""
        return min(wanted, max(self.message_timeout, self.max_message_timeout) * _SHARE)

    def more(self, wanted: float) -> float | None:
        """Seconds to ask Envoy for, so that a chain has what it wants; None: it has it, or nothing may be asked for."""
        asked = min(wanted / _SHARE, self.max_message_timeout)
        return asked if asked > max(self.message_timeout, _LEAST) else None
