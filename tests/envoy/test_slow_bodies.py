"""Clients that send their bodies a byte at a time: what they take of the processor is the bytes that have come."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
from pydantic import PrivateAttr

from extproc import Exchange, Filter
from extproc.envoy.plain_http import split_address
from extproc.server.session import Service
from extproc.testing import Gateway
from tests.envoy.behind import Config, behind_envoy

CLIENTS = 20
BYTES = 20
"""That each of them sends, one at a time."""


class Counts(Filter):
    """Knows how much has come."""

    _came: asyncio.Event = PrivateAttr(default_factory=asyncio.Event)
    _bytes: int = PrivateAttr(0)

    def on_request_chunk(self, exchange: Exchange, chunk: bytes) -> None:
        self._bytes += len(chunk)
        self._came.set()

    async def all_of(self, count: int) -> None:
        while self._bytes < count:
            self._came.clear()
            await self._came.wait()


class Whole(Filter):
    def on_request_body(self, exchange: Exchange) -> None:
        exchange.request.body = exchange.request.body.upper()


class Client:
    """One that takes its time."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader, self._writer = reader, writer
        writer.write(b"POST / HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked\r\nconnection: close\r\n\r\n")

    def send(self, byte: bytes) -> None:
        self._writer.write(b"1\r\n%b\r\n" % byte)

    async def status(self) -> bytes:
        """Ends the body; the status of the reply."""
        self._writer.write(b"0\r\n\r\n")
        reply = await self._reader.read()
        self._writer.close()
        return reply.split(b" ", 2)[1]


@asynccontextmanager
async def clients(mode: str, *filters: Filter) -> AsyncIterator[tuple[Gateway, list[Client]]]:
    def edit(_: Config, ext_proc: Config) -> None:
        ext_proc["processing_mode"] |= {"request_body_mode": mode, "request_trailer_mode": "SEND"}

    async with behind_envoy(*filters, timeout=30.0, edit=edit) as gateway:
        address = split_address(gateway.address)
        slow = [Client(*await asyncio.open_connection(*address)) for _ in range(CLIENTS)]
        yield gateway, slow
        assert [await client.status() for client in slow] == [b"200"] * CLIENTS
        assert [request.content for request in gateway.upstream.requests] == [b"X" * BYTES] * CLIENTS


def service_of(gateway: Gateway) -> Service:
    service: Service = gateway._front._service  # type: ignore[attr-defined]
    return service


@pytest.mark.parametrize("mode", ["STREAMED", "FULL_DUPLEX_STREAMED"])
async def test_where_the_processor_holds_a_body_it_holds_what_has_come_and_no_task(mode: str) -> None:
    counts = Counts()
    async with clients(mode, counts, Whole()) as (gateway, slow):
        service = service_of(gateway)
        for sent in range(1, BYTES + 1):
            for client in slow:
                client.send(b"x")
            await counts.all_of(CLIENTS * sent)
            assert (service.bodies.held, service._running) == (CLIENTS * sent, {})
    assert service.bodies.held == 0


async def test_where_envoy_holds_it_the_processor_is_told_of_nothing_before_its_end() -> None:
    async with clients("BUFFERED", Whole()) as (gateway, slow):
        for _ in range(BYTES):
            for client in slow:
                client.send(b"x")
        assert (await gateway.send("GET", "/")).status == 200  # Envoy has read some of them by now
        gateway.upstream.requests.clear()
        stats = await gateway.stats()
        assert stats["stream_msgs_sent"] <= CLIENTS + 1  # their headers
