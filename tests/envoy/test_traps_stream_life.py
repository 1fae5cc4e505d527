"""Trap 15, second half: exchanges that begin late, end early, or lose their processor."""

from __future__ import annotations

import asyncio
import logging
import socket
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, suppress

import pytest
from pydantic import PrivateAttr

from extproc import Exchange, Filter, Response, Use
from extproc.envoy.config import EnvoyOptions, Route
from extproc.envoy.plain_http import PlainReply, PlainRequest, split_address
from extproc.testing import Gateway
from tests.envoy.behind import Config, behind_envoy, one_after_the_other

# Replies that Envoy makes itself: response phases with little or no request before them


class Stamp(Filter):
    """Speaks of the request in the response, as a filter that logs or that adds CORS headers does."""

    def on_request_headers(self, exchange: Exchange) -> None:
        exchange.state["user"] = exchange.request.headers.get("x-user", "nobody")

    def on_response_headers(self, exchange: Exchange) -> None:
        request = exchange.request
        user = exchange.state.get("user", "unknown")
        origin = request.headers.get("origin", "none")
        said = f"{request.method}|{request.host}|{request.path}|{request.query}|{user}|{origin}|{len(request.headers)}"
        exchange.response.headers["x-stamp"] = said.partition("|")[0] or "unasked"

    def on_response_body(self, exchange: Exchange) -> None:
        exchange.response.headers["x-length"] = str(len(exchange.response.body))


@pytest.fixture
def dead() -> Iterator[str]:
    """An address at which nobody listens, and nobody will."""
    with socket.socket() as bound:
        bound.bind(("127.0.0.1", 0))
        yield f"127.0.0.1:{bound.getsockname()[1]}"


def answering_directly(manager: Config, _: Config) -> None:
    reply = {"status": 404, "body": {"inline_string": "nothing here"}}
    route = {"match": {"prefix": "/direct"}, "direct_response": reply}
    manager["route_config"]["virtual_hosts"][0]["routes"].insert(0, route)


@pytest.mark.parametrize(
    ("request_", "status", "stamp"),
    [
        (PlainRequest(target="/direct"), 404, b"GET"),
        (PlainRequest(target="/dead"), 503, b"GET"),
        (PlainRequest(method="POST", target="/dead", body=[b"hello"]), 503, b"POST"),
        (PlainRequest(method="POST", body=[b"z" * 50_000] * 2), 413, b"POST"),
        (PlainRequest(target="/a%2Fb"), 307, b"unasked"),
        (PlainRequest(method="HEAD", target="/a%2Fb"), 307, b"unasked"),
        (PlainRequest(headers=[(b"connection", b"upgrade"), (b"upgrade", b"websocket")]), 403, b"unasked"),
    ],
    ids=["direct response", "dead upstream", "dead, with body", "too large", "redirect", "redirect HEAD", "upgrade"],
)
async def test_trap_15_response_hooks_cope_with_replies_that_envoy_makes_itself(
    request_: PlainRequest, status: int, stamp: bytes, dead: str
) -> None:
    class Reads(Filter):
        def on_request_body(self, exchange: Exchange) -> None:
            pass

    options = EnvoyOptions(buffer_limit=64 * 1024, routes=(Route(name="dead", upstream=dead, prefix="/dead"),))
    async with behind_envoy(Stamp(), Reads(), options=options, edit=answering_directly) as gateway:
        (reply,) = await one_after_the_other(gateway, request_)

        assert (reply.status, reply.value("x-stamp")) == (status, stamp)


async def test_trap_15_a_condition_that_was_never_judged_does_not_hold() -> None:
    stamp = Use(Stamp(), when={"not": {"method": "POST"}})
    async with behind_envoy(stamp) as gateway:
        unasked, asked = await one_after_the_other(gateway, PlainRequest(target="/a%2Fb"), PlainRequest())

        assert (unasked.status, unasked.values("x-stamp")) == (307, [])
        assert asked.values("x-stamp") == [b"GET"]


# Clients that go away


class Watch(Filter):
    """Notes when exchanges begin, and how they end."""

    _begins: asyncio.Queue[str] = PrivateAttr(default_factory=asyncio.Queue)
    _ends: asyncio.Queue[str] = PrivateAttr(default_factory=asyncio.Queue)

    def on_request_headers(self, exchange: Exchange) -> None:
        self._begins.put_nowait(exchange.id)

    def on_response_headers(self, exchange: Exchange) -> None:
        exchange.response.headers["x-watched"] = "1"

    def on_complete(self, exchange: Exchange) -> None:
        self._ends.put_nowait(exchange.ended)


class WatchBodies(Watch):
    def on_request_body(self, exchange: Exchange) -> None:
        pass


