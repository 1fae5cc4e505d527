"""Driving the machine's generators: they yield what a hook wants to wait for, and nothing else.

A chain whose hooks do not suspend never yields, so its generators end at the first step: no coroutine, no task.
"""

from __future__ import annotations

# An exchange keeps its lane from filters, not from what drives it.
# pyright: reportPrivateUsage=false
import asyncio
import inspect
import logging
from collections.abc import Awaitable, Callable, Coroutine, Generator
from contextlib import suppress
from functools import partial
from typing import TYPE_CHECKING, Any, NoReturn, TypeAlias, TypeVar, cast

from extproc.trace import Event

if TYPE_CHECKING:
    from extproc.exchange import Exchange

__all__ = ["Steps", "drive", "failing", "go_on", "settled", "wait"]

_CLEANUP_SECONDS = 0.1
"""What a hook that is cancelled has left to clean up; less than Envoy waits longer than the chain."""

_logger = logging.getLogger("extproc.machine")

_T = TypeVar("_T")

Steps: TypeAlias = Generator[Awaitable[Any], Any, _T]
"""Work that may have to wait: whoever drives it awaits what it yields, inside a task, and sends back the result."""


async def drive(steps: Steps[_T]) -> _T:
    """Runs `steps` to their end, waiting where they wait."""
    try:
        waited = next(steps)
    except StopIteration as stop:
        result: _T = stop.value
        return result
    return await go_on(steps, waited)


async def go_on(steps: Steps[_T], waited: Awaitable[Any]) -> _T:
    """Runs `steps` from their first wait to their end."""
    try:
        while True:
            try:
                value = await waited
            except BaseException as error:  # noqa: BLE001 (it belongs to the steps, cancellation too)
                waited = steps.throw(error)
            else:
                waited = steps.send(value)
    except StopIteration as stop:
        result: _T = stop.value
        return result


def settled(outcome: _T | Steps[_T]) -> Steps[_T]:
    """What came of something that may have to wait, or has come of it already."""
    if isinstance(outcome, Generator):
        return (yield from cast("Steps[_T]", outcome))
    return outcome


def failing(error: BaseException) -> Steps[Any]:
    """Steps of something that has failed already."""
    yield from ()
    raise error


def wait(exchange: Exchange, awaitable: Awaitable[_T], seconds: float | None) -> Steps[_T]:
    """Waits for what a hook gave back; whenever its code goes on, the exchange is that of its lane.

    Raises:
        TimeoutError: it took longer than `seconds`; None: it may take its time.
    """
    lane = exchange._lane
    try:
        value: _T = yield _InTurn(exchange, awaitable, seconds)
    finally:
        exchange._lane = lane
        if inspect.iscoroutine(awaitable):
            awaitable.close()  # where the driver was cancelled before it began, it has not run
    return value


class _InTurn(Awaitable[Any]):
    """A hook that shares an exchange with one of the other direction: each finds its own lane when it goes on.

    One that has used up its time is cancelled, and gets a moment to clean up. If it still waits after that, it is
    closed: whoever waits for it must not wait for ever.
    """

    def __init__(self, exchange: Exchange, awaitable: Awaitable[Any], seconds: float | None) -> None:
        self._exchange = exchange
        self._lane = exchange._lane
        self._awaitable = awaitable
        self._seconds = seconds
        self._insisted = False

    def __await__(self) -> Generator[Any, Any, Any]:
        task = asyncio.current_task()
        assert task is not None  # noqa: S101 (steps are driven in one)
        cancelled_before = task.cancelling()
        limit = asyncio.timeout(self._seconds)
        coroutine = _limited(self._awaitable, limit)
        step: Callable[[], Any] = partial(coroutine.send, None)
        last_moment: asyncio.TimerHandle | None = None
        try:
            while not self._insisted:
                self._exchange._lane = self._lane
                waited = step()
                late = limit.expired() if self._seconds is not None else task.cancelling() > cancelled_before
                if late and last_moment is None:
                    last_moment = asyncio.get_running_loop().call_later(_CLEANUP_SECONDS, self._insist, task)
                try:
                    step = partial(coroutine.send, (yield waited))
                except BaseException as error:  # noqa: BLE001 (it belongs to the coroutine)
                    step = partial(coroutine.throw, error)
            task.uncancel()
            self._close(coroutine)
        except Exception as end:
            if task.cancelling() > cancelled_before:  # the exchange is over, and the hook made nothing of it
                if isinstance(end, StopIteration):
                    self._swallowed("was cancelled and returned")
                raise asyncio.CancelledError from end
            if isinstance(end, StopIteration):
                return end.value
            raise
        finally:
            if last_moment is not None:
                last_moment.cancel()

    def _insist(self, task: asyncio.Task[Any]) -> None:
        self._insisted = True
        task.cancel()

    def _close(self, coroutine: Coroutine[Any, Any, Any]) -> NoReturn:
        self._swallowed("was cancelled and went on: its hook is closed")
        with suppress(RuntimeError):  # it would not even be closed, and stays where it is
            coroutine.close()
        raise TimeoutError("it was cancelled, and went on")

    def _swallowed(self, what: str) -> None:
        """A hook that pays no heed to its cancellation holds others up: let whoever watches know."""
        exchange, link, phase = self._exchange, self._lane.link, self._lane.phase
        _logger.error("exchange %s: filter %r %s", exchange.id, link.name if link is not None else "", what)
        if exchange._events is not None and link is not None and phase is not None:
            exchange._events.append(Event(link.name, phase, "swallow", note=what))


async def _limited(awaitable: Awaitable[_T], limit: asyncio.Timeout) -> _T:
    async with limit:
        return await awaitable
