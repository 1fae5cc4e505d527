"""Traps 11 and 12: what is over a limit goes nowhere, and no filter is passed by because of it."""

from __future__ import annotations

from typing import ClassVar

import pytest

from extproc import Exchange, Filter, Response, Use
from extproc.envoy.config import EnvoyOptions
from extproc.envoy.plain_http import PlainReply, PlainRequest
from extproc.filter import OnError
from tests.envoy.behind import behind_envoy

MIB = 1024 * 1024

# Trap 11: bodies over a limit


class Reader(Filter):
    def on_request_body(self, exchange: Exchange) -> None:
        exchange.request.headers["x-seen"] = str(len(exchange.request.body))

    def on_response_body(self, exchange: Exchange) -> None:
        exchange.response.headers["x-seen"] = str(len(exchange.response.body))


class Append(Filter):
    def on_request_body(self, exchange: Exchange) -> None:
        exchange.request.body += b"!"

    def on_response_body(self, exchange: Exchange) -> None:
        exchange.response.body += b"!"


@pytest.mark.parametrize("kind", [Reader, Append])
@pytest.mark.parametrize("policy", ["deny", "skip"])
@pytest.mark.parametrize("chunks", [1, 3])
async def test_trap_11_a_request_too_large_to_judge_is_not_let_through(
    kind: type[Filter], policy: OnError, chunks: int
) -> None:
    async with behind_envoy(Use(kind(), on_error=policy), options=EnvoyOptions(buffer_limit=64 * 1024)) as gateway:
        reply = await gateway.send("POST", "/", body=[b"z" * 60_000] * chunks if chunks > 1 else b"z" * 100_000)
        (entry,) = await gateway.access_log(1)

        assert (reply.status, entry["response_code_details"]) == (413, "request_payload_too_large")
        assert gateway.upstream.requests == []


async def test_trap_11_a_response_too_large_to_judge_is_not_let_through() -> None:
    upstream = PlainReply(body=[b"z" * 100_000])
    async with behind_envoy(Reader(), upstream=upstream, options=EnvoyOptions(buffer_limit=64 * 1024)) as gateway:
        reply = await gateway.send("GET", "/")
        (entry,) = await gateway.access_log(1)

        assert (reply.status, entry["response_code_details"]) == (500, "response_payload_too_large")
        assert b"zzz" not in reply.content


@pytest.mark.parametrize("size", [MIB - 1, MIB])
async def test_trap_11_the_whole_limit_can_be_used(size: int) -> None:
    async with behind_envoy(Reader(), upstream=lambda request: PlainReply(body=request.body)) as gateway:
        reply = await gateway.send("POST", "/", body=b"z" * size)

        assert (reply.status, len(reply.content), reply.value("x-seen")) == (200, size, str(size).encode())


async def test_trap_11_a_body_above_what_grpc_takes_by_default_passes_under_a_raised_limit() -> None:
    options = EnvoyOptions(buffer_limit=8 * MIB)
    async with behind_envoy(
        Append(), upstream=lambda request: PlainReply(body=[request.content]), options=options
    ) as gateway:
        reply = await gateway.send("POST", "/", body=b"z" * (5 * MIB))

        assert len(gateway.upstream.requests[0].content) == 5 * MIB + 1
        assert (reply.status, len(reply.content)) == (200, 5 * MIB + 2)


async def test_trap_11_headers_alone_are_judged_whatever_the_size_of_the_body() -> None:
    class Tag(Filter):
        def on_request_headers(self, exchange: Exchange) -> None:
            exchange.request.headers["x-tag"] = "1"

    async with behind_envoy(Tag(), options=EnvoyOptions(buffer_limit=64 * 1024)) as gateway:
        await gateway.send("POST", "/", body=b"z" * MIB)

        (request,) = gateway.upstream.requests
        assert (request.value("x-tag"), len(request.content)) == (b"1", MIB)


# Trap 12: too many, too large, or malformed headers are a 500 even where Envoy is to fail open


class Many(Filter):
    count: int
    size: int = 1
    prefix: str = "x-many"

    def on_request_headers(self, exchange: Exchange) -> None:
        for number in range(self.count):
            exchange.request.headers[f"{self.prefix}-{number}"] = "v" * self.size

    def on_response_headers(self, exchange: Exchange) -> None:
        for number in range(self.count):
            exchange.response.headers[f"{self.prefix}-{number}"] = "v" * self.size


def many(message: PlainRequest | PlainReply, prefix: bytes = b"x-many") -> int:
    return sum(name.startswith(prefix) for name, _ in message.headers)


@pytest.mark.parametrize(
    ("count", "size", "fits"),
    [(80, 1, True), (101, 1, False), (1000, 1, False), (1, 50_000, True), (1, 70_000, False), (60, 2000, False)],
)
async def test_trap_12_headers_over_a_limit_are_dropped_whole_where_the_filter_may_be_skipped(
    count: int, size: int, fits: bool
) -> None:
    async with behind_envoy(Use(Many(count=count, size=size), on_error="skip")) as gateway:
        reply = await gateway.send("GET", "/")

        assert reply.status == 200
        assert many(gateway.upstream.requests[0]) == many(reply) == (count if fits else 0)


