"""Traps 1 and 13: every message gets the one answer that it wants, and an immediate response arrives whole."""

from __future__ import annotations

from typing import Any

import pytest

from extproc import Exchange, Filter, Response, Use
from extproc.envoy.plain_http import PlainReply, PlainRequest
from tests.envoy.behind import behind_envoy, one_after_the_other

TRAILERS = [(b"x-sum", b"1")]

# Trap 1: an empty answer, one of another phase, or a second one


class Nothing(Filter):
    """A filter that somebody has only just begun."""


class OnlyWatches(Filter):
    def on_complete(self, exchange: Exchange) -> None:
        pass


class EveryHook(Filter):
    def on_request_headers(self, exchange: Exchange) -> None:
        pass

    def on_request_body(self, exchange: Exchange) -> None:
        pass

    def on_request_trailers(self, exchange: Exchange) -> None:
        pass

    def on_response_headers(self, exchange: Exchange) -> None:
        pass

    def on_response_body(self, exchange: Exchange) -> None:
        pass

    def on_response_trailers(self, exchange: Exchange) -> None:
        pass


class EveryHookAsync(Filter):
    async def on_request_headers(self, exchange: Exchange) -> None:
        pass

    async def on_request_body(self, exchange: Exchange) -> None:
        pass

    async def on_request_trailers(self, exchange: Exchange) -> None:
        pass

    async def on_response_headers(self, exchange: Exchange) -> None:
        pass

    async def on_response_body(self, exchange: Exchange) -> None:
        pass

    async def on_response_trailers(self, exchange: Exchange) -> None:
        pass


class OnlyResponseTrailers(Filter):
    def on_response_trailers(self, exchange: Exchange) -> None:
        pass


class ReturnsWhatIsUnderWay(Filter):
    """`return exchange.response` reads like "go on with this one", and means it."""

    def on_response_headers(self, exchange: Exchange) -> Response:
        exchange.response.headers["x-tag"] = "1"
        return exchange.response


MESSAGES = [
    (PlainRequest(), PlainReply()),
    (PlainRequest(method="HEAD"), PlainReply(body=[b"world"])),
    (PlainRequest(method="POST"), PlainReply(status=204)),
    (PlainRequest(method="POST", body=[b"hello"]), PlainReply(body=[b"world"])),
    (PlainRequest(method="POST", body=[b"he", b"llo"]), PlainReply(body=[b"wor", b"ld"])),
    (PlainRequest(method="POST", body=[b"he", b"llo"], trailers=TRAILERS), PlainReply(body=[b"w"], trailers=TRAILERS)),
    (PlainRequest(method="POST", trailers=TRAILERS), PlainReply(trailers=TRAILERS)),
]


@pytest.mark.parametrize(
    "filters",
    [
        [],
        [Nothing()],
        [OnlyWatches()],
        [EveryHook()],
        [EveryHookAsync()],
        [OnlyResponseTrailers()],
        [ReturnsWhatIsUnderWay()],
        [EveryHook(), Nothing(), EveryHookAsync()],
    ],
    ids=["no filter", "nothing", "watches", "hooks", "async hooks", "one hook", "returns it", "several"],
)
async def test_trap_1_hooks_that_say_nothing_let_everything_pass_as_it_is(filters: list[Filter]) -> None:
    async with behind_envoy(*filters) as gateway:
        for request, answer in MESSAGES:
            gateway.upstream.answer = answer
            (reply,) = await one_after_the_other(gateway, request)

            came = gateway.upstream.requests[-1]
            assert (came.method, came.content) == (request.method, request.content)
            assert (reply.status, reply.content) == (answer.status, b"" if request.method == "HEAD" else answer.content)
        log = await gateway.access_log(len(MESSAGES))
        assert {entry["response_code_details"] for entry in log} == {"via_upstream"}


