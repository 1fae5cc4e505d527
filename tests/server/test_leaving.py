"""A client goes away, or the processor stops: hooks learn of it, exchanges end once, and nothing is left behind."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import suppress
from typing import Any

import pytest

from extproc import Chain, Exchange
from extproc.server import Bounds, FrontOptions
from extproc.server.session import Service, Session
from tests.acting import acting_with
from tests.jumping_loop import LoopClock, run
from tests.server.conftest import body_message, headers_message

NEVER = 1e9
"""Seconds, in a loop where waiting takes no time."""


class Silence:
    """A stream to which nothing may be sent any more."""

    def send(self, data: bytes, body: bytes = b"") -> None: ...

    def end(self, code: str, reason: str) -> None: ...

    def consumed(self, size: int) -> None: ...

    def writable(self) -> None: ...


async def waits(exchange: Exchange) -> None:
    await asyncio.sleep(NEVER)


async def cleans_up(exchange: Exchange) -> None:
    try:
        await asyncio.sleep(NEVER)
    finally:
        await asyncio.sleep(0.01)


async def swallows(exchange: Exchange) -> None:
    while True:
        with suppress(asyncio.CancelledError):
            await asyncio.sleep(NEVER)


async def fails_instead(exchange: Exchange) -> None:
    try:
        await asyncio.sleep(NEVER)
    except asyncio.CancelledError:
        raise LookupError from None


async def the_client_goes_away(service: Service, session: Session) -> None:
    session.cancel()


async def the_processor_is_stopped(service: Service, session: Session) -> None:
    await service.aclose()


async def both_at_once(service: Service, session: Session) -> None:
    session.cancel()
    await service.aclose()


HOOKS = [waits, cleans_up, swallows, fails_instead]
PHASES = ["on_request_headers", "on_request_body", "on_request_chunk", "on_response_headers"]
LEAVING = [the_client_goes_away, the_processor_is_stopped, both_at_once]


@pytest.mark.parametrize("way", LEAVING)
@pytest.mark.parametrize("phase", PHASES)
@pytest.mark.parametrize("hook", HOOKS)
def test_the_exchange_ends_once_and_leaves_nothing_behind(
    hook: Callable[..., Any], phase: str, way: Callable[..., Any]
) -> None:
    ended: list[str] = []
    entered: list[asyncio.Event] = []

    async def enter(exchange: Exchange, *chunk: bytes) -> None:
        entered[0].set()
        await hook(exchange)

    async def complete(exchange: Exchange) -> None:
        await asyncio.sleep(0.01)
        ended.append(exchange.ended)

    async def exchange() -> None:
        entered.append(asyncio.Event())
        chain = Chain([acting_with({phase: enter, "on_complete": complete})])
        service = Service(chain, FrontOptions(clock=LoopClock(), bounds=Bounds(stall=None)))
        session = service.open(Silence())
        for message in (headers_message(end_of_stream=False), body_message(b"hello")):
            session.receive(message.SerializeToString())
        session.receive(b"\x1a\x00")  # the response's headers
        await entered[0].wait()
        await way(service, session)
        while service._running:
            await asyncio.wait(service._running)
        assert (session.over, service.bodies.held) == (True, 0)
        assert asyncio.all_tasks() == {asyncio.current_task()}

    run(exchange())
    assert ended == ["cancelled"]
