"""Calling hooks: each takes effect whole or, if it fails, leaves nothing behind; then its filter's policy decides."""

from __future__ import annotations

# What filters see (exchange, http, headers) and this are one unit: their underscore means "not for filters".
# pyright: reportPrivateUsage=false
import asyncio
import inspect
import logging
from typing import TYPE_CHECKING, Any, TypeAlias

from extproc.driving import failing, wait
from extproc.errors import BudgetError, HookError, PhaseError
from extproc.http import Response
from extproc.messages import Abort, MoreTime
from extproc.phases import Direction
from extproc.trace import Event, changes

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from extproc.chain import Link, Step
    from extproc.driving import Steps
    from extproc.exchange import Exchange
    from extproc.lane import Extras, Stage
    from extproc.messages import RawHeaders
    from extproc.trace import Change

__all__ = ["Suspended", "Verdict", "advance", "complete", "failed", "resume", "run", "run_chunk"]

Verdict: TypeAlias = "tuple[Link, Response] | Abort | None"
"""What came of running hooks: a filter's response, a broken stream, or nothing special."""

_Undo: TypeAlias = "tuple[RawHeaders, bytes | None, tuple[str, int | None], Extras]"
"""What a hook may change."""

_FIRST_FINAL_STATUS = 200

_logger = logging.getLogger("extproc.machine")


class Suspended:
    """A hook that has to be waited for.

    Attributes:
        step: whose hook it is.
        awaitable: what to wait for.
        undo: what there was before it.
    """

    __slots__ = ("awaitable", "step", "undo")

    def __init__(self, step: Step, awaitable: Any, undo: _Undo) -> None:
        self.step = step
        self.awaitable = awaitable
        self.undo = undo


def run(exchange: Exchange, stage: Stage, steps: Iterable[Step]) -> Steps[Verdict]:
    """Runs hooks, one filter after the other, until one of them answers."""
    queue = iter(steps)
    return (yield from resume(exchange, stage, queue, advance(exchange, stage, queue)))


def resume(exchange: Exchange, stage: Stage, queue: Iterator[Step], outcome: Verdict | Suspended) -> Steps[Verdict]:
    """Goes on where `advance` had to stop."""
    while isinstance(outcome, Suspended):
        step, undo = outcome.step, outcome.undo
        try:
            result = yield from _awaited(exchange, step.link, outcome.awaitable)
            verdict = _settle(exchange, stage, step, result, undo)
        except (Exception, asyncio.CancelledError) as error:  # noqa: BLE001 (the filter's policy decides)
            verdict = _undone(exchange, stage, step, error, undo)
        outcome = advance(exchange, stage, queue) if verdict is None else verdict
    return outcome


def advance(exchange: Exchange, stage: Stage, queue: Iterator[Step]) -> Verdict | Suspended:
    """Runs hooks as far as that goes without waiting: a plain function, for this is the hot path."""
    lane, side, fields = stage.lane, stage.side, stage.fields
    off, traced = exchange._off, exchange._events is not None
    limits = exchange._limits[stage.phase.direction]
    count, size = limits.header_count, limits.header_bytes
    lane.phase = stage.phase
    for step in queue:
        link = step.link
        if off and link.index in off and not _joins(exchange, step):  # no filter comes twice
            continue
        lane.link = link
        fields._allowed = link.requires
        fields._owned = False  # a hook that edits them makes its own copy
        items, body = fields._items, side._body
        marks, extras = side._marks, lane.extras
        try:
            hook = step.hook  # by itself: what is no method is slow to call as one
            result = hook(exchange)
            if result is None:
                new = fields._items
                few = new is items or (len(new) <= count and fields._at_most <= size)
                if few and side._body is body and not traced:
                    continue  # nothing that `_settle` has to look at
            elif not isinstance(result, Response) and inspect.isawaitable(result):
                return Suspended(step, result, (items, body, marks, extras))
            verdict = _settle(exchange, stage, step, result, (items, body, marks, extras))
        except (Exception, asyncio.CancelledError) as error:  # noqa: BLE001 (as in `resume`)
            verdict = _undone(exchange, stage, step, error, (items, body, marks, extras))
        if verdict is not None:
            return verdict
    return None


def _joins(exchange: Exchange, step: Step) -> bool:
    """Whether a filter that takes no part does so from here on, because its condition holds."""
    link = step.link
    if not (step.judges and link.when is not None and link.when.matches(exchange.request)):
        return False
    exchange._off -= {link.index}
    exchange._joined |= {link.index}
    return True


