"""A client that goes away in the middle of its body: hooks learn of it, exchanges end once, no memory stays taken."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import ClassVar

import pytest
from pydantic import PrivateAttr

from extproc import Exchange, Filter
from extproc.envoy.plain_http import split_address
from extproc.server.session import Service
from extproc.testing import Gateway
from tests.envoy.behind import Config, behind_envoy

PIECE = b"x" * 50_000
A_LONG_TIME = 30.0
"""Seconds after which a test gives up waiting."""


class Watch(Filter):
    """Says when the body begins to come, and how the exchange ended."""

    _came: asyncio.Event = PrivateAttr(default_factory=asyncio.Event)
    _ends: asyncio.Queue[str] = PrivateAttr(default_factory=asyncio.Queue)

    def on_request_chunk(self, exchange: Exchange, chunk: bytes) -> None:
        self._came.set()

    def on_complete(self, exchange: Exchange) -> None:
        self._ends.put_nowait(exchange.ended)


class Whole(Filter):
    """Wants the body whole, and so what comes of it is held."""

    def on_request_body(self, exchange: Exchange) -> None:
        raise AssertionError("the body never came whole")


class Waits(Filter):
    """Is still busy with a piece."""

    _cancelled: asyncio.Event = PrivateAttr(default_factory=asyncio.Event)

    async def on_request_chunk(self, exchange: Exchange, chunk: bytes) -> None:
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            self._cancelled.set()
            raise


class Begins(Filter):
    """Has begun something that it would await later."""

    _cancelled: asyncio.Event = PrivateAttr(default_factory=asyncio.Event)

    def on_request_headers(self, exchange: Exchange) -> None:
        _ = exchange.spawn(self._wait())

    async def _wait(self) -> None:
        try:
            await asyncio.Event().wait()
        finally:
            self._cancelled.set()


class Blocks(Filter):
    """Is busy with a piece in a thread, until it is let go."""

    offload: ClassVar = "thread"
    _go: threading.Event = PrivateAttr(default_factory=threading.Event)

    def on_request_chunk(self, exchange: Exchange, chunk: bytes) -> None:
        assert self._go.wait(A_LONG_TIME)


@asynccontextmanager
async def leaving(mode: str, watch: Watch, other: Filter) -> AsyncIterator[tuple[Gateway, str]]:
    """A client has sent a part of its body and has gone; gives how the exchange ended."""

    def in_pieces(_: Config, ext_proc: Config) -> None:
        ext_proc["processing_mode"] |= {"request_body_mode": mode, "request_trailer_mode": "SEND"}

    async with behind_envoy(watch, other, timeout=A_LONG_TIME, edit=in_pieces) as gateway:
        _, writer = await asyncio.open_connection(*split_address(gateway.address))
        writer.write(b"POST / HTTP/1.1\r\nhost: a\r\ncontent-length: 900000\r\n\r\n" + PIECE)
        await watch._came.wait()
        writer.close()
        yield gateway, await watch._ends.get()
        assert watch._ends.empty()


def service_of(gateway: Gateway) -> Service:
    service: Service = gateway._front._service  # type: ignore[attr-defined]
    return service


@pytest.mark.parametrize("mode", ["STREAMED", "FULL_DUPLEX_STREAMED"])
async def test_what_was_held_of_the_body_is_given_back(mode: str) -> None:
    async with leaving(mode, Watch(), Whole()) as (gateway, _):
        bodies = service_of(gateway).bodies
        assert (bodies.peak > 0, bodies.held) == (True, 0)


async def test_a_hook_that_waits_is_cancelled() -> None:
    waits = Waits()
    async with leaving("STREAMED", Watch(), waits) as (_, ended):
        assert (ended, waits._cancelled.is_set()) == ("cancelled", True)


async def test_what_a_hook_has_begun_beside_the_exchange_is_cancelled() -> None:
    begins = Begins()
    async with leaving("STREAMED", Watch(), begins):
        await asyncio.wait_for(begins._cancelled.wait(), A_LONG_TIME)


async def test_a_hook_in_a_thread_is_given_up() -> None:
    blocks = Blocks()
    async with leaving("STREAMED", Watch(), blocks) as (gateway, ended):
        assert ended == "cancelled"
        assert service_of(gateway).chain.threads.given_up == 1
        blocks._go.set()
