"""Driving the machine's generators: they yield what a hook wants to wait for, and nothing else.

A chain whose hooks do not suspend never yields, so its generators end at the first step: no coroutine, no task.
"""

from __future__ import annotations

# An exchange keeps its lane from filters, not from what drives it.
# pyright: reportPrivateUsage=false
import asyncio
import inspect
from collections.abc import Awaitable, Coroutine, Generator
from typing import TYPE_CHECKING, Any, TypeAlias, TypeVar

if TYPE_CHECKING:
    from extproc.exchange import Exchange

__all__ = ["Steps", "drive", "go_on", "wait"]

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


def wait(exchange: Exchange, awaitable: Awaitable[_T], seconds: float) -> Steps[_T]:
    """Waits for what a hook gave back; whenever its code goes on, the exchange is that of its lane.

    Raises:
        TimeoutError: it took longer than `seconds`.
    """
    lane = exchange._lane
    limited = _limited(awaitable, seconds)
    try:
        value: _T = yield _InTurn(exchange, limited)
    finally:
        exchange._lane = lane
        limited.close()  # where the driver was cancelled before it began, neither has run
        if inspect.iscoroutine(awaitable):
            awaitable.close()
    return value


async def _limited(awaitable: Awaitable[_T], seconds: float) -> _T:
    async with asyncio.timeout(seconds):
        return await awaitable


class _InTurn(Awaitable[Any]):
    """A coroutine that shares an exchange with one of the other direction: each finds its own lane when it goes on."""

    def __init__(self, exchange: Exchange, coroutine: Coroutine[Any, Any, Any]) -> None:
        self._exchange = exchange
        self._lane = exchange._lane
        self._coroutine = coroutine

    def __await__(self) -> Generator[Any, Any, Any]:
        value: Any = None
        error: BaseException | None = None
        while True:
            self._exchange._lane = self._lane
            try:
                waited = self._coroutine.send(value) if error is None else self._coroutine.throw(error)
            except StopIteration as stop:
                return stop.value
            try:
                value, error = (yield waited), None
            except BaseException as thrown:  # noqa: BLE001 (it belongs to the coroutine)
                value, error = None, thrown
