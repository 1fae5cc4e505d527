"""What Envoy may get wrong or not tell: messages out of order, headers not shown, bodies that nobody wants."""

from __future__ import annotations

from typing import Any

import pytest

from extproc import BodyMode, Chain, Exchange, Phase, Response, Use
from extproc.answers import UNCHANGED
from extproc.machine import ExchangeMachine
from extproc.messages import Abort, Immediate, Message, Piece, Protocol
from tests.acting import Do, acting, acting_with, with_every_hook
from tests.envoy_side import BUFFERED, body, go, request, response, trailers
from tests.jumping_loop import LoopClock, run


@pytest.mark.parametrize(
    ("messages", "answered"),
    [
        ([request(), request()], 1),
        ([request(end=False), body(Phase.REQUEST_BODY, b"", end=False), request()], 2),
        ([request(end=False), body(Phase.REQUEST_BODY, b""), body(Phase.REQUEST_BODY, b"")], 2),
        ([response(), response()], 1),
        ([response(end=False), trailers(Phase.RESPONSE_TRAILERS), body(Phase.RESPONSE_BODY, b"")], 2),
        ([request(end=False), trailers(Phase.REQUEST_TRAILERS), trailers(Phase.REQUEST_TRAILERS)], 2),
    ],
)
def test_a_message_out_of_order_breaks_the_stream_off(
    messages: list[Message], answered: int, caplog: pytest.LogCaptureFixture
) -> None:
    log: list[str] = []
    machine, answers = go(Chain([with_every_hook("a", log)]), *messages, response())
    assert answers[answered] == Abort("INVALID_ARGUMENT", "extproc.message_order")
    assert answers[answered + 1 :] == [None] * (len(messages) - answered)
    assert (machine.exchange.ended, log.count("a end")) == ("aborted", 1)
    assert "came twice or too late" in caplog.text


def test_a_streamed_body_may_come_in_pieces() -> None:
    streamed = Protocol(BodyMode.STREAMED, BodyMode.STREAMED)
    pieces = [body(Phase.REQUEST_BODY, b"a", end=False)] * 3
    _, answers = go(Chain([]), request(end=False, protocol=streamed), *pieces)
    assert answers[1:] == [UNCHANGED[Phase.REQUEST_BODY]] * 3


def test_a_body_that_nobody_wants_is_carried_on_where_envoy_leaves_that_to_us() -> None:
    """In FULL_DUPLEX_STREAMED, what is not sent back is lost."""
    duplex = Protocol(BodyMode.FULL_DUPLEX_STREAMED, BodyMode.FULL_DUPLEX_STREAMED)
    messages = [
        request(end=False, protocol=duplex),
        *(body(Phase.REQUEST_BODY, b"a", end=end) for end in (False, True)),
    ]

    async def scene() -> list[Any]:
        machine = ExchangeMachine(Chain([]), "x-1", clock=LoopClock())
        return [output for message in messages for output in await machine.receive_all(message)]

    assert run(scene()) == [
        UNCHANGED[Phase.REQUEST_HEADERS],
        Piece(Phase.REQUEST_BODY, b"a"),
        Piece(Phase.REQUEST_BODY, b"a", end_of_stream=True),
    ]


@pytest.mark.parametrize("policy", ["deny", "skip"])
@pytest.mark.parametrize(
    ("message", "hook"),
    [
        (body(Phase.REQUEST_BODY, b"up"), "on_request_headers"),
        (trailers(Phase.REQUEST_TRAILERS), "on_request_headers"),
        (body(Phase.RESPONSE_BODY, b"down", protocol=BUFFERED), "on_response_headers"),
    ],
)
def test_who_needs_headers_that_envoy_does_not_show_fails(
    message: Message, hook: str, policy: Any, caplog: pytest.LogCaptureFixture
) -> None:
    """Else a misconfigured Envoy would walk requests past it."""
    blind = Use(acting_with({hook: lambda x: None}), name="blind", on_error=policy)
    _, [answer] = go(Chain([blind]), message)
    if policy == "skip":
        assert answer is UNCHANGED[message.phase]
    else:
        assert answer == Immediate(500, details="extproc.blind.error")
    assert "header_mode to SEND" in caplog.text


def test_a_condition_that_cannot_be_judged_for_want_of_headers_fails() -> None:
    guard = Use(acting(on_request_body=lambda x: None), name="guard", when={"path": "/a"})
    _, [answer] = go(Chain([guard]), body(Phase.REQUEST_BODY, b"up"))
    assert answer == Immediate(500, details="extproc.guard.error")


@pytest.mark.parametrize(
    "do", [lambda x: None, lambda x: Response(403), lambda x: x.request.headers.add("x", "1"), lambda x: 1 / 0]
)
def test_nothing_is_answered_to_an_envoy_that_only_watches(do: Do) -> None:
    messages = [request(protocol=None, observability=True), response(observability=True), response(observability=True)]
    log: list[str] = []
    _, answers = go(Chain([acting(on_request_headers=do), with_every_hook("a", log)]), *messages)
    assert answers == [None] * 3
    assert log.count("a end") == 1


def test_who_only_watches_sees_bodies_whole_too() -> None:
    seen: list[bytes] = []
    messages = [
        request(end=False, protocol=None, observability=True),
        body(Phase.REQUEST_BODY, b"a", end=False, observability=True),
        body(Phase.REQUEST_BODY, b"b", observability=True),
    ]

    def refuse(exchange: Exchange) -> Response:
        exchange.request.headers["x-a"] = "1"
        return Response(403)

    looking = acting(on_request_body=lambda x: seen.append(x.request.body))
    machine, answers = go(Chain([acting(on_request_headers=refuse), looking]), *messages)
    assert (answers, seen, machine.exchange.ended) == ([None] * 3, [b"ab"], "complete")