@pytest.mark.parametrize("result", [403, 0, False, True, "denied", b"", {"status": 403}, (403, "no"), [], Response])
async def test_trap_1_a_hook_that_returns_what_is_no_response_lets_nobody_in(result: Any) -> None:
    """A newcomer's `return False`, or `return 403, "no"`: meant as a refusal, and taken for one."""

    class Newcomer(Filter):
        def on_request_headers(self, exchange: Exchange) -> Any:
            return result

    async with behind_envoy(Newcomer()) as gateway:
        reply = await gateway.send("GET", "/")
        (entry,) = await gateway.access_log(1)

        assert (reply.status, entry["response_code_details"]) == (500, "extproc.newcomer.error")
        assert gateway.upstream.requests == []


# Trap 13: immediate responses


class Teapot(Filter):
    def answer(self) -> Response:
        headers = [("x-tea", "earl grey"), ("set-cookie", "a=1"), ("set-cookie", "b=2")]
        return Response(418, "café", headers, details="out of coffee")


class TeapotOnRequest(Teapot):
    def on_request_headers(self, exchange: Exchange) -> Response:
        return self.answer()


class TeapotOnRequestBody(Teapot):
    def on_request_body(self, exchange: Exchange) -> Response:
        return self.answer()


class TeapotOnRequestTrailers(Teapot):
    def on_request_trailers(self, exchange: Exchange) -> Response:
        return self.answer()


class TeapotOnResponse(Teapot):
    def on_response_headers(self, exchange: Exchange) -> Response:
        return self.answer()


class TeapotOnResponseBody(Teapot):
    def on_response_body(self, exchange: Exchange) -> Response:
        return self.answer()


class AsyncTeapot(Teapot):
    async def on_request_headers(self, exchange: Exchange) -> Response:
        return self.answer()


ON_REQUEST = [TeapotOnRequest, TeapotOnRequestBody, TeapotOnRequestTrailers, AsyncTeapot]


@pytest.mark.parametrize("kind", [*ON_REQUEST, TeapotOnResponse, TeapotOnResponseBody])
async def test_trap_13_an_immediate_response_reaches_the_client_whole_from_every_phase(kind: type[Teapot]) -> None:
    upstream = PlainReply(
        body=[b"wor", b"ld"], headers=[(b"set-cookie", b"upstream=1"), (b"content-encoding", b"gzip")]
    )
    async with behind_envoy(kind(), upstream=upstream) as gateway:
        reply = await gateway.send("POST", "/", body=[b"he", b"llo"], trailers=TRAILERS)
        (entry,) = await gateway.access_log(1)

        assert (reply.status, reply.content, reply.complete) == (418, "café".encode(), True)
        assert (reply.value("x-tea"), reply.values("set-cookie")) == (b"earl grey", [b"a=1", b"b=2"])
        assert (reply.value("content-type"), reply.values("content-encoding")) == (b"text/plain", [])
        assert entry["response_code_details"] == "out_of_coffee"
        assert (gateway.upstream.requests == []) is (kind in ON_REQUEST)


async def test_trap_13_a_head_request_gets_the_headers_of_the_answer_and_no_body() -> None:
    async with behind_envoy(TeapotOnRequest()) as gateway:
        head, get = await one_after_the_other(gateway, PlainRequest(method="HEAD"), PlainRequest())

        assert (head.status, head.content, get.content) == (418, b"", "café".encode())
        # RFC 9110 section 9.3.2: if there is a length, it is that of the reply to GET
        assert head.value("content-length") in (None, get.value("content-length"))


class AnswerAsAsked(Filter):
    def on_request_headers(self, exchange: Exchange) -> Response:
        return Response(int(exchange.request.headers["x-status"]))


async def test_trap_13_every_status_that_there_can_be_is_the_one_that_the_client_gets() -> None:
    statuses = [200, 201, 204, 299, 301, 304, 400, 401, 418, 429, 499, 500, 503, 511, 599]
    async with behind_envoy(AnswerAsAsked()) as gateway:
        asked = [PlainRequest(headers=[(b"x-status", b"%d" % status)]) for status in statuses]
        replies = await one_after_the_other(gateway, *asked)

        assert [reply.status for reply in replies] == statuses


