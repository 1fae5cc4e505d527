"""Trap 10: a filter may take the time that its chain has, and one that takes more is a matter of its policy."""

from __future__ import annotations

import asyncio
import resource
from collections.abc import Iterator

import pytest
from pydantic import PrivateAttr

from extproc import Exchange, Filter, Response, Use
from extproc.envoy.plain_http import PlainReply, PlainRequest
from extproc.filter import OnError
from tests.envoy.behind import behind_envoy, one_after_the_other

SLOW = 0.3
"""Seconds: more than the 200 ms that Envoy waits by default, less than the second that a chain has."""

SHORT = 0.1
"""Seconds: a chain's timeout, where there is something to wait for it."""

TRAILERS = [(b"x-sum", b"1")]


class Waits(Filter):
    """Asks a backend in one of its hooks."""

    async def backend(self) -> None:
        await asyncio.sleep(SLOW)


class Hangs(Waits):
    """The backend is gone."""

    async def backend(self) -> None:
        await asyncio.Event().wait()


class OnRequest(Waits):
    async def on_request_headers(self, exchange: Exchange) -> None:
        exchange.request.headers["x-asked"] = "1"
        await self.backend()


class OnRequestBody(Waits):
    async def on_request_body(self, exchange: Exchange) -> None:
        exchange.request.headers["x-asked"] = "1"
        await self.backend()


class OnRequestTrailers(Waits):
    async def on_request_trailers(self, exchange: Exchange) -> None:
        exchange.request.trailers["x-asked"] = "1"
        await self.backend()


class OnResponse(Waits):
    async def on_response_headers(self, exchange: Exchange) -> None:
        exchange.response.headers["x-asked"] = "1"
        await self.backend()


class OnResponseBody(Waits):
    async def on_response_body(self, exchange: Exchange) -> None:
        exchange.response.headers["x-asked"] = "1"
        await self.backend()


class HangsOnRequest(Hangs, OnRequest):
    pass


class HangsOnRequestBody(Hangs, OnRequestBody):
    pass


class HangsOnRequestTrailers(Hangs, OnRequestTrailers):
    pass


class HangsOnResponse(Hangs, OnResponse):
    pass


class HangsOnResponseBody(Hangs, OnResponseBody):
    pass


SLOWLY = [OnRequest, OnRequestBody, OnRequestTrailers, OnResponse, OnResponseBody]
HANGING = [HangsOnRequest, HangsOnRequestBody, HangsOnRequestTrailers, HangsOnResponse, HangsOnResponseBody]


class Tag(Filter):
    async def on_request_headers(self, exchange: Exchange) -> None:
        exchange.request.headers["x-tag"] = "1"

    async def on_response_headers(self, exchange: Exchange) -> None:
        exchange.response.headers["x-tag"] = "1"


def asked(*messages: PlainRequest | PlainReply) -> bool:
    """Whether an edit of `Waits` is in one of the messages."""
    return any(name == b"x-asked" for message in messages for name, _ in [*message.headers, *message.trailers])


@pytest.mark.parametrize("kind", SLOWLY)
async def test_trap_10_a_slow_filter_gets_longer_than_envoys_default(kind: type[Waits]) -> None:
    async with behind_envoy(kind(), upstream=PlainReply(body=[b"world"])) as gateway:
        reply = await gateway.send("POST", "/", body=[b"he", b"llo"], trailers=TRAILERS)

        assert (reply.status, reply.content) == (200, b"world")
        assert asked(reply, *gateway.upstream.requests)


async def test_trap_10_slow_filters_do_not_wait_for_each_other() -> None:
    """Thirty times the wait in one chain's time: one after the other, all but three would be too late."""
    async with behind_envoy(OnRequest()) as gateway, asyncio.TaskGroup() as group:
        tasks = [group.create_task(gateway.send("GET", "/")) for _ in range(30)]

    assert {task.result().status for task in tasks} == {200}


