"""`EnvoyModel`: the modelled filter, for one exchange at a time, step by step for many, or event by event."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, TypeAlias

from extproc.envoy.model.exchange import Exchange
from extproc.envoy.model.values import Ask, Context, Forward, HttpMessage
from extproc.phases import Direction

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Generator, Iterator

    from extproc.envoy.model.config import ExtProcConfig
    from extproc.envoy.model.values import Outcome, Replies, Resumed, Step
    from extproc.messages import Message

__all__ = ["EnvoyModel", "Processor", "Upstream"]

Processor: TypeAlias = "Callable[[Message], Awaitable[Replies]]"
"""What answers: the `receive` of an exchange machine, recorded answers, a script."""

Upstream: TypeAlias = "HttpMessage | Callable[[HttpMessage], HttpMessage | None] | None"
"""What the upstream answers: always the same, depending on the request, or nobody knows."""

_NOTHING_ELSE = Context()


class EnvoyModel:
    """The ext_proc filter of one Envoy listener.

    Attributes:
        config: how it is configured.
    """

    def __init__(self, config: ExtProcConfig) -> None:
        self.config = config

    def begin(self, context: Context = _NOTHING_ELSE) -> Exchange:
        """An exchange of which nothing has come yet, for whoever decides what comes when."""
        return Exchange([self.config], context)

    def exchange(
        self, request: HttpMessage, context: Context = _NOTHING_ELSE, *, piecewise: bool = False
    ) -> Generator[Step, Resumed, Outcome]:
        """One exchange, step by step, for whoever interleaves many.

        Each step says what it waits for: ``send`` it. The generator returns the outcome.

        Args:
            request: as it is at the filter.
            context: what Envoy knows beside it.
            piecewise: each part of a message comes when all that there was before is dealt with; otherwise messages
                come whole, before the first answer does.
        """
        return _Play(self.begin(context), request, piecewise=piecewise).play()

    async def run(
        self,
        request: HttpMessage,
        upstream: Upstream,
        processor: Processor,
        context: Context = _NOTHING_ELSE,
        *,
        piecewise: bool = False,
    ) -> Outcome:
        """One exchange from the client's request to the client's response. Waits for nothing but `processor`.

        Args:
            request: as it is at the filter.
            upstream: what answers it.
            processor: what is asked.
            context: what Envoy knows beside it.
            piecewise: as in `exchange`.
        """
        steps = self.exchange(request, context, piecewise=piecewise)
        answer: Resumed = None
        while True:
            try:
                step = steps.send(answer)
            except StopIteration as end:
                outcome: Outcome = end.value
                return outcome
            if isinstance(step, Ask):
                answer = await processor(step.message)
            else:
                answer = upstream(step.request) if callable(upstream) else upstream


class _Play:
    """An exchange in which messages come of themselves: the request, and when the upstream has it, the response."""

    def __init__(self, exchange: Exchange, request: HttpMessage, *, piecewise: bool) -> None:
        self._exchange = exchange
        self._piecewise = piecewise
        self._coming = _parts(exchange, Direction.REQUEST, request)
        self._direction = Direction.REQUEST
        self._forwarded = False

    def play(self) -> Generator[Step, Resumed, Outcome]:
        exchange = self._exchange
        while not exchange.over:
            if not self._piecewise:
                self._come(whole=True)
            if exchange.said:
                replies = yield exchange.said.popleft()
                assert not isinstance(replies, HttpMessage)  # noqa: S101 (that is what `Forward` is resumed with)
                exchange.answer(replies)
            elif self._come():
                continue
            elif exchange.request.sent.ended and not self._forwarded:
                self._forwarded = True
                request = exchange.request.sent.message()
                assert request is not None  # noqa: S101 (it has ended)
                response = yield Forward(request)
                if not isinstance(response, HttpMessage):
                    return replace(exchange.outcome(), client=None, details="")
                self._coming = _parts(exchange, Direction.RESPONSE, response)
                self._direction = Direction.RESPONSE
            elif not exchange.wait():
                break
        outcome = exchange.outcome()
        return outcome if self._forwarded else replace(outcome, upstream=None)

    def _come(self, *, whole: bool = False) -> bool:
        """Lets the next part come, or all that Envoy reads; whether there was one."""
        came = False
        while self._exchange.reads(self._direction) and next(self._coming, False):
            came = True
            if not whole:
                break
        return came


def _parts(exchange: Exchange, direction: Direction, message: HttpMessage) -> Iterator[bool]:
    """Lets a message come, part by part. No bytes before trailers are nothing at all."""
    exchange.headers(direction, message.headers, end=message.ends_with_headers)
    yield True
    for chunk in message.chunks:
        if chunk:
            exchange.data(direction, chunk, end=False)
            yield True
    if message.trailers is not None:
        exchange.trailers(direction, message.trailers)
        yield True
    elif message.chunks:
        exchange.data(direction, b"", end=True)
        yield True
