"""`Desk`: all that a processor and an upstream are told about the one exchange that a real Envoy is busy with."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from extproc.envoy.plain_http import PlainReply, PlainRequest
from extproc.replay.folding import Said, fold

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from extproc.exchange import Ended, Exchange
    from extproc.messages import Message, Output
    from extproc.replay.capture import CapturedExchange, CapturedMessage
    from extproc.trace import Event

__all__ = ["Desk"]

_END_SECONDS = 10.0
"""How long Envoy may take to end the processor's stream once the client has its response."""


class Desk:
    """Tells the recorded time and id, answers as the upstream did, and takes down what happens.

    It is the observer, the clock and the source of ids of the processor, and the handler of the upstream.

    Attributes:
        events: what the filters did.
        ended: how the exchange ended for the processor.
        requests: what reached the upstream.
    """

    def __init__(self) -> None:
        self._id = ""
        self._times: list[float] = [0.0]
        self._reply = PlainReply()
        self._over = asyncio.Event()
        self._said: list[Said] = []
        self.events: list[Event] = []
        self.ended: Ended = ""
        self.requests: list[PlainRequest] = []

    def lay_out(self, exchange: CapturedExchange, reply: PlainReply) -> None:
        """The next exchange, and what the upstream answers to it."""
        self._id = exchange.id
        self._times = [item.now for item in exchange.messages]
        self._reply = reply
        self._over.set()
        self._said, self.events, self.requests = [], [], []
        self.ended = ""

    async def cleared(self) -> None:
        """Waits until the processor is done with the exchange, if it was asked at all.

        Raises:
            TimeoutError: Envoy keeps its stream open.
        """
        async with asyncio.timeout(_END_SECONDS):
            await self._over.wait()

    @property
    def messages(self) -> tuple[CapturedMessage, ...]:
        """What Envoy said to the processor, and the answers."""
        return fold(self._said)

    # Upstream

    def answer(self, request: PlainRequest) -> PlainReply:
        """The recorded response."""
        self.requests.append(request)
        return self._reply

    # Ids

    def ids(self) -> Iterator[str]:
        """The recorded id, for each exchange that begins."""
        while True:
            yield self._id

    # Clock

    def time(self) -> float:
        """When the message came that is the next to be answered; the last one's time for those beyond."""
        return self._times[min(len(self._said), len(self._times) - 1)]

    def monotonic(self) -> float:
        """The same: while an answer is made, no time passes."""
        return self.time()

    # Observer

    def begin(self, exchange_id: str) -> Desk:  # noqa: ARG002 (there is but one)
        """The processor is asked."""
        self._over.clear()
        return self

    def message(self, message: Message, answers: Sequence[Output], now: float) -> None:
        """A message and its answer."""
        self._said.append(Said(message, answers, now, len(self._said)))

    def end(self, exchange: Exchange, events: list[Event]) -> None:
        """The processor is done."""
        self.events, self.ended = list(events), exchange.ended
        self._over.set()
