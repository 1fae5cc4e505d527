"""Trap 15, first half: what becomes of an exchange in which a filter fails is what its policy says."""

from __future__ import annotations

import asyncio
import json
from typing import NoReturn

import pytest

from extproc import Exchange, Filter, Use
from extproc.envoy.plain_http import PlainReply, PlainRequest
from extproc.filter import OnError
from tests.envoy.behind import Config, behind_envoy, one_after_the_other

SECRET = "hunter2"
TRAILERS = [(b"x-sum", b"1")]
UPSTREAM = PlainReply(body=[b"wor", b"ld"], trailers=TRAILERS)


def boom() -> NoReturn:
    raise RuntimeError(f"login with {SECRET} failed")


class OnRequest(Filter):
    def on_request_headers(self, exchange: Exchange) -> None:
        exchange.request.headers["x-half"] = "1"
        boom()


class OnRequestBody(Filter):
    def on_request_body(self, exchange: Exchange) -> None:
        exchange.request.headers["x-half"] = "1"
        exchange.request.body = b"half"
        boom()


class OnRequestTrailers(Filter):
    def on_request_trailers(self, exchange: Exchange) -> None:
        exchange.request.trailers["x-half"] = "1"
        boom()


class OnResponse(Filter):
    def on_response_headers(self, exchange: Exchange) -> None:
        exchange.response.headers["x-half"] = "1"
        exchange.response.status = 201
        boom()


class OnResponseBody(Filter):
    def on_response_body(self, exchange: Exchange) -> None:
        exchange.response.headers["x-half"] = "1"
        exchange.response.body = b"half"
        boom()


class OnResponseTrailers(Filter):
    def on_response_trailers(self, exchange: Exchange) -> None:
        exchange.response.trailers["x-half"] = "1"
        boom()


class OnRequestAsync(Filter):
    async def on_request_headers(self, exchange: Exchange) -> None:
        exchange.request.headers["x-half"] = "1"
        await asyncio.sleep(0)
        boom()


class OnComplete(Filter):
    def on_complete(self, exchange: Exchange) -> None:
        boom()


BEFORE_THE_CLIENT_HAS_ANYTHING = [
    OnRequest,
    OnRequestAsync,
    OnRequestBody,
    OnRequestTrailers,
    OnResponse,
    OnResponseBody,
]


class FailOpen:
    """Envoy's own failure mode, whatever the chain would have asked for."""

    def __init__(self, allow: bool) -> None:
        self.allow = allow

    def __call__(self, _: Config, ext_proc: Config) -> None:
        ext_proc["failure_mode_allow"] = self.allow


envoys = pytest.mark.parametrize("envoy", [FailOpen(allow=False), FailOpen(allow=True)], ids=["closed", "open"])


def traces(*messages: PlainRequest | PlainReply) -> list[bytes]:
    """What a filter that failed left behind."""
    return [
        name
        for message in messages
        for name, value in [*message.headers, *message.trailers, (b"body", message.content)]
        if name == b"x-half" or value == b"half" or SECRET.encode() in value
    ]


@envoys
@pytest.mark.parametrize("kind", BEFORE_THE_CLIENT_HAS_ANYTHING)
async def test_trap_15_a_filter_that_guards_refuses_whatever_envoys_failure_mode(
    kind: type[Filter], envoy: FailOpen
) -> None:
    async with behind_envoy(Use(kind(), name="guard"), upstream=UPSTREAM, edit=envoy) as gateway:
        reply = await gateway.send("POST", "/", body=[b"he", b"llo"], trailers=TRAILERS)
        (entry,) = await gateway.access_log(1)

        assert (reply.status, reply.content) == (500, b"")
        assert entry["response_code_details"] == "extproc.guard.error"
        assert traces(reply, *gateway.upstream.requests) == []
        assert SECRET not in json.dumps(entry)


