"""What the body modes allow on the real Envoy, beyond deciding: replies in pieces, phases left out, more time."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest

from extproc import Exchange, Filter, Response, Use
from extproc.envoy.config import EnvoyOptions
from extproc.envoy.plain_http import PlainReply
from tests.envoy.behind import Config, behind_envoy

BODIES = ("NONE", "FULL_DUPLEX_STREAMED", "BUFFERED", "STREAMED")


def with_modes(mode: str, **more: Any) -> Callable[[Config, Config], None]:
    def edit(_: Config, ext_proc: Config) -> None:
        ext_proc["processing_mode"] |= {
            "request_body_mode": mode,
            "response_body_mode": mode,
            "request_trailer_mode": "SEND",
            "response_trailer_mode": "SEND",
        }
        ext_proc |= more

    return edit


class Story(Filter):
    """Tells a story, one word at a time, and waits for its listener in between."""

    def on_request_headers(self, exchange: Exchange) -> Response:
        return Response(202, self.words(), {"x-teller": "story"})

    async def words(self) -> AsyncIterator[bytes]:
        for word in (b"once ", b"upon ", b"z" * 100_000, b" time"):
            await asyncio.sleep(0)
            yield word


class Shout(Filter):
    def on_response_headers(self, exchange: Exchange) -> None:
        exchange.response.headers["x-shout"] = "1"

    def on_response_chunk(self, exchange: Exchange, chunk: bytes) -> bytes:
        return chunk.upper()


@pytest.mark.parametrize("mode", BODIES)
@pytest.mark.parametrize("body", [b"", b"hello"])
async def test_a_reply_in_pieces_arrives_whole(mode: str, body: bytes) -> None:
    async with behind_envoy(Shout(), Story(), edit=with_modes(mode)) as gateway:
        reply = await gateway.send("POST", "/", body=body)

        assert (reply.status, reply.value("x-teller"), reply.value("x-shout")) == (202, b"story", b"1")
        assert (reply.content, reply.complete) == (b"ONCE UPON " + b"Z" * 100_000 + b" TIME", True)
        assert gateway.upstream.requests == []


async def test_a_reply_in_pieces_that_breaks_off_breaks_the_clients_off() -> None:
    class Half(Filter):
        def on_request_headers(self, exchange: Exchange) -> Response:
            return Response(200, self.words())

        async def words(self) -> AsyncIterator[bytes]:
            yield b"once "
            raise RuntimeError("forgotten")

    broken = {"server_half_closed": 1, "streams_failed": 1}
    async with behind_envoy(Half(), edit=with_modes("NONE"), complaints=broken) as gateway:
        reply = await gateway.send("GET", "/")

        assert (reply.status, reply.complete) == (200, False)


class Reader(Filter):
    """Wants the body of requests that say so."""

    def on_request_headers(self, exchange: Exchange) -> None:
        if "x-read" not in exchange.request.headers:
            exchange.skip_body()

    def on_request_body(self, exchange: Exchange) -> None:
        exchange.request.headers["x-size"] = str(len(exchange.request.body))

    def on_response_headers(self, exchange: Exchange) -> None:
        exchange.response.headers["x-seen"] = "1"


@pytest.mark.parametrize("allowed", [True, False])
@pytest.mark.parametrize("mode", ["BUFFERED", "STREAMED", "FULL_DUPLEX_STREAMED"])
async def test_a_body_that_no_filter_wants_passes(mode: str, allowed: bool) -> None:
    """Where Envoy allows it, without a question."""
    body = b"z" * 300_000
    edit = with_modes(mode, allow_mode_override=allowed)
    async with behind_envoy(Reader(), edit=edit) as gateway:
        reply = await gateway.send("POST", "/", body=body)
        stats = await gateway.stats()

        (request,) = gateway.upstream.requests
        assert (request.content, request.value("x-size"), reply.value("x-seen")) == (body, None, b"1")
        if allowed and mode != "FULL_DUPLEX_STREAMED":
            assert stats["stream_msgs_sent"] == 2  # the headers of both


async def test_a_condition_that_does_not_hold_spares_envoy_the_rest_of_the_exchange() -> None:
    filters = Use(Reader(), when={"path": "/api/**"})
    async with behind_envoy(filters, edit=with_modes("BUFFERED", allow_mode_override=True)) as gateway:
        reply = await gateway.send("POST", "/other", body=b"z" * 300_000)
        stats = await gateway.stats()

        assert (reply.status, reply.value("x-seen"), stats["stream_msgs_sent"]) == (200, None, 1)


class Instead(Filter):
    async def on_request_headers(self, exchange: Exchange) -> None:
        await asyncio.sleep(0.1)  # the body comes meanwhile, where Envoy does not wait with it
        exchange.request.body = b"instead"


@pytest.mark.parametrize("ahead", [True, False])
@pytest.mark.parametrize("mode", ["STREAMED", "FULL_DUPLEX_STREAMED", "BUFFERED"])
async def test_of_a_body_that_was_replaced_nothing_is_answered(mode: str, ahead: bool) -> None:
    edit = with_modes(mode, send_body_without_waiting_for_header_response=ahead and mode == "STREAMED")
    async with behind_envoy(Instead(), edit=edit) as gateway:
        reply = await gateway.send("POST", "/", body=[b"he", b"llo"], trailers=[(b"x-t", b"1")])

        (request,) = gateway.upstream.requests
        assert (request.content, reply.status) == (b"instead", 200)


@pytest.mark.parametrize("body", [[b"hello"], [b"he", b"llo"], [b"z" * 300_000] * 2], ids=len)
async def test_bodies_that_envoy_sends_ahead_of_our_answer_are_answered_in_order(body: list[bytes]) -> None:
    edit = with_modes("STREAMED", send_body_without_waiting_for_header_response=True)
    async with behind_envoy(Patient(), Shout(), upstream=PlainReply(body=body), edit=edit) as gateway:
        reply = await gateway.send("POST", "/", body=body)

        (request,) = gateway.upstream.requests
        assert (request.content, reply.content) == (b"".join(body), b"".join(body).upper())


class Patient(Filter):
    async def on_request_headers(self, exchange: Exchange) -> None:
        await asyncio.sleep(0.4)

    async def on_response_headers(self, exchange: Exchange) -> None:
        await asyncio.sleep(0.4)


async def test_where_envoy_waits_too_short_a_time_it_is_asked_for_more_for_each_message() -> None:
    async with behind_envoy(Patient(), options=EnvoyOptions(message_timeout=0.2), timeout=5.0) as gateway:
        reply = await gateway.send("GET", "/")
        stats = await gateway.stats()

        assert (reply.status, stats["override_message_timeout_received"]) == (200, 2)


@pytest.mark.parametrize("fail_open", [True, False])
async def test_who_only_watches_changes_nothing_and_sees_everything(fail_open: bool) -> None:
    seen: list[bytes] = []
    done = asyncio.Event()

    class Watcher(Filter):
        def on_request_headers(self, exchange: Exchange) -> Response:
            exchange.request.headers["x-edited"] = "1"
            return Response(403)

        def on_request_body(self, exchange: Exchange) -> None:
            seen.append(exchange.request.body)

        def on_response_body(self, exchange: Exchange) -> None:
            seen.append(exchange.response.body)
            done.set()
            raise RuntimeError("nobody minds")

    def edit(_: Config, ext_proc: Config) -> None:
        ext_proc |= {"observability_mode": True, "failure_mode_allow": fail_open}
        ext_proc["processing_mode"] |= {"request_body_mode": "STREAMED", "response_body_mode": "STREAMED"}

    async with behind_envoy(Watcher(), upstream=PlainReply(body=[b"wor", b"ld"]), edit=edit) as gateway:
        reply = await gateway.send("POST", "/", body=[b"he", b"llo"])
        await done.wait()

        (request,) = gateway.upstream.requests
        assert (request.value("x-edited"), reply.status, reply.content) == (None, 200, b"world")
        assert seen == [b"hello", b"world"]
