"""What blocks the event loop is named while it does, once, and again when it ends."""

from __future__ import annotations

import asyncio
import logging
import threading
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from extproc import Chain, Exchange, Filter, Use
from extproc.clock import SystemClock
from extproc.machine import ExchangeMachine
from extproc.server.watchdog import LoopWatchdog
from tests.envoy_side import request

THRESHOLD = 0.05
"""Seconds."""

A_LONG_TIME = 30.0
"""Seconds after which a test gives up waiting."""


class Told(logging.Handler):
    """Tells a blocked loop that its watchdog has spoken."""

    def __init__(self) -> None:
        super().__init__()
        self.lines: list[str] = []
        self.stall = threading.Event()
        self.end = threading.Event()

    def emit(self, record: logging.LogRecord) -> None:
        self.lines.append(record.getMessage())
        (self.stall if "has held up" in self.lines[-1] else self.end).set()

    def wait_for_a_stall(self) -> None:
        assert self.stall.wait(A_LONG_TIME)

    @contextmanager
    def listening(self) -> Iterator[None]:
        logger = logging.getLogger("extproc.server")
        logger.addHandler(self)
        yield
        logger.removeHandler(self)


@pytest.fixture
def told() -> Iterator[Told]:
    told = Told()
    with told.listening():
        yield told


class Blocks(Filter):
    def on_request_headers(self, exchange: Exchange) -> None:
        self.look_up(exchange.state["told"])

    def look_up(self, told: Told) -> None:
        told.wait_for_a_stall()


class BlocksLater(Blocks):
    async def on_request_headers(self, exchange: Exchange) -> None:  # type: ignore[override]
        await asyncio.sleep(0)
        self.look_up(exchange.state["told"])


async def run(chain: Chain, told: Told) -> LoopWatchdog:
    with LoopWatchdog(THRESHOLD, SystemClock()) as watchdog:
        machine = ExchangeMachine(chain, "x-1")
        machine.exchange.state["told"] = told
        await machine.receive(request())
        await asyncio.to_thread(told.end.wait, A_LONG_TIME)
    return watchdog


@pytest.mark.parametrize("kind", [Blocks, BlocksLater])
async def test_the_filter_that_blocks_is_named_with_its_stack(kind: type[Blocks], told: Told) -> None:
    watchdog = await run(Chain([Use(kind(), name="looks-up")], timeout=60.0), told)
    stall, end = told.lines
    hook = f"filter 'looks-up' ({kind.__name__}.on_request_headers, exchange x-1)"
    headline, *stack = stall.splitlines()
    assert headline == f"{hook} has held up the event loop, and so every exchange, for 50 ms:"
    assert "in on_request_headers" in stack[0]
    assert "in wait_for_a_stall" in stall
    assert end.startswith(f"{hook} held up the event loop for ")
    assert watchdog.stalls == 1


async def test_a_stall_that_is_nobodys_hook_shows_the_whole_stack(told: Told) -> None:
    with LoopWatchdog(THRESHOLD, SystemClock()):
        told.wait_for_a_stall()
        await asyncio.to_thread(told.end.wait, A_LONG_TIME)
    assert told.lines[0].startswith("code of no filter has held up")
    assert "in test_a_stall_that_is_nobodys_hook_shows_the_whole_stack" in told.lines[0]


async def test_a_filter_without_an_exchange_is_named_too(told: Told) -> None:
    class Opens(Filter):
        async def start(self) -> None:
            told.wait_for_a_stall()

    with LoopWatchdog(THRESHOLD, SystemClock()):
        await Opens().start()
        await asyncio.to_thread(told.end.wait, A_LONG_TIME)
    assert told.lines[0].startswith("a filter (Opens.start) has held up")


async def test_each_stall_is_told_once(told: Told) -> None:
    with LoopWatchdog(THRESHOLD, SystemClock()) as watchdog:
        for _ in range(3):
            told.stall.clear()
            told.end.clear()
            told.wait_for_a_stall()
            await asyncio.to_thread(told.end.wait, A_LONG_TIME)
    assert watchdog.stalls == 3
    assert len(told.lines) == 6


async def test_its_thread_ends_with_it() -> None:
    with LoopWatchdog(THRESHOLD, SystemClock()) as watchdog:
        assert watchdog._thread.is_alive()
    assert not watchdog._thread.is_alive()


async def test_it_can_be_left_out() -> None:
    with LoopWatchdog(None, SystemClock()) as watchdog:
        assert not watchdog._thread.is_alive()
