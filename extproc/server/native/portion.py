"""`Portion`: how much of a peer's bytes is looked at in one turn, so that nobody keeps the others waiting.

Most bytes cost little: a body is passed on as it is. But a header block can ask for a field with each of its bytes, and
a read of all that the socket holds would then take a good part of a second, in which no other connection is served and
Envoy's message timeouts run out.
"""

from __future__ import annotations

from typing import Final

__all__ = ["SMALL_PORTION", "Portion"]

SMALL_PORTION: Final = 8 * 1024
"""Of fewer bytes it does not matter what they cost."""
_FIRST = 32 * 1024
_STEP = 8 * 1024
_TURN = 0.02
"""Seconds that one turn should take at most: a tenth of Envoy's message timeout."""
_QUICK = _TURN / 4


class Portion:
    """The size of the next read: it grows step by step with reads that were quick, and shrinks at once.

    Attributes:
        size: in bytes.
    """

    __slots__ = ("_most", "size")

    def __init__(self, most: int) -> None:
        """A connection of which nothing is known; `most` is the largest portion there will be."""
        self._most = most
        self.size = min(_FIRST, most)

    def took(self, size: int, seconds: float) -> None:
        """So many bytes took so long."""
        if seconds > _TURN:
            self.size = max(SMALL_PORTION, min(self.size, int(size * _TURN / seconds)))
        elif size == self.size and seconds < _QUICK:
            self.size = min(self._most, size + _STEP)
