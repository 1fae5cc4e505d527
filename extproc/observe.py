"""What a front tells whoever watches it: a recorder, metrics, a test."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Sequence

    from extproc.exchange import Exchange
    from extproc.messages import Message, Output
    from extproc.trace import Event

__all__ = ["ExchangeObserver", "Observer"]


class ExchangeObserver(Protocol):
    """Watches one exchange."""

    def message(self, message: Message, answers: Sequence[Output], now: float) -> None:
        """Envoy said `message` at `now` (Unix seconds, the very `exchange.now` the filters saw) and got `answers`.

        One, as a rule; none while Envoy only watches; in a body mode that has us carry the body, as many as it took.
        """
        ...

    def end(self, exchange: Exchange, events: list[Event]) -> None:
        """The exchange is over; `exchange.ended` says how, `events` what each filter did."""
        ...


class Observer(Protocol):
    """Watches all exchanges of a front. Its methods run on the event loop: they must be quick and never raise."""

    def begin(self, exchange_id: str) -> ExchangeObserver:
        """An exchange begins."""
        ...