@envoys
@pytest.mark.parametrize("kind", [*BEFORE_THE_CLIENT_HAS_ANYTHING, OnResponseTrailers, OnComplete])
async def test_trap_15_a_filter_that_may_be_skipped_is_whatever_envoys_failure_mode(
    kind: type[Filter], envoy: FailOpen
) -> None:
    skipped = Use(kind(), on_error="skip")
    async with behind_envoy(skipped, upstream=UPSTREAM, edit=envoy) as gateway:
        reply = await gateway.send("POST", "/", body=[b"he", b"llo"], trailers=TRAILERS)
        (entry,) = await gateway.access_log(1)

        assert (reply.status, reply.content, reply.complete) == (200, b"world", True)
        assert [request.content for request in gateway.upstream.requests] == [b"hello"]
        assert entry["response_code_details"] == "via_upstream"
        assert traces(reply, *gateway.upstream.requests) == []


async def test_trap_15_where_it_is_too_late_to_refuse_the_exchange_is_broken_off_and_says_no_more_than_why() -> None:
    guard = Use(OnResponseTrailers(), name="guard")
    async with behind_envoy(guard, upstream=UPSTREAM) as gateway:
        reply = await gateway.send("GET", "/")
        (entry,) = await gateway.access_log(1)

        assert reply.status == 500 or not reply.complete
        assert "extproc.guard.error" in entry["response_code_details"]
        assert SECRET not in json.dumps(entry)


async def test_trap_15_a_failure_in_on_complete_hurts_nobody() -> None:
    async with behind_envoy(OnComplete(), upstream=UPSTREAM) as gateway:
        replies = await one_after_the_other(gateway, PlainRequest(), PlainRequest())

        assert [reply.status for reply in replies] == [200, 200]


@pytest.mark.parametrize(
    "error",
    [
        KeyError("x"),
        StopIteration(),
        AssertionError(),
        asyncio.CancelledError(),
        ExceptionGroup("g", [ValueError()]),
        RecursionError(),
        UnicodeError("\r\n"),
    ],
    ids=lambda error: type(error).__name__,
)
@pytest.mark.parametrize("policy", ["deny", "skip"])
async def test_trap_15_every_kind_of_error_is_a_failure_of_the_filter(error: BaseException, policy: OnError) -> None:
    class Raises(Filter):
        def on_request_headers(self, exchange: Exchange) -> None:
            raise error

    async with behind_envoy(Use(Raises(), on_error=policy)) as gateway:
        replies = await one_after_the_other(gateway, PlainRequest(), PlainRequest())

        assert [reply.status for reply in replies] == [500 if policy == "deny" else 200] * 2


class NeedsToken(Filter):
    def on_request_headers(self, exchange: Exchange) -> None:
        exchange.request.headers["x-token"] = exchange.request.headers["authorization"].split(" ")[1]


class NeedsJson(Filter):
    def on_request_body(self, exchange: Exchange) -> None:
        exchange.request.headers["x-user"] = exchange.request.json()["user"]


@pytest.mark.parametrize(
    ("kind", "headers", "body"),
    [
        (NeedsToken, {}, b""),
        (NeedsToken, {"authorization": "Basic"}, b""),
        (NeedsJson, {}, b""),
        (NeedsJson, {}, b"\xff"),
        (NeedsJson, {}, b"[]"),
        (NeedsJson, {}, b'{"user": null}'),
        (NeedsJson, {}, b'{"user": "a\\r\\nb"}'),
    ],
)
async def test_trap_15_a_request_that_a_guard_did_not_foresee_is_refused(
    kind: type[Filter], headers: dict[str, str], body: bytes
) -> None:
    async with behind_envoy(kind()) as gateway:
        reply = await gateway.send("POST", "/", headers=headers, body=body)

        assert reply.status == 500
        assert gateway.upstream.requests == []


class Tag(Filter):
    def on_request_headers(self, exchange: Exchange) -> None:
        exchange.request.headers.add("x-tag", "1")

    def on_response_headers(self, exchange: Exchange) -> None:
        exchange.response.headers.add("x-tag", "1")


@pytest.mark.parametrize("kind", [OnRequest, OnResponse])
async def test_trap_15_the_filters_around_one_that_is_skipped_do_their_work(kind: type[Filter]) -> None:
    async with behind_envoy(Tag(), Use(kind(), on_error="skip"), Tag(), upstream=UPSTREAM) as gateway:
        reply = await gateway.send("GET", "/")

        assert reply.values("x-tag") == gateway.upstream.requests[0].values("x-tag") == [b"1", b"1"]
