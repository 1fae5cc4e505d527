"""`Buffer`: how much of a body the filters hold between them, in one direction of an exchange."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

    from extproc.phases import Direction

__all__ = ["Buffer"]


class Buffer:
    """Envoy keeps one for all filters; data that one of them lets go on comes to the next one in it.

    Attributes:
        direction: of the message.
        limit: bytes that may be in it.
        streaming: more than that stops the sender, instead of failing the exchange.
        full: it has, until half of that is gone.
        handing_on: what is in it is on its way to the next filter, which may hold it again, however large it is.
    """

    def __init__(self, direction: Direction, limit: int, on_too_large: Callable[[Direction], None]) -> None:
        """Empty.

        Args:
            direction: of the message.
            limit: bytes that may be in it.
            on_too_large: is called when more is.
        """
        self.direction = direction
        self.limit = limit
        self.streaming = True
        self.full = False
        self.handing_on = False
        self._on_too_large = on_too_large

    def holds(self, size: int) -> None:
        """There are so many bytes in it now."""
        if size <= self.limit:
            self.full = self.full and size > self.limit // 2
        elif self.streaming or self.handing_on:
            self.full = True
        elif not self.full:
            self._on_too_large(self.direction)
