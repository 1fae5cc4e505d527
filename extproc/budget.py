"""`Budget`: how much memory bodies may take, for one exchange and for all of them together."""

from __future__ import annotations

from extproc.errors import BudgetError

__all__ = ["Budget"]


class Budget:
    """Counts the bytes of bodies that are held, and refuses those that would be too many.

    One belongs to the process; each exchange that holds a body has one within it, and closes it at its end. Not for
    several threads: it belongs to the event loop.

    Attributes:
        limit: the most that may be held, in bytes.
        held: bytes held now.
        peak: the most that were ever held.
        refused: how often there was no room.
    """

    __slots__ = ("_what", "_within", "held", "limit", "peak", "refused")

    def __init__(self, limit: int, what: str, within: Budget | None = None) -> None:
        """Nothing is held yet.

        Args:
            limit: the most that may be held, in bytes.
            what: whose limit it is, for the sentence of an error: ``all bodies together``.
            within: a larger budget, in which everything counts too.
        """
        self.limit = limit
        self.held = self.peak = self.refused = 0
        self._what = what
        self._within = within

    def take(self, size: int) -> None:
        """Counts `size` bytes more.

        Raises:
            BudgetError: there is no room for them here or in the larger budget; then none are counted.
        """
        if self.held + size > self.limit:
            self.refused += 1
            raise BudgetError(self._what, self.held + size, self.limit)
        if self._within is not None:
            self._within.take(size)
        self.held += size
        self.peak = max(self.peak, self.held)

    def give(self, size: int) -> None:
        """`size` bytes, taken before, are no longer held."""
        if self._within is not None:
            self._within.give(size)
        self.held -= size

    def close(self) -> None:
        """Gives back whatever is still held."""
        self.give(self.held)
