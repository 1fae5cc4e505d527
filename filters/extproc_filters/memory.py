"""Where `rate_limit` keeps its counts: in this process, and never more than it was told to."""

from __future__ import annotations

import logging
from collections import OrderedDict
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from extproc_filters.gcra import Decision, Gcra

__all__ = ["Memory"]

_logger = logging.getLogger("extproc_filters.rate_limit")


class Memory:
    """One moment for each key, for the `capacity` keys that were used last.

    `hit` is all that a filter asks of it: one step that reads, decides and writes.

    Attributes:
        evicted: how many keys had to be forgotten although they still counted for something.
    """

    def __init__(self, gcra: Gcra, capacity: int) -> None:
        """Begins with nothing counted."""
        self.evicted = 0
        self._gcra = gcra
        self._capacity = capacity
        self._tats: OrderedDict[bytes, int] = OrderedDict()

    def __len__(self) -> int:
        """How many keys are kept."""
        return len(self._tats)

    def hit(self, key: bytes, now: float) -> Decision:
        """Counts a request at `now` (seconds since the epoch), unless it is over the limit."""
        tats = self._tats
        decision = self._gcra.decide(tats.get(key), now)
        tats[key] = decision.tat  # for a request that was refused, what it was
        tats.move_to_end(key)  # also then: whoever keeps trying must not be forgotten for it
        if len(tats) > self._capacity:
            self._forget(decision.now)
        return decision

    def _forget(self, moment: int) -> None:
        """Drops the key that was not used for longest."""
        _, tat = self._tats.popitem(last=False)
        if tat <= moment:
            return
        self.evicted += 1
        if self.evicted == 1:
            _logger.warning(
                "more than %d keys at once: the least used are forgotten and start afresh; raise max_keys",
                self._capacity,
            )