@pytest.mark.parametrize("policy", ["deny", "skip"])
@pytest.mark.parametrize("kind", HANGING)
async def test_trap_10_a_filter_that_hangs_is_a_matter_of_its_policy(kind: type[Hangs], policy: OnError) -> None:
    hangs = Use(kind(), name="hangs", on_error=policy)
    async with behind_envoy(hangs, upstream=PlainReply(body=[b"world"]), timeout=SHORT) as gateway:
        reply = await gateway.send("POST", "/", body=[b"he", b"llo"], trailers=TRAILERS)
        (entry,) = await gateway.access_log(1)

        result = (reply.status, reply.content, entry["response_code_details"])
        assert result == ((504, b"", "extproc.hangs.timeout") if policy == "deny" else (200, b"world", "via_upstream"))
        assert not asked(reply, *gateway.upstream.requests)


@pytest.mark.parametrize("own", [None, SHORT / 2], ids=["the chain's time", "its own"])
async def test_trap_10_a_filter_that_hangs_costs_its_neighbours_nothing(own: float | None) -> None:
    hangs = Use(HangsOnRequest(), on_error="skip", timeout=own)
    async with behind_envoy(Tag(), hangs, Use(Tag(), name="after"), timeout=SHORT) as gateway:
        reply = await gateway.send("GET", "/")

        assert (reply.value("x-tag"), gateway.upstream.requests[0].value("x-tag")) == (b"1", b"1")


async def test_trap_10_a_filter_with_a_time_of_its_own_leaves_the_rest_to_the_others() -> None:
    hangs = Use(HangsOnRequest(), on_error="skip", timeout=SHORT)
    async with behind_envoy(hangs, OnRequest()) as gateway:
        reply = await gateway.send("GET", "/")

        assert (reply.status, asked(gateway.upstream.requests[0])) == (200, True)


class HoldsSome(Filter):
    """Hangs for those who ask for it, and says when."""

    _came: asyncio.Event = PrivateAttr(default_factory=asyncio.Event)
    _go: asyncio.Event = PrivateAttr(default_factory=asyncio.Event)

    async def on_request_headers(self, exchange: Exchange) -> None:
        if exchange.request.path == "/held":
            self._came.set()
            await self._go.wait()


async def test_trap_10_an_exchange_that_waits_holds_up_no_other() -> None:
    holds = HoldsSome()
    async with behind_envoy(holds, timeout=30.0) as gateway, asyncio.TaskGroup() as group:
        held = group.create_task(gateway.send("GET", "/held"))
        await holds._came.wait()
        replies = await one_after_the_other(gateway, *[PlainRequest(method="POST", body=[b"hello"])] * 5)

        assert [reply.status for reply in replies] == [200] * 5
        assert not held.done()
        holds._go.set()
        assert (await held).status == 200


class Crowd(Filter):
    """Lets nobody go before everybody is here."""

    size: int
    _here: list[str] = PrivateAttr(default_factory=list)
    _all: asyncio.Event = PrivateAttr(default_factory=asyncio.Event)

    async def on_request_headers(self, exchange: Exchange) -> Response:
        self._here.append(exchange.id)
        if len(self._here) == self.size:
            self._all.set()
        await self._all.wait()
        return Response(204)


@pytest.fixture
def many_files() -> Iterator[None]:
    """A crowd needs a few thousand open files, which is more than some systems give by default."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft != resource.RLIM_INFINITY:
        resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, 8192), hard))
    yield
    resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


async def test_traps_10_and_15_more_exchanges_at_once_than_envoys_circuit_breaker_has_by_default(
    many_files: None,
) -> None:
    """1024; an exchange holds a stream for as long as it lasts, and the one that is too many gets a 500 at once."""
    size = 1100
    async with behind_envoy(Crowd(size=size), timeout=30.0) as gateway, asyncio.TaskGroup() as group:
        tasks = [group.create_task(gateway.send("GET", "/")) for _ in range(size)]

    assert {task.result().status for task in tasks} == {204}
