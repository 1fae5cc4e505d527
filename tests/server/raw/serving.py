"""A native front to try things on, and proof that whatever was done to it left nothing behind."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

from extproc import Chain, Exchange, Filter
from extproc.server import FrontOptions
from extproc.server.native import NativeFront
from tests.server.raw.peer import Peer
from tests.server.raw.requests import check

_GRPC_POLLER = "PollerCompletionQueue"
"""Of grpc.aio, whose clients at times find nothing where they were told there is something."""


class Tag(Filter):
    """Needs nothing but headers."""

    def on_request_headers(self, exchange: Exchange) -> None:
        exchange.request.headers["x-tag"] = "on"


class Upper(Filter):
    """Answers a body with one as long."""

    def on_request_body(self, exchange: Exchange) -> None:
        exchange.request.body = exchange.request.body.upper()


class UpperPieces(Filter):
    """The same, piece by piece."""

    def on_request_chunk(self, exchange: Exchange, chunk: bytes) -> bytes:
        return chunk.upper()


class Loud(logging.Handler):
    """Keeps what was logged with a traceback: a peer, whatever it does, is no error of ours.

    That a filter fails is another matter: it may be told what makes no sense.
    """

    def __init__(self) -> None:
        super().__init__(logging.ERROR)
        self.records: list[logging.LogRecord] = []

    def emit(self, record: logging.LogRecord) -> None:
        if record.exc_info and record.name != "extproc.machine":
            self.records.append(record)


@asynccontextmanager
async def serving(*filters: Filter, clients_leave: bool = True, **options: Any) -> AsyncIterator[NativeFront]:
    """A front with these filters, which at the end holds nothing any more and has logged no error.

    Args:
        filters: of its chain; by default some that answer everything.
        clients_leave: they are gone when the test is over; else the front has to make them.
        options: of the front.
    """
    unhandled: list[dict[str, Any]] = []
    loop = asyncio.get_running_loop()
    loop.set_exception_handler(lambda _, context: unhandled.append(context))
    loud = Loud()
    logging.getLogger().addHandler(loud)
    before = _tasks()
    try:
        chain, told = Chain(filters or (Tag(), Upper()), timeout=30), FrontOptions(**{"grace": 0.0, **options})
        async with NativeFront(chain, options=told) as front:
            yield front
            if clients_leave:
                await _until(lambda: not front.gauges()["connections"])
                assert set(front.gauges().values()) == {0}, front.gauges()
        assert set(front.gauges().values()) == {0}, front.gauges()
        await _until(lambda: _tasks() <= before)  # a client may still be tidying up
        unexpected = [context for context in unhandled if _GRPC_POLLER not in context["message"]]
        assert not unexpected, unexpected
        assert not loud.records, [logging.Formatter().format(record) for record in loud.records]
    finally:
        logging.getLogger().removeHandler(loud)
        loop.set_exception_handler(None)


def _tasks() -> set[asyncio.Task[Any]]:
    return asyncio.all_tasks() - {asyncio.current_task()}


async def _until(condition: Callable[[], bool]) -> None:
    """Waits for what nobody tells of; not for ever."""
    async with asyncio.timeout(5):
        while not condition():
            await asyncio.sleep(0.001)


async def healthy(peer: Peer, stream: int) -> None:
    """A call on a stream of this connection is served."""
    peer.send(check(stream))
    assert (await peer.answer(stream)).status == "0"
