"""Bodies behind the generated configuration: in pieces or whole, in every mode it may choose, or not sent at all."""

from __future__ import annotations

import asyncio
from typing import Any, ClassVar

import pytest

from extproc import Chain, Exchange, Filter, Phase, Response, Use
from extproc.config.document import parse_document
from extproc.envoy.config import EnvoyOptions
from extproc.envoy.lint import lint
from extproc.envoy.plain_http import PlainReply, PlainRequest
from extproc.phases import BodyMode
from extproc.testing import Gateway
from tests.envoy.behind import Recorder, behind_envoy, one_after_the_other

DUPLEX, STREAMED, BUFFERED = BodyMode.FULL_DUPLEX_STREAMED, BodyMode.STREAMED, BodyMode.BUFFERED


class Redact(Filter):
    """Replaces a word wherever pieces are cut: it holds back as many bytes as may be the beginning of one."""

    word: ClassVar = b"secret"

    def on_request_chunk(self, exchange: Exchange, chunk: bytes) -> bytes:
        return self._passed(exchange, "request", chunk)

    def on_response_chunk(self, exchange: Exchange, chunk: bytes) -> bytes:
        return self._passed(exchange, "response", chunk)

    def _passed(self, exchange: Exchange, half: str, chunk: bytes) -> bytes:
        text: bytes = (exchange.state.pop(half, b"") + chunk).replace(self.word, b"******")
        cut = max(0, len(text) - len(self.word) + 1) if chunk else len(text)
        exchange.state[half] = text[cut:]
        return text[:cut]


MESSAGES: dict[str, tuple[str, list[bytes], list[tuple[bytes, bytes]]]] = {
    "a GET without a body": ("GET", [], []),
    "an empty body": ("POST", [], []),
    "a body with a length": ("POST", [b"a secret and half a secr"], []),
    "a chunked body": ("POST", [b"a sec", b"ret and", b" half a secr"], []),
    "trailers": ("POST", [b"a sec", b"ret"], [(b"x-sum", b"1")]),
    "a large body": ("POST", [b"x" * 3_000_001 + b"secret"], []),
}


def reply_of(request: PlainRequest) -> PlainReply:
    """Sends the same back as it came, with trailers if there were any."""
    return PlainReply(body=request.body, trailers=[pair for pair in request.trailers if pair[0] == b"x-sum"])


@pytest.mark.parametrize("mode", [None, STREAMED], ids=["default", "STREAMED"])
async def test_pieces_come_and_go_whatever_frames_the_body(mode: BodyMode | None) -> None:
    options = EnvoyOptions(request_body_mode=mode, response_body_mode=mode, trailers=True)
    names = [name for name in MESSAGES if mode is not STREAMED or name != "trailers"]
    requests = [
        PlainRequest(method=method, body=body, trailers=trailers)
        for method, body, trailers in (MESSAGES[name] for name in names)
    ]

    async with behind_envoy(Redact(), upstream=reply_of, options=options, timeout=5.0) as gateway:
        replies = await one_after_the_other(gateway, *requests)
        received = list(gateway.upstream.requests)

    for name, request, upstream, reply in zip(names, requests, received, replies, strict=True):
        wanted = request.content.replace(Redact.word, b"******")
        assert (upstream.content, reply.content) == (wanted, wanted), name
        assert (upstream.trailers, reply.trailers) == (request.trailers, request.trailers), name
        assert (reply.status, reply.complete) == (200, True), name


async def test_the_other_end_is_told_that_a_body_in_pieces_is_chunked() -> None:
    async with behind_envoy(Redact(), upstream=reply_of) as gateway:
        reply = await gateway.send("POST", "/", body=b"with a length")
        (request,) = gateway.upstream.requests

    for message in (request, reply):
        assert (message.value("content-length"), message.value("transfer-encoding")) == (None, b"chunked")


class Refuse(Filter):
    """Answers by itself as soon as a word comes by."""

    def on_request_chunk(self, exchange: Exchange, chunk: bytes) -> Response | None:
        return Response(403, "no viruses", details="refuse.virus") if b"virus" in chunk else None


@pytest.mark.parametrize("mode", [None, STREAMED, BUFFERED], ids=["default", "STREAMED", "BUFFERED"])
async def test_a_piece_can_be_answered(mode: BodyMode | None) -> None:
    async with behind_envoy(Refuse(), options=EnvoyOptions(request_body_mode=mode)) as gateway:
        reply = await gateway.send("POST", "/", body=[b"x" * 1000, b"a virus", b"y" * 1000])
        (entry,) = await gateway.access_log(1)

    assert (reply.status, reply.content, entry["response_code_details"]) == (403, b"no viruses", "refuse.virus")
    assert gateway.upstream.requests == []