@pytest.mark.parametrize("status", [-1, 0, 1, 99, 100, 101, 199, 600, 700, 1000, None, "403", "denied", 403.5])
async def test_trap_13_a_status_that_there_cannot_be_lets_nobody_in(status: Any) -> None:
    """Envoy would make 200 of most of them: a refusal that looks like a success."""

    class Deny(Filter):
        def on_request_headers(self, exchange: Exchange) -> Response:
            return Response(status, "denied")

    async with behind_envoy(Deny()) as gateway:
        reply = await gateway.send("GET", "/")

        assert (reply.status, reply.content) == (500, b"")
        assert gateway.upstream.requests == []


async def test_trap_13_a_forgotten_status_lets_nobody_in() -> None:
    class Deny(Filter):
        def on_request_headers(self, exchange: Exchange) -> Response:
            return Response(body="denied")  # type: ignore[call-arg] # this is what it is about

    async with behind_envoy(Deny()) as gateway:
        assert (await gateway.send("GET", "/")).status == 500


async def test_trap_13_details_name_the_filter_where_it_gave_none() -> None:
    async with behind_envoy(Use(AnswerAsAsked(), name="bouncer")) as gateway:
        await gateway.send("GET", "/", headers={"x-status": "403"})
        (entry,) = await gateway.access_log(1)

        assert (entry["response_code"], entry["response_code_details"]) == (403, "extproc.bouncer")


class Json(Filter):
    def on_request_headers(self, exchange: Exchange) -> Response:
        return Response.as_json(403, {"error": "no café"})


async def test_trap_13_the_content_type_is_that_of_the_answer() -> None:
    async with behind_envoy(Json()) as gateway:
        reply = await gateway.send("GET", "/")

        assert reply.values("content-type") == [b"application/json"]


class GrpcDenied(Filter):
    def on_request_headers(self, exchange: Exchange) -> Response:
        return Response(403, "not yours", grpc_status=7)


async def test_trap_13_a_grpc_client_gets_a_grpc_answer() -> None:
    async with behind_envoy(GrpcDenied()) as gateway:
        reply = await gateway.send("POST", "/", headers={"content-type": "application/grpc"}, body=b"\0\0\0\0\0")

        assert (reply.status, reply.value("grpc-status"), reply.value("grpc-message")) == (200, b"7", b"not yours")


class Sign(Filter):
    def on_response_headers(self, exchange: Exchange) -> None:
        exchange.response.headers["x-signed"] = str(exchange.response.status)

    def on_response_body(self, exchange: Exchange) -> None:
        exchange.response.body += b" (signed)"


@pytest.mark.parametrize("kind", ON_REQUEST)
async def test_trap_13_an_immediate_response_passes_the_filters_that_the_request_had_passed(kind: type[Teapot]) -> None:
    class NotReached(Filter):
        def on_response_headers(self, exchange: Exchange) -> None:
            exchange.response.headers["x-not-reached"] = "1"

    async with behind_envoy(Sign(), kind(), NotReached()) as gateway:
        reply = await gateway.send("POST", "/", body=[b"he", b"llo"], trailers=TRAILERS)

        assert (reply.value("x-signed"), reply.content) == (b"418", "café (signed)".encode())
        assert reply.values("x-not-reached") == []


async def test_trap_13_one_response_object_can_answer_every_request() -> None:
    answer = Response(403, "no")

    class Deny(Filter):
        def on_request_headers(self, exchange: Exchange) -> Response:
            return answer

    async with behind_envoy(Sign(), Deny()) as gateway:
        replies = await one_after_the_other(gateway, PlainRequest(), PlainRequest())

        assert [reply.content for reply in replies] == [b"no (signed)"] * 2