def _settle(exchange: Exchange, stage: Stage, step: Step, result: object, undo: _Undo) -> Verdict:
    """What comes of a hook that has returned."""
    side, fields = stage.side, stage.fields
    if fields._items is not undo[0] or side._body is not undo[1]:  # a new body edits content-length
        limits = exchange._limits[stage.phase.direction]
        if len(fields._items) > limits.header_count or fields._at_most > limits.header_bytes:
            limits.check(fields._items, stage.headers, fields._at_most)
    elif result is None:
        return None
    response = None
    if result is not None:
        if not isinstance(result, Response):
            raise HookError(
                f"returned {type(result).__name__}: a hook edits the exchange in place and returns a Response or None"
            )
        response = _checked(exchange, result, stage)
    if exchange._events is not None:
        _trace(exchange, stage, changes(undo[0], fields._items, undo[1], side._body), response)
    return None if response is None else (step.link, response)


def _undone(exchange: Exchange, stage: Stage, step: Step, error: BaseException, undo: _Undo) -> Verdict:
    """A hook has failed: nothing of what it did is left, and its filter's policy decides, whatever it was."""
    lane, side = stage.lane, stage.side
    stage.fields._restore(undo[0])
    side._body, side._marks, lane.extras = undo[1:]
    if isinstance(error, asyncio.CancelledError) and _is_being_cancelled():
        raise error
    return failed(exchange, stage, step.link, error)


def run_chunk(
    exchange: Exchange, stage: Stage, step: Step, chunk: bytes, *, intact: bool
) -> Verdict | bytes | Steps[Verdict | bytes]:
    """Runs a hook that takes pieces of a body; gives what takes the piece's place, right here if that needs no more.

    Args:
        exchange: whose.
        stage: where the body is.
        step: the hook; its filter takes part.
        chunk: a piece; an empty one is the end.
        intact: what the filter has given back so far is what it was given: it can still be left out.
    """
    lane, side = stage.lane, stage.side
    lane.phase, lane.link = stage.phase, step.link
    headers, extras = side._headers, lane.extras
    sealed, body, marks = headers._sealed, side._body, side._marks
    headers._sealed = side._body_sealed = _IN_PIECES
    side._body = None
    try:
        result = step.hook(exchange, chunk)
        if (result is None or isinstance(result, bytes)) and exchange._events is None:
            _after_chunk(stage, sealed, body)
            return chunk if result is None else result
        coming = _settled_chunk(exchange, stage, step.link, result)
    except (Exception, asyncio.CancelledError) as error:  # noqa: BLE001 (the filter's policy decides)
        coming = failing(error)
    return _chunk(exchange, stage, step.link, chunk, coming, (sealed, body, marks, extras), intact=intact)


def _chunk(  # noqa: PLR0917 (in the order in which they come to be)
    exchange: Exchange,
    stage: Stage,
    link: Link,
    chunk: bytes,
    coming: Steps[Response | bytes | None],
    undo: tuple[str, bytes | None, tuple[str, int | None], Extras],
    *,
    intact: bool,
) -> Steps[Verdict | bytes]:
    """The same once its result is there, and whatever that is."""
    lane, side = stage.lane, stage.side
    sealed, body, marks, extras = undo
    try:
        result = yield from coming
    except (Exception, asyncio.CancelledError) as error:
        side._marks, lane.extras = marks, extras
        if isinstance(error, asyncio.CancelledError) and _is_being_cancelled():
            raise
        verdict = failed(exchange, stage, link, error, final=not intact)
        return chunk if verdict is None else verdict
    finally:
        _after_chunk(stage, sealed, body)
    if isinstance(result, Response):
        _trace(exchange, stage, (), result)
        return link, result
    out = chunk if result is None else result
    if exchange._events is not None:
        _trace(exchange, stage, changes([], [], chunk, out), None)
    return out


def _after_chunk(stage: Stage, sealed: str, body: bytes | None) -> None:
    """What other hooks find again once one has had its piece."""
    side = stage.side
    side._headers._sealed, side._body = sealed, body
    side._body_sealed = "" if stage.rule.body or stage.rule.replace else _IN_PIECES


_IN_PIECES = "a hook that takes the body in pieces cannot, for it may have left already; edit it in on_*_headers"


