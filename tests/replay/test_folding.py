"""A capture does not know how a body travelled: where we carried it, it is folded into one message and one answer."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from extproc import BodyMode, Chain, Exchange, Response
from extproc.machine import ExchangeMachine
from extproc.messages import Continue, Immediate, Message, Protocol, RawHeaders
from extproc.phases import Phase
from extproc.replay.folding import Said, fold
from tests.acting import acting_with
from tests.envoy_side import BUFFERED, apply, request, response, trailers
from tests.jumping_loop import LoopClock, run


def upper(exchange: Exchange, chunk: bytes) -> bytes:
    return chunk.upper() or b"."


def tag(exchange: Exchange) -> None:
    exchange.request.headers["x-size"] = str(len(exchange.request.body))


def guard(exchange: Exchange) -> Response | None:
    return Response(403) if exchange.request.body == b"body" else None


CHAINS: dict[str, dict[str, Any]] = {
    "nothing": {},
    "pieces": {"on_request_chunk": upper, "on_response_chunk": upper},
    "whole": {"on_request_body": tag},
    "refused": {"on_request_body": guard},
    "replaced": {"on_request_headers": lambda x: setattr(x.request, "body", b"new")},
}


def conversation(mode: BodyMode, *, tail: bool) -> list[Message]:
    """An exchange, with bodies as Envoy sends them in a mode."""
    there = bodies(Phase.REQUEST_BODY, mode, last=not tail)
    foot = [trailers(Phase.REQUEST_TRAILERS, ("x-sum", "1"))] if tail else []
    back = bodies(Phase.RESPONSE_BODY, mode, last=True)
    return [request(("x-a", "1"), end=False, protocol=Protocol(mode, mode)), *there, *foot, response(end=False), *back]


def bodies(phase: Phase, mode: BodyMode, *, last: bool) -> list[Message]:
    if mode is BodyMode.BUFFERED:
        return [Message(phase, body=b"body", end_of_stream=last)]
    return [
        Message(phase, body=b"bo"),
        Message(phase, body=b"dy"),
        *([Message(phase, end_of_stream=True)] if last else []),
    ]


async def said(hooks: dict[str, Any], messages: list[Message]) -> list[Said]:
    machine = ExchangeMachine(Chain([acting_with(hooks)]), "x-1", clock=LoopClock())
    found: list[Said] = []
    replaced = False
    for number, message in enumerate(messages):
        dropped = replaced and message.phase in (Phase.REQUEST_BODY, Phase.REQUEST_TRAILERS)
        if machine.over or (dropped and messages[0].protocol == BUFFERED):
            continue
        found.append(Said(message, await machine.receive_all(message), 1.0, number))
        replaced = replaced or any(isinstance(output, Continue) and output.replace for output in found[-1].outputs)
    await machine.close()
    return found


def upstream(captured: Any) -> tuple[RawHeaders, bytes | None, int | None]:
    """What the answers to the request's messages make of it."""
    headers: RawHeaders = []
    body: bytes | None = None
    for item in captured:
        if not item.message.phase.value.startswith("request"):
            continue
        if isinstance(item.answer, Immediate):
            return [], None, item.answer.status
        assert isinstance(item.answer, Continue)
        headers = item.message.headers if item.message.phase is Phase.REQUEST_HEADERS else headers
        if item.message.phase is Phase.REQUEST_BODY:
            body = item.message.body if item.answer.body is None else item.answer.body
        elif item.answer.replace:
            body = item.answer.body
        if item.message.phase is not Phase.REQUEST_TRAILERS:
            headers = apply(headers, item.answer.set_headers, item.answer.remove_headers)
    return headers, body, None


@pytest.mark.parametrize("name", CHAINS)
@pytest.mark.parametrize("tail", [False, True])
def test_what_was_carried_reads_as_if_it_had_been_buffered(name: str, tail: bool) -> None:
    captures = [
        fold(run(said(CHAINS[name], conversation(mode, tail=tail))))
        for mode in (BodyMode.FULL_DUPLEX_STREAMED, BodyMode.BUFFERED)
    ]
    carried, buffered = captures
    assert carried[0].message.protocol == buffered[0].message.protocol
    assert upstream(carried) == upstream(buffered)
    if name not in ("replaced", "refused"):  # there, fewer messages come where Envoy buffers
        assert [item.message for item in carried] == [item.message for item in buffered]


def test_an_exchange_that_breaks_off_in_the_middle_of_a_body_keeps_what_there_was() -> None:
    messages = conversation(BodyMode.FULL_DUPLEX_STREAMED, tail=False)[:2]
    folded = fold(run(said(CHAINS["pieces"], messages)))
    assert [item.message.body for item in folded] == [b"", b"bo"]
    assert folded[1].answer == Continue(Phase.REQUEST_BODY, body=b"BO")


def test_other_modes_are_left_as_they_are() -> None:
    streamed = Message(Phase.REQUEST_BODY, body=b"a")
    first = replace(request(end=False), protocol=Protocol(BodyMode.STREAMED, BodyMode.NONE))
    folded = fold([Said(first, (), 1.0, 0), Said(streamed, (Continue(Phase.REQUEST_BODY),), 2.0, 1)])
    assert [(item.message, item.answer) for item in folded] == [(first, None), (streamed, Continue(Phase.REQUEST_BODY))]
