"""BUFFERED_PARTIAL: before trailers, Envoy does not say whether the body is all there; a content-length does."""

from __future__ import annotations

from dataclasses import replace

import pytest

from extproc import Chain, Exchange, Filter
from extproc.envoy.model import HttpMessage
from extproc.phases import BodyMode
from tests.envoy.moves import stepwise
from tests.envoy.observed import Observed
from tests.envoy.real import Real
from tests.envoy.scenario import Scenario, config, get, post, reply, split

pytestmark = pytest.mark.envoy

HELD = 1024
SIZE = 900
PARTIAL = config("all", body=BodyMode.BUFFERED_PARTIAL, buffer_limit=HELD)
TRAILERS = [("x-t", b"1")]


class Shout(Filter):
    def on_request_body(self, exchange: Exchange) -> None:
        exchange.request.body = exchange.request.body.upper()

    def on_response_body(self, exchange: Exchange) -> None:
        exchange.response.body = exchange.response.body.upper()


def of_length(message: HttpMessage, length: int) -> HttpMessage:
    headers = [item for item in message.headers if item[0] != "transfer-encoding"]
    return replace(split(message, 700), headers=[*headers, ("content-length", b"%d" % length)])


async def outcome(request: HttpMessage, response: HttpMessage) -> Observed:
    chain = Chain([Shout()])
    scenario = Scenario("partial", PARTIAL, {}, request, response, chain, stepwise(8, 8), http2=True)
    async with Real([scenario.setting]) as real:
        return await real.run(scenario)


async def test_a_body_as_long_as_it_says_is_the_whole() -> None:
    request = of_length(post(b"a" * SIZE, trailers=TRAILERS), SIZE)
    seen = await outcome(request, of_length(reply(body=b"b" * SIZE, trailers=TRAILERS), SIZE))
    last = seen.moments[-1]
    assert last.upstream is not None
    assert (last.upstream.body, last.upstream.trailers) == (b"A" * SIZE, TRAILERS)
    assert (last.client.body, last.client.trailers) == (b"B" * SIZE, TRAILERS)


async def test_one_that_does_not_say_may_be_a_part() -> None:
    seen = await outcome(split(post(b"a" * SIZE, trailers=TRAILERS), 700), reply())
    assert (seen.moments[-1].upstream, seen.details) == (None, "extproc.shout.error")


@pytest.mark.parametrize("size", [2 * HELD, 4 * HELD])
async def test_envoy_lets_no_body_be_longer_than_it_says(size: int) -> None:
    """Or the rest would pass unseen."""
    seen = await outcome(of_length(post(b"a" * size, trailers=TRAILERS), 700), reply())
    assert (seen.moments[-1].upstream, seen.details) == (None, "http2.remote_reset")
    seen = await outcome(get(), of_length(reply(body=b"b" * size, trailers=TRAILERS), 700))
    client = seen.moments[-1].client
    assert (client.headers or [])[0] == (":status", b"502")
    assert seen.details == "upstream_reset_after_response_started{protocol_error}"
