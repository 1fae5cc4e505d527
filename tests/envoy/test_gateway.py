from __future__ import annotations

import tempfile
from pathlib import Path

import pytest

from extproc import Chain, Exchange, Filter, Response
from extproc.envoy.plain_http import PlainReply, PlainRequest
from extproc.testing import Gateway


class Doubling(Filter):
    def on_request_body(self, exchange: Exchange) -> Response | None:
        exchange.request.body *= 2
        return None

    def on_response_headers(self, exchange: Exchange) -> None:
        exchange.response.headers["x-done"] = "yes"


def echo(request: PlainRequest) -> PlainReply:
    return PlainReply(status=201, body=request.body)


async def test_a_client_sees_what_the_chain_made_of_request_and_response() -> None:
    async with Gateway(Chain([Doubling()]), upstream=echo) as gateway:
        reply = await gateway.send("POST", "/orders?id=1", headers={"X-Shop": "a"}, body=b"ab")
        (request,) = gateway.upstream.requests
        (entry,) = await gateway.access_log(1)
        stats = await gateway.stats()

    assert (reply.status, reply.content, reply.value("x-done")) == (201, b"abab", b"yes")
    assert (request.method, request.target, request.value("x-shop")) == ("POST", "/orders?id=1", b"a")
    assert entry["response_code_details"] == "via_upstream"
    assert (stats["streams_started"], stats["stream_msgs_sent"]) == (1, 3)


async def test_headers_in_wire_order_with_duplicates_and_bytes_come_through() -> None:
    pairs = [(b"x-b", b"1"), (b"x-a", b"\xff"), (b"x-b", b"2")]

    async with Gateway(Chain([Doubling()])) as gateway:
        await gateway.send("GET", "/", headers=pairs)

    assert [pair for pair in gateway.upstream.requests[0].headers if pair in pairs] == pairs


@pytest.mark.parametrize(
    ("body", "trailers", "framing"),
    [
        (b"", [], (b"0", None)),  # by Envoy
        (b"ab", [], (b"2", None)),
        ([b"ab"], [], (None, b"chunked")),
        (b"ab", [(b"x-t", b"1")], (None, b"chunked")),
    ],
    ids=["none", "counted", "chunked", "trailers"],
)
async def test_the_body_says_how_it_is_framed(
    body: bytes | list[bytes], trailers: list[tuple[bytes, bytes]], framing: tuple[bytes | None, bytes | None]
) -> None:
    async with Gateway(Chain([])) as gateway:
        await gateway.send("POST", "/", body=body, trailers=trailers)
        (request,) = gateway.upstream.requests

    assert (request.value("content-length"), request.value("transfer-encoding")) == framing


async def test_the_upstream_may_change_its_mind() -> None:
    async with Gateway(Chain([])) as gateway:
        first = await gateway.send("GET", "/")
        gateway.upstream.answer = PlainReply(status=503)
        second = await gateway.send("GET", "/")

    assert (first.status, second.status) == (200, 503)


async def test_a_chain_that_does_not_start_leaves_nothing_behind(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Broken(Filter):
        async def start(self) -> None:
            raise OSError("no database")

    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    gateway = Gateway(Chain([Broken()]))

    with pytest.raises(OSError, match="no database"):
        async with gateway:
            pass

    assert not list(tmp_path.iterdir())
    assert gateway.upstream._server is not None
    assert not gateway.upstream._server.is_serving()
