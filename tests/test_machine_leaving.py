"""Leaving an exchange early: a clean end of the stream lets the rest pass, so nobody may want any of it."""

from __future__ import annotations

import asyncio

import pytest

from extproc import BodyMode, Chain, Exchange, Filter, Phase
from extproc.machine import ExchangeMachine
from extproc.messages import Message, Protocol

NO_BODIES = Protocol(BodyMode.NONE, BodyMode.NONE)


class OnRequest(Filter):
    def on_request_headers(self, exchange: Exchange) -> None:
        exchange.request.headers["x-a"] = "1"


class OnRequestTrailers(OnRequest):
    def on_request_trailers(self, exchange: Exchange) -> None: ...


class OnResponse(OnRequest):
    def on_response_headers(self, exchange: Exchange) -> None: ...


class OnComplete(OnRequest):
    def on_complete(self, exchange: Exchange) -> None: ...


def is_over(item: Filter, protocol: Protocol | None = NO_BODIES, *, trace: bool = False) -> bool:
    machine = ExchangeMachine(Chain([OnRequest(), item]), "1", trace=trace)
    message = Message(Phase.REQUEST_HEADERS, [(":method", b"GET")], protocol=protocol)
    assert asyncio.run(machine.receive(message)) is not None
    return machine.over


def test_nothing_is_awaited_that_no_filter_wants() -> None:
    """It spares Envoy a reset and the processor the wait for it."""
    assert is_over(OnRequest())


@pytest.mark.parametrize("wants_more", [OnRequestTrailers(), OnResponse(), OnComplete()])
def test_a_filter_that_wants_more_gets_it(wants_more: Filter) -> None:
    assert not is_over(wants_more)


@pytest.mark.parametrize("mode", [mode for mode in BodyMode if mode is not BodyMode.NONE])
def test_a_body_that_envoy_has_us_carry_is_carried(mode: BodyMode) -> None:
    """In FULL_DUPLEX_STREAMED, Envoy would go on with an empty body."""
    assert not is_over(OnRequest(), Protocol(mode, BodyMode.NONE))
    assert not is_over(OnRequest(), Protocol(BodyMode.NONE, mode))


def test_an_envoy_that_does_not_say_how_it_sends_bodies_is_not_left() -> None:
    assert not is_over(OnRequest(), None)


def test_a_recorder_sees_the_whole_exchange() -> None:
    assert not is_over(OnRequest(), trace=True)
