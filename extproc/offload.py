"""`Threads`: where the hooks of a filter with ``offload = "thread"`` run, so that they may block."""

from __future__ import annotations

# An exchange keeps its clock from filters, not from what runs them.
# pyright: reportPrivateUsage=false
import contextvars
import inspect
import logging
import threading
from collections.abc import Callable
from concurrent.futures import Future
from functools import partial, wraps
from queue import SimpleQueue
from typing import TYPE_CHECKING, Any, TypeAlias

from extproc.errors import HookError, OffloadError
from extproc.twin import Twin

if TYPE_CHECKING:
    from collections.abc import Awaitable

    from extproc.exchange import Exchange

__all__ = ["Threads"]

_Hook: TypeAlias = Callable[..., Any]
_Outcome: TypeAlias = "tuple[Any, BaseException | None]"
"""What a hook returned, or what it raised."""
_Work: TypeAlias = "tuple[Future[_Outcome], Callable[[], _Outcome]]"

_WAITING_PER_THREAD = 16

_logger = logging.getLogger("extproc.machine")


class Threads:
    """A few threads, started when they are needed, and a bounded queue before them. Its methods are for the loop.

    A hook that was given up keeps its thread until it returns, for a thread cannot be stopped. The threads are daemons:
    one that hangs does not keep the process from ending.

    Attributes:
        size: how many hooks may run at once.
        refused: how often all threads were busy and the queue was full.
        given_up: how many hooks are running that nobody waits for any more.
    """

    def __init__(self, size: int) -> None:
        """Starts nothing yet.

        Raises:
            ValueError: `size` is not positive.
        """
        if size < 1:
            raise ValueError(f"a chain's threads are a positive number, not {size}")
        self.size = size
        self.refused = 0
        self.given_up = 0
        self._most = size * (1 + _WAITING_PER_THREAD)
        self._started = 0
        self._unfinished = 0
        self._counting = threading.Lock()
        self._queue: SimpleQueue[_Work | None] = SimpleQueue()

    def offloaded(self, hook: _Hook, name: str) -> _Hook:
        """A hook that runs here whenever `hook` is to run, and gives an awaitable.

        Args:
            hook: the bound method of a filter; a plain function.
            name: what the chain calls the filter.
        """

        @wraps(hook)
        def submit(exchange: Exchange, *arguments: Any) -> Awaitable[Any]:
            twin = Twin(exchange)  # here, and not when it is awaited: the exchange may be elsewhere by then
            work = self._submit(partial(hook, twin.exchange, *arguments))
            return self._outcome(work, twin, name)

        return submit

    def close(self) -> None:
        """Ends the threads, each when its hook returns; the next hook would start new ones."""
        for _ in range(self._started):
            self._queue.put(None)
        self._queue = SimpleQueue()
        self._started = 0

    def _submit(self, call: Callable[[], Any]) -> Future[_Outcome]:
        with self._counting:
            if self._unfinished >= self._most:
                self.refused += 1
                raise OffloadError(self.size, self.given_up)
            self._unfinished += 1
            if self._unfinished > self._started < self.size:
                self._started += 1
                threading.Thread(target=self._work, args=(self._queue,), name="extproc-hook", daemon=True).start()
        future: Future[_Outcome] = Future()
        self._queue.put((future, partial(_called, contextvars.copy_context(), call)))
        return future

    async def _outcome(self, work: Future[_Outcome], twin: Twin, name: str) -> Any:
        import asyncio  # noqa: PLC0415 (every chain imports this module, and the command line must stay quick)

        try:
            result, error = await asyncio.wrap_future(work)
        except asyncio.CancelledError:  # it took too long, or the exchange is over
            twin.seal("the hook took too long, and the exchange has gone on without it")
            if not work.cancel() and not work.done():
                self._give_up(work, twin, name)
            raise
        if error is not None:
            raise error
        twin.adopt()
        return twin.original_of(result)

    def _give_up(self, work: Future[_Outcome], twin: Twin, name: str) -> None:
        exchange = twin.exchange
        since = exchange._clock.monotonic()
        with self._counting:
            self.given_up += 1

        def returned(_: Future[_Outcome]) -> None:
            late = exchange._clock.monotonic() - since
            _logger.warning("exchange %s: filter %r returned %.3f s after it was given up", exchange.id, name, late)
            with self._counting:
                self.given_up -= 1

        work.add_done_callback(returned)

    def _work(self, queue: SimpleQueue[_Work | None]) -> None:
        """One thread."""
        while (item := queue.get()) is not None:
            future, call = item
            if future.set_running_or_notify_cancel():
                future.set_result(call())
            with self._counting:
                self._unfinished -= 1


def _called(context: contextvars.Context, call: Callable[[], Any]) -> _Outcome:
    """Runs a hook, whatever it raises: `StopIteration`, for one, no future takes."""
    try:
        result = context.run(call)
    except BaseException as error:  # noqa: BLE001 (the machine decides, on the loop)
        return None, error
    if inspect.iscoroutine(result):
        result.close()
        return None, HookError('returned a coroutine: with offload = "thread", a hook does its work before it returns')
    return result, None