class ManyAsAsked(Filter):
    on_error: ClassVar[OnError] = "skip"

    def on_request_headers(self, exchange: Exchange) -> None:
        for number in range(int(exchange.request.headers["x-count"])):
            exchange.request.headers[f"x-many-{number}"] = "v"

    def on_response_headers(self, exchange: Exchange) -> None:
        for number in range(int(exchange.request.headers["x-count"])):
            exchange.response.headers[f"x-many-{number}"] = "v"


async def test_trap_12_the_limit_here_is_the_limit_of_envoy() -> None:
    """Around 100, with those that are there: taken by both of us or refused by us, and never by Envoy, with a 500."""
    async with behind_envoy(ManyAsAsked()) as gateway:
        counts = range(85, 105)
        replies = [await gateway.send("GET", "/", headers={"x-count": str(count)}) for count in counts]

        assert [reply.status for reply in replies] == [200] * len(counts)
        assert {many(request) for request in gateway.upstream.requests} > {0, 85}


async def test_trap_12_the_filter_that_went_over_the_limit_is_the_one_to_blame() -> None:
    first, second = Many(count=50, prefix="x-first"), Many(count=60, prefix="x-second")
    async with behind_envoy(first, Use(second, name="second")) as gateway:
        reply = await gateway.send("GET", "/")
        (entry,) = await gateway.access_log(1)

        assert (reply.status, entry["response_code_details"]) == (500, "extproc.second.error")


async def test_trap_12_a_filter_over_the_limit_takes_nothing_from_the_one_before() -> None:
    first, second = Many(count=50, prefix="x-first"), Many(count=60, prefix="x-second")
    async with behind_envoy(first, Use(second, on_error="skip")) as gateway:
        reply = await gateway.send("GET", "/")

        assert many(gateway.upstream.requests[0], b"x-first") == 50
        assert many(gateway.upstream.requests[0], b"x-second") == 0
        assert many(reply, b"x-second") == 0  # it is out of the whole exchange


class Rename(Filter):
    """Many removals and many additions in one answer, and no more headers in the end than before."""

    def on_request_headers(self, exchange: Exchange) -> None:
        for name in [name for name in exchange.request.headers if name.startswith("x-old")]:
            exchange.request.headers[name.replace("old", "many")] = exchange.request.headers.pop(name)


async def test_trap_12_as_many_edits_as_there_are_headers_are_taken() -> None:
    async with behind_envoy(Rename()) as gateway:
        reply = await gateway.send("GET", "/", headers={f"x-old-{number}": "v" for number in range(85)})

        assert reply.status == 200
        assert many(gateway.upstream.requests[0]) == 85


class ManyInAnswer(Filter):
    def on_request_headers(self, exchange: Exchange) -> Response:
        return Response(200, "let in", {f"x-many-{number}": "v" for number in range(150)})


async def test_trap_12_an_immediate_response_over_the_limit_is_refused() -> None:
    async with behind_envoy(ManyInAnswer()) as gateway:
        reply = await gateway.send("GET", "/")

        assert (reply.status, reply.content) == (500, b"")


class ManyTrailers(Filter):
    on_error: ClassVar[OnError] = "skip"

    def on_request_trailers(self, exchange: Exchange) -> None:
        for number in range(150):
            exchange.request.trailers[f"x-many-{number}"] = "v"


async def test_trap_12_trailers_have_the_limit_too() -> None:
    async with behind_envoy(ManyTrailers()) as gateway:
        reply = await gateway.send("POST", "/", body=[b"hello"], trailers=[(b"x-sum", b"1")])

        assert reply.status == 200
        assert gateway.upstream.requests[0].trailers == [(b"x-sum", b"1")]


class Meddle(Filter):
    header: str
    value: str

    def on_request_headers(self, exchange: Exchange) -> None:
        exchange.request.headers["x-before"] = "1"
        exchange.request.headers[self.header] = self.value


@pytest.mark.parametrize("policy", ["deny", "skip"])
@pytest.mark.parametrize(
    ("header", "value"),
    [
        ("x-tag", "a\r\nx-injected: 1"),
        ("x-tag", "a\nb"),
        ("x-tag", "a\0b"),
        ("bad name", "v"),
        ("x:y", "v"),
        ("", "v"),
        ("é", "v"),
        ("x" * 300, "v"),
        (":path", "/elsewhere"),
    ],
    ids=["CRLF", "LF", "NUL", "space", "colon", "empty", "not ASCII", "long", "pseudo"],
)
async def test_trap_12_a_malformed_header_is_a_matter_of_the_filters_policy(
    header: str, value: str, policy: OnError
) -> None:
    async with behind_envoy(Use(Meddle(header=header, value=value), on_error=policy)) as gateway:
        reply = await gateway.send("GET", "/")

        denied = policy == "deny"
        assert reply.status == (500 if denied else 200)
        assert [request.values("x-before") for request in gateway.upstream.requests] == ([] if denied else [[]])
