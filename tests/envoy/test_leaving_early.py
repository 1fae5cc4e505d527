"""A processor that has nothing more to do ends its stream: the rest of the exchange goes on as if it were there."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest
import pytest_asyncio

from extproc import Chain, Exchange, Filter, Response
from extproc.envoy.plain_http import PlainReply
from extproc.testing import Gateway

pytestmark = pytest.mark.asyncio(loop_scope="module")

BIG = b"x" * (3 << 20)


class Tag(Filter):
    def on_request_headers(self, exchange: Exchange) -> Response | None:
        exchange.request.headers["x-tag"] = "on"
        return Response(403) if exchange.request.path == "/denied" else None


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def gateway() -> AsyncIterator[Gateway]:
    answer = PlainReply(status=200, headers=[(b"x-from", b"upstream")], body=[BIG, b"end"])
    async with Gateway(Chain([Tag()]), upstream=answer) as gateway:
        yield gateway


@pytest.mark.parametrize("body", [b"", b"small", BIG, [BIG, b"chunk", BIG]], ids=["none", "small", "big", "chunked"])
async def test_both_bodies_pass_whole(gateway: Gateway, body: bytes | list[bytes]) -> None:
    reply = await gateway.send("POST", "/", body=body)
    (request,) = gateway.upstream.requests[-1:]
    assert (reply.status, reply.content) == (200, BIG + b"end")
    assert request.value("x-tag") == b"on"
    assert request.content == (body if isinstance(body, bytes) else b"".join(body))


async def test_a_refusal_still_refuses(gateway: Gateway) -> None:
    before = len(gateway.upstream.requests)
    assert (await gateway.send("GET", "/denied")).status == 403
    assert len(gateway.upstream.requests) == before


async def test_many_at_once_are_all_processed_and_nothing_fails(gateway: Gateway) -> None:
    before = len(gateway.upstream.requests)
    await asyncio.gather(*(gateway.send("GET", "/") for _ in range(30)))
    assert [request.value("x-tag") for request in gateway.upstream.requests[before:]] == [b"on"] * 30
    stats = await gateway.stats()
    assert {name: stats[name] for name in ("streams_failed", "spurious_msgs_received", "message_timeouts")} == {
        "streams_failed": 0,
        "spurious_msgs_received": 0,
        "message_timeouts": 0,
    }