class Hold(Filter):
    """Asks a backend that takes its time, if the client says so."""

    _came: asyncio.Event = PrivateAttr(default_factory=asyncio.Event)
    _let_go: asyncio.Event = PrivateAttr(default_factory=asyncio.Event)

    async def on_request_headers(self, exchange: Exchange) -> None:
        if exchange.request.path != "/held":
            return
        self._came.set()
        try:
            await asyncio.Event().wait()
        finally:
            self._let_go.set()  # what a connection goes back to its pool in


@asynccontextmanager
async def dialled(gateway: Gateway) -> AsyncIterator[asyncio.StreamWriter]:
    """A connection on which anything can be written."""
    _, writer = await asyncio.open_connection(*split_address(gateway.address))
    try:
        yield writer
    finally:
        writer.close()
        with suppress(ConnectionError):
            await writer.wait_closed()


async def test_trap_15_a_client_that_goes_away_cancels_what_a_filter_waits_for() -> None:
    watch, hold = Watch(), Hold()
    async with behind_envoy(watch, hold, timeout=30.0) as gateway:
        async with dialled(gateway) as client:
            client.write(b"GET /held HTTP/1.1\r\nhost: a\r\n\r\n")
            await hold._came.wait()
        await hold._let_go.wait()

        assert await watch._ends.get() == "cancelled"
        assert (await gateway.send("GET", "/")).status == 200


async def test_trap_15_a_client_that_goes_away_in_its_body_ends_the_exchange_once() -> None:
    watch = WatchBodies()
    async with behind_envoy(watch) as gateway:
        async with dialled(gateway) as client:
            client.write(b"POST / HTTP/1.1\r\nhost: a\r\ncontent-length: 10\r\n\r\nhello")
            await watch._begins.get()
        await watch._ends.get()
        reply = await gateway.send("POST", "/", body=b"hello")
        await watch._ends.get()

        assert (reply.status, len(gateway.upstream.requests)) == (200, 1)
        assert watch._ends.empty()


async def test_trap_15_a_client_that_goes_away_before_the_response_ends_the_exchange() -> None:
    came = asyncio.Event()

    async def never(_: PlainRequest) -> PlainReply:
        came.set()
        return await asyncio.Future()

    watch = Watch()
    async with behind_envoy(watch, upstream=never) as gateway:
        async with dialled(gateway) as client:
            client.write(b"GET / HTTP/1.1\r\nhost: a\r\n\r\n")
            await came.wait()
        await watch._ends.get()


@pytest.mark.parametrize("answers", [False, True], ids=["passes", "answers"])
async def test_trap_15_the_normal_end_of_an_exchange_is_not_logged_as_an_error(
    answers: bool, caplog: pytest.LogCaptureFixture
) -> None:
    """Envoy ends every stream with a reset as soon as it needs no more answers."""

    class Answers(Filter):
        def on_request_body(self, exchange: Exchange) -> Response | None:
            return Response(403) if answers else None

    caplog.set_level(logging.INFO)
    watch = WatchBodies()
    async with behind_envoy(watch, Answers(), upstream=PlainReply(body=[b"wor", b"ld"])) as gateway:
        posts = [PlainRequest(method="POST", body=[b"he", b"llo"])] * 3
        await one_after_the_other(gateway, PlainRequest(), PlainRequest(method="HEAD"), *posts)
        ends = [await watch._ends.get() for _ in range(5)]

    assert set(ends) == {"immediate" if answers else "complete"}
    assert [record.getMessage() for record in caplog.records if record.levelno > logging.INFO] == []


# Processors that go away


async def test_trap_15_a_processor_that_is_stopped_in_the_middle_lets_nobody_through() -> None:
    """A clean end of the stream would: to Envoy it means that the processor has no more to say."""
    hold = Hold()
    stopped = {"server_half_closed": 1, "streams_failed": 1}
    async with behind_envoy(hold, timeout=30.0, complaints=stopped) as gateway, asyncio.TaskGroup() as group:
        held = group.create_task(gateway.send("GET", "/held"))
        await hold._came.wait()
        await gateway._front.__aexit__(None, None, None)

        assert (await held).status == 500
        assert gateway.upstream.requests == []


@pytest.mark.parametrize(
    ("use", "status", "complaints"),
    [
        (Use(Watch()), 500, {"server_half_closed": 1, "streams_failed": 1}),
        (Use(Watch(), on_error="skip"), 200, {"failure_mode_allowed": 1, "server_half_closed": 2, "streams_failed": 1}),
    ],
    ids=["deny", "skip"],
)
async def test_trap_15_without_a_processor_only_a_chain_that_may_be_skipped_is(
    use: Use, status: int, complaints: dict[str, int]
) -> None:
    async with behind_envoy(use, complaints=complaints) as gateway:
        await gateway._front.__aexit__(None, None, None)

        assert (await gateway.send("GET", "/")).status == status
