"""A filter's own response: back through the response hooks of the filters before it, and out to the client."""

from __future__ import annotations

# What filters see (exchange, http, headers) and this are one unit: their underscore means "not for filters".
# pyright: reportPrivateUsage=false
import inspect
from typing import TYPE_CHECKING, TypeAlias

from extproc.answers import cut, immediate, immediate_headers
from extproc.body import BodyPipeline
from extproc.content import has_no_content
from extproc.driving import settled, wait
from extproc.errors import HookError
from extproc.hooks import failed, run
from extproc.lane import Stage
from extproc.messages import Abort, ReplyBody, ReplyHeaders
from extproc.phases import RULES, BodyMode, Phase

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

    from extproc.budget import Budget
    from extproc.chain import Link
    from extproc.driving import Steps
    from extproc.exchange import Exchange
    from extproc.hooks import Verdict
    from extproc.http import Response
    from extproc.lane import Lane
    from extproc.messages import Immediate, Output

__all__ = ["reply"]

_Told: TypeAlias = "Immediate | Abort | None"
"""What ends the exchange; None: the response has gone out in pieces."""


def reply(
    exchange: Exchange, lane: Lane, link: Link, response: Response, *, budget: Callable[[], Budget], in_pieces: bool
) -> Steps[_Told]:
    """Takes a response back through the filters before the one that answered, each of which may answer in its stead.

    Args:
        exchange: whose.
        lane: the direction whose message is answered.
        link: the filter that answered.
        response: what it answered.
        budget: what bodies that are held count in.
        in_pieces: Envoy takes a response in pieces here.
    """
    while True:
        told = yield from _try(exchange, _WayBack(exchange, lane, response._copy(), link, budget), in_pieces=in_pieces)
        if not isinstance(told, tuple):
            return told
        link, response = told


def _try(exchange: Exchange, back: _WayBack, *, in_pieces: bool) -> Steps[_Told | tuple[Link, Response]]:
    """One response; gives another that takes its place."""
    own = back.response
    verdict = yield from back.headers()
    if verdict is None and own._stream is not None and own._body is None:
        if has_no_content(exchange, own._headers._items):
            yield from _close(exchange, own._stream)
            own._body = b""
        elif in_pieces and not back.pipeline.waits:
            return (yield from back.stream(own._stream))
        else:
            verdict = yield from back.collect(own._stream)
    if verdict is None:
        verdict = yield from back.body()
    if verdict is not None:
        return verdict
    own._seal("it has left already")
    body = b"" if has_no_content(exchange, own._headers._items) else own.body
    return immediate(own, body, back.lane)


class _WayBack:
    """One response on its way through the filters before the one that made it.

    Attributes:
        lane: the direction whose message is answered.
        response: it.
        pipeline: those filters that want its body.
    """

    def __init__(
        self, exchange: Exchange, lane: Lane, response: Response, link: Link, budget: Callable[[], Budget]
    ) -> None:
        steps = exchange._chain.steps
        exchange._response = response
        response.details = response.details or f"extproc.{link.name}"
        self.lane = lane
        self.response = response
        self._exchange = exchange
        self._link = link
        self._budget = budget
        self._steps = tuple(step for step in steps[Phase.RESPONSE_HEADERS] if step.link.index < link.index)
        self.pipeline = BodyPipeline(
            exchange, [step for step in steps[Phase.RESPONSE_BODY] if step.link.index < link.index], budget
        )
        rule = RULES[Phase.RESPONSE_HEADERS, BodyMode.NONE]
        self._stage = Stage(lane, Phase.RESPONSE_HEADERS, rule, response, response._headers, [], None)

    def headers(self) -> Steps[Verdict]:
        return run(self._exchange, self._stage, self._steps)

    def body(self) -> Steps[Verdict]:
        """The body is here, whole."""
        response = self.response
        stage = self._stage.in_phase(Phase.RESPONSE_BODY)
        verdict = yield from settled(self.pipeline.push(stage, response._body or b"", end=True))
        response._body = self.pipeline.take()
        return verdict

    def collect(self, stream: AsyncIterator[bytes]) -> Steps[Verdict]:
        """Gathers a body that was to go out in pieces, and cannot here."""
        gathered: list[bytes] = []
        budget, held = self._budget(), 0
        try:
            while (chunk := (yield from self._next(stream))) is not None:
                budget.take(len(chunk))
                held += len(chunk)
                gathered.append(chunk)
        except Exception as error:  # noqa: BLE001 (whatever it is: the filter has no response to give)
            yield from _close(self._exchange, stream)
            return failed(self._exchange, self._stage, self._link, error, final=True)
        finally:
            budget.give(held)
        self.response._body = b"".join(gathered)
        return None

    def stream(self, stream: AsyncIterator[bytes]) -> Steps[Abort | None]:
        """Sends the response as it comes; when it breaks off, so does the client's."""
        lane, response = self.lane, self.response
        response._seal("it has left already")
        lane.emit(ReplyHeaders(immediate_headers(response)))
        rule = RULES[Phase.RESPONSE_BODY, BodyMode.STREAMED]
        stage = Stage(lane, Phase.RESPONSE_BODY, rule, response, response._headers, response._headers._items, None)
        try:
            while (chunk := (yield from self._next(stream))) is not None:
                verdict = yield from self._pass_on(stage, chunk, end=False)
                if verdict is not None:
                    yield from _close(self._exchange, stream)
                    return verdict
            return (yield from self._pass_on(stage, b"", end=True))
        except Exception as error:  # noqa: BLE001 (as in `collect`)
            yield from _close(self._exchange, stream)
            _ = failed(self._exchange, stage, self._link, error, final=True)
            return Abort("INTERNAL", f"extproc.{self._link.name}.error")

    def _pass_on(self, stage: Stage, chunk: bytes, *, end: bool) -> Steps[Abort | None]:
        verdict = yield from settled(self.pipeline.push(stage, chunk, end=end))
        if verdict is not None:
            return verdict if isinstance(verdict, Abort) else Abort("INTERNAL", verdict[1].details or "extproc.late")
        out = self.pipeline.take()
        cuts = cut(out) if out or end else []
        for number, piece in enumerate(cuts, 1):
            yield from _emit(self._exchange, stage.lane, ReplyBody(piece, end and number == len(cuts)))
        return None

    def _next(self, stream: AsyncIterator[bytes]) -> Steps[bytes | None]:
        """The next piece; None at the end. It may take its time, as server-sent events do."""
        chunk: object = yield from wait(self._exchange, _advance(stream), None)
        if chunk is not None and not isinstance(chunk, bytes):
            raise HookError(f"its body yielded {type(chunk).__name__}: a body in pieces is made of bytes")
        return chunk


async def _advance(stream: AsyncIterator[bytes]) -> object:
    try:
        return await anext(stream)
    except StopAsyncIteration:
        return None


def _close(exchange: Exchange, stream: AsyncIterator[bytes]) -> Steps[None]:
    """Lets a generator that nobody reads any more close what it has open."""
    close = getattr(stream, "aclose", None)
    if close is not None:
        yield from wait(exchange, close(), exchange._chain.timeout)


def _emit(exchange: Exchange, lane: Lane, output: Output) -> Steps[None]:
    """Sends something of any size; waits while the peer does not read."""
    blocked = lane.emit(output)
    if inspect.isawaitable(blocked):
        yield from wait(exchange, blocked, None)
