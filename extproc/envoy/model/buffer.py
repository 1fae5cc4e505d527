"""`Buffer`: what Envoy has of a message, and all filters share."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

    from extproc.envoy.model.fields import Fields
    from extproc.phases import Direction

__all__ = ["Buffer"]


class Buffer:
    """There is one for all filters, whoever of them holds: what one lets go on may be what another wanted to hold.

    Attributes:
        direction: of the message.
        limit: bytes that may be in it.
        held: body that waits; None: nothing has been held.
        trailers: as they stand; None: there are none, or not yet.
        ended: it has come to its end, or what was put in its place has.
        streaming: more than that stops the sender, instead of failing the exchange.
        full: it has, until half of that is gone.
        handing_on: what was in it is on its way to the next filter, which may hold it again, however large it is.
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
        self.held: bytes | None = None
        self.trailers: Fields | None = None
        self.ended = False
        self.streaming = True
        self.full = False
        self.handing_on = False
        self._on_too_large = on_too_large

    def hold(self, data: bytes) -> None:
        """This is in it now."""
        self.held = data
        if len(data) <= self.limit:
            self.full = self.full and len(data) > self.limit // 2
        elif self.streaming or self.handing_on:
            self.full = True
        elif not self.full:
            self._on_too_large(self.direction)

    def release(self) -> bytes:
        """Gives out what is in it. It stays, empty: by that the next filter knows of a body, if of an empty one."""
        held, self.held, self.full = self.held or b"", b"", False
        return held