class Sum(Filter):
    """Wants both bodies whole, and says in the headers how large they were."""

    def on_request_body(self, exchange: Exchange) -> Response | None:
        request = exchange.request
        request.headers["x-size"] = str(len(request.body))
        request.body += b"!"
        return Response(403) if b"virus" in request.body else None

    def on_response_body(self, exchange: Exchange) -> None:
        exchange.response.headers["x-size"] = str(len(exchange.response.body))


@pytest.mark.parametrize("size", [0, 10, 3_000_000])
async def test_a_whole_body_may_be_larger_than_envoys_buffer_where_the_processor_gathers_it(size: int) -> None:
    options = EnvoyOptions(request_body_mode=DUPLEX, response_body_mode=DUPLEX)

    async with behind_envoy(Sum(), upstream=reply_of, options=options, timeout=5.0) as gateway:
        reply = await gateway.send("POST", "/", body=b"x" * size)
        refused = await gateway.send("POST", "/", body=b"x" * size + b"virus")
        (request,) = gateway.upstream.requests

    assert (reply.status, len(request.content), request.value("x-size")) == (200, size + 1, str(size).encode())
    assert (len(reply.content), reply.value("x-size")) == (size + 1, str(size + 1).encode())
    assert refused.status == 403


WHEN = {"path": ["/checked/**"]}
CONDITIONAL: dict[str, tuple[list[Filter | Use], str, str]] = {
    "whole bodies": (
        [Use(Sum(), when=WHEN)],
        "request_headers",
        "request_headers request_body response_headers response_body",
    ),
    "among others": (
        [Use(Sum(), when=WHEN), Use(Refuse(), name="any")],
        "request_headers request_body",
        "request_headers request_body response_headers response_body",
    ),
}


@pytest.mark.parametrize(("filters", "without", "with_"), CONDITIONAL.values(), ids=CONDITIONAL)
async def test_envoy_does_not_send_what_no_filter_wants_in_this_exchange(
    filters: list[Filter | Use], without: str, with_: str
) -> None:
    seen: list[str] = []
    async with Gateway(Chain(filters), upstream=reply_of, observer=(recorder := Recorder())) as gateway:
        for path in ("/other", "/checked/1"):
            await gateway.send("POST", path, body=b"body")
            seen.append(" ".join(phase.value for phase in recorder.phases))
            recorder.phases.clear()
        received = [request.content for request in gateway.upstream.requests]

    assert seen == [without, with_]
    assert received == [b"body", b"body!"]


class OnlyJson(Filter):
    """Does not want bodies of another kind."""

    def on_request_headers(self, exchange: Exchange) -> None:
        if exchange.request.headers.get("content-type") != "application/json":
            exchange.skip_body()

    def on_request_body(self, exchange: Exchange) -> None:
        exchange.request.headers["x-size"] = str(len(exchange.request.body))


async def test_a_body_that_its_only_filter_skips_is_not_sent() -> None:
    seen: list[bool] = []
    async with Gateway(Chain([OnlyJson()]), observer=(recorder := Recorder())) as gateway:
        for kind in ("text/plain", "application/json"):
            await gateway.send("POST", "/", headers={"content-type": kind}, body=b"body")
            seen.append(Phase.REQUEST_BODY in recorder.phases)
            recorder.phases.clear()

    assert seen == [False, True]


class Slow(Filter):
    """Has to wait longer than Envoy does by itself."""

    seconds: float

    async def on_request_headers(self, exchange: Exchange) -> None:
        await asyncio.sleep(self.seconds)

    async def on_response_body(self, exchange: Exchange) -> None:
        await asyncio.sleep(self.seconds)


async def test_a_hook_that_has_to_wait_asks_envoy_for_more_time() -> None:
    options = EnvoyOptions(message_timeout=0.2)

    async with behind_envoy(Slow(seconds=0.5), options=options, timeout=2.0) as gateway:
        reply = await gateway.send("GET", "/")
        stats = await gateway.stats()

    assert (reply.status, stats["override_message_timeout_received"]) == (200, 2)


async def test_a_hook_that_takes_too_long_fails_by_its_own_policy_however_short_envoy_waits() -> None:
    chain: list[Any] = [Use(Slow(seconds=60.0), on_error="skip")]

    async with behind_envoy(*chain, options=EnvoyOptions(message_timeout=0.1), timeout=0.4) as gateway:
        reply = await gateway.send("GET", "/")

    assert reply.status == 200


@pytest.mark.parametrize(
    "options",
    [EnvoyOptions(), EnvoyOptions(request_body_mode=STREAMED), EnvoyOptions(message_timeout=0.1)],
    ids=["defaults", "STREAMED", "message_timeout"],
)
async def test_the_lint_has_nothing_against_it(options: EnvoyOptions) -> None:
    chain = Chain([Redact(), Refuse()])
    async with Gateway(chain, options=options) as gateway:
        assert lint(chain, parse_document(gateway.config, "envoy.yaml")) == []