def complete(exchange: Exchange, step: Step) -> Steps[None]:
    """Runs a filter's `on_complete`; if it fails, that is logged and no more."""
    link = exchange._lane.link = step.link
    try:
        result = step.hook(exchange)
        if result is not None and inspect.isawaitable(result):
            yield from wait(exchange, result, exchange._chain.timeout)
    except (Exception, asyncio.CancelledError) as error:
        if isinstance(error, asyncio.CancelledError) and _is_being_cancelled():
            raise
        _logger.exception("exchange %s: filter %r failed in on_complete", exchange.id, link.name)


def failed(exchange: Exchange, stage: Stage, link: Link, error: BaseException, *, final: bool = False) -> Verdict:
    """Applies a filter's failure policy, and takes the filter out of the rest of the exchange.

    Args:
        exchange: whose.
        stage: where it failed.
        link: the filter.
        error: why.
        final: nobody can go on without it, for it holds a part of the body.
    """
    exchange._off |= {link.index}
    policy = "deny" if final else link.on_error
    kind = "timeout" if isinstance(error, TimeoutError) else "error"
    sentence = f"{type(error).__name__}: {error}" if str(error) else type(error).__name__
    what = (exchange.id, link.name, stage.phase.value, policy, sentence)
    _logger.error("exchange %s: filter %r failed in %s (policy: %s): %s", *what, exc_info=error)
    if exchange._events is not None:
        exchange._events.append(Event(link.name, stage.phase, policy, note=sentence))
    if policy == "skip" or exchange.watched:
        return None
    details = f"extproc.{link.name}.{kind}"
    # Where it is too late for a response, Envoy breaks off the one that is under way. To break the stream off instead
    # would leave it to Envoy's own failure mode, which may let the rest out.
    if isinstance(error, BudgetError) and stage.is_request:
        return link, Response(413, details=details)
    return link, Response(504 if kind == "timeout" else 500, details=details)


# What a hook gives back


def _settled_chunk(exchange: Exchange, stage: Stage, link: Link, result: Any) -> Steps[Response | bytes | None]:
    if inspect.isawaitable(result):
        result = yield from _awaited(exchange, link, result)
    if isinstance(result, Response):
        return _checked(exchange, result, stage)
    if result is None or isinstance(result, bytes):
        return result
    raise HookError(f"returned {type(result).__name__}: a chunk hook returns bytes, a Response or None")


def _awaited(exchange: Exchange, link: Link, awaitable: Any) -> Steps[Any]:
    left, lane = exchange.remaining, exchange._lane
    if exchange._more_time is not None and not (lane.extended or exchange.watched):
        lane.extended = True
        lane.emit(MoreTime(exchange._more_time))
    result = yield from wait(exchange, awaitable, left if link.timeout is None else min(left, link.timeout))
    return result


def _checked(exchange: Exchange, response: Response, stage: Stage) -> Response | None:
    if response is stage.side:
        return None  # the very response that is under way: it goes on
    if exchange.watched:
        _logger.info("exchange %s: a response is not sent, Envoy only watches", exchange.id)
        return None
    if not _can_answer(exchange, stage):
        raise PhaseError("a Response comes too late here: the client already has the beginning of another")
    if response.status < _FIRST_FINAL_STATUS:  # one that Envoy received: a filter can make none
        raise PhaseError(f"a response with status {response.status} cannot be the answer: return one of your own")
    exchange._limits[Direction.RESPONSE].check(response._headers._items, [])
    return response


def _can_answer(exchange: Exchange, stage: Stage) -> bool:
    """Whether an immediate response still reaches the client whole."""
    return stage.rule.immediate and not (exchange._response_begun and stage.is_request)


def _is_being_cancelled() -> bool:
    """Whether somebody cancels the exchange; else a hook let out the cancellation of what it was waiting for."""
    try:
        task = asyncio.current_task()
    except RuntimeError:
        return False  # no event loop: nobody can
    return task is not None and task.cancelling() > 0


def _trace(exchange: Exchange, stage: Stage, changed: tuple[Change, ...], response: Response | None) -> None:
    events, link = exchange._events, stage.lane.link
    if events is None or link is None:
        return
    if changed:
        events.append(Event(link.name, stage.phase, "edit", changed))
    if response is not None:
        note = f"{response.status} {response.details}".rstrip()
        events.append(Event(link.name, stage.phase, "respond", note=note))
