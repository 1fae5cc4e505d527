"""Bodies: whole ones, none at all, replaced ones; and content-length true to each of them."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from extproc import BodyMode, Chain, Exchange, Filter, Phase, Response, Use
from extproc.answers import UNCHANGED
from extproc.machine import ExchangeMachine
from extproc.messages import Continue, HeaderEdit, Immediate, Message, Protocol, RawHeaders
from tests.acting import Do, acting, acting_in
from tests.envoy_side import apply, body, go, request, response, trailers
from tests.jumping_loop import run

HALVES = {
    "request": (request, Phase.REQUEST_HEADERS, Phase.REQUEST_BODY),
    "response": (response, Phase.RESPONSE_HEADERS, Phase.RESPONSE_BODY),
}
half = pytest.mark.parametrize("half", HALVES)


def side(exchange: Exchange) -> Any:
    assert exchange.phase is not None
    return exchange.request if exchange.phase.value.startswith("request") else exchange.response


def set_body(value: bytes | str) -> Do:
    return lambda exchange: setattr(side(exchange), "body", value)


def after(message: Message, *answers: Continue) -> RawHeaders:
    """Envoy's copy of the headers after some answers."""
    headers = message.headers
    for answer in answers:
        headers = apply(headers, answer.set_headers, answer.remove_headers)
    return headers


def length(headers: RawHeaders) -> list[bytes]:
    return [value for name, value in headers if name == "content-length"]


# Whole bodies


@half
@pytest.mark.parametrize("last", [True, False], ids=["last", "trailers follow"])
def test_a_body_hook_sees_the_whole_body_and_may_leave_it(half: str, last: bool) -> None:
    make, _, phase = HALVES[half]
    seen: list[Any] = []
    chain = Chain([acting_in(phase, lambda x: seen.append((side(x).body, side(x).text)))])
    _, answers = go(chain, make(("content-length", "2"), end=False), body(phase, b"up", end=last))
    assert (seen, answers[1]) == ([(b"up", "up")], UNCHANGED[phase])


@half
@pytest.mark.parametrize("content", [b"", b"x", b"the same size", b"a longer one than before"])
def test_a_changed_body_has_its_length(half: str, content: bytes) -> None:
    """Envoy answers 500 when the two disagree."""
    make, _, phase = HALVES[half]
    headers = make(("content-length", "13"), ("x-a", "1"), end=False)
    _, [first, second] = go(Chain([acting_in(phase, set_body(content))]), headers, body(phase, b"thirteen byte"))
    assert (second.body, second.replace) == (content, False)
    assert length(after(headers, first, second)) == [b"%d" % len(content)]


@half
def test_a_chunked_body_stays_without_a_length(half: str) -> None:
    make, _, phase = HALVES[half]
    headers = make(("transfer-encoding", "chunked"), end=False)
    _, [_, answer] = go(Chain([acting_in(phase, set_body("new"))]), headers, body(phase, b"old"))
    assert answer == Continue(phase, body=b"new")


@half
def test_a_body_that_ends_as_it_was_is_not_sent_again(half: str) -> None:
    make, _, phase = HALVES[half]
    chain = Chain([acting_in(phase, set_body("new")), acting_in(phase, set_body("old"))])
    if half == "response":
        chain = Chain([acting_in(phase, set_body("old")), acting_in(phase, set_body("new"))])
    _, [_, answer] = go(chain, make(("content-length", "3"), end=False), body(phase, b"old"))
    assert answer is UNCHANGED[phase]


@half
def test_headers_and_body_change_together(half: str) -> None:
    make, _, phase = HALVES[half]

    def do(exchange: Exchange) -> None:
        side(exchange).headers["x-size"] = str(len(side(exchange).body))
        side(exchange).body = "new one"

    headers = make(("content-length", "3"), end=False)
    _, [_, answer] = go(Chain([acting_in(phase, do)]), headers, body(phase, b"old"))
    assert answer == Continue(phase, (HeaderEdit("content-length", b"7"), HeaderEdit("x-size", b"3")), body=b"new one")


@half
def test_edits_of_both_phases_add_up_at_envoy(half: str) -> None:
    make, first_phase, phase = HALVES[half]

    def again(exchange: Exchange) -> None:
        side(exchange).headers["x-a"] = "3"
        del side(exchange).headers["x-b"]

    def first(exchange: Exchange) -> None:
        side(exchange).headers["x-a"] = "2"
        side(exchange).headers["x-b"] = "2"

    headers = make(("x-a", "1"), end=False)
    chain = Chain([acting_in(first_phase, first), acting_in(phase, again)])
    machine, answers = go(chain, headers, body(phase, b""))
    left = machine.exchange.request if half == "request" else machine.exchange.response
    assert sorted(after(headers, *answers)) == sorted(left.headers._items)
    assert left.headers.multi_items() == [("x-a", "3")]


@half
def test_a_body_without_headers_loses_the_length_that_envoy_never_showed(half: str) -> None:
    _, _, phase = HALVES[half]
    _, [answer] = go(Chain([acting_in(phase, set_body("new"))]), body(phase, b"old"))
    assert answer == Continue(phase, remove_headers=("content-length",), body=b"new")


@half
def test_a_body_hook_may_take_pieces(half: str) -> None:
    make, _, phase = HALVES[half]
    chunks: list[bytes] = []

    def hold_back(exchange: Exchange, chunk: bytes) -> bytes | None:
        chunks.append(chunk)
        return None if len(chunks) == 1 else b"tail"

    filter_: Filter = acting(on_request_chunk=hold_back) if half == "request" else acting(on_response_chunk=hold_back)
    headers = make(("content-length", "2"), end=False)
    _, [first, second] = go(Chain([filter_]), headers, body(phase, b"up"))
    assert (chunks, second.body, length(after(headers, first, second))) == ([b"up", b""], b"uptail", [b"6"])


@pytest.mark.parametrize("result", ["text", 3, bytearray(b"x"), [b"x"]])
def test_a_chunk_hook_gives_bytes(result: Any) -> None:
    machine, [_, answer] = go(
        Chain([acting(on_request_chunk=lambda x, chunk: result)]), request(end=False), body(Phase.REQUEST_BODY, b"up")
    )
    assert answer.status == 500
    assert machine.events is not None
    assert f"HookError: returned {type(result).__name__}" in machine.events[0].note


def test_a_chunk_hook_may_answer() -> None:
    chain = Chain([acting(on_request_chunk=lambda x, chunk: Response(403) if not chunk else b"")])
    _, [_, answer] = go(chain, request(end=False), body(Phase.REQUEST_BODY, b"up"))
    assert (answer.status, answer.details) == (403, "extproc.acting")


# No body at all


@half
def test_a_message_without_a_body_still_meets_the_body_hooks(half: str) -> None:
    """Envoy has no body phase for it: a filter that decides by the body would be walked past."""
    make, first_phase, phase = HALVES[half]
    seen: list[Any] = []
    chain = Chain([acting_in(phase, lambda x: seen.append((side(x).body, x.phase)))])
    _, [answer] = go(chain, make(end=True))
    assert (seen, answer) == ([(b"", phase)], UNCHANGED[first_phase])


def test_it_may_be_refused_there() -> None:
    _, [answer] = go(Chain([acting(on_request_body=lambda x: Response(400))]), request(end=True))
    assert answer == Immediate(400, details="extproc.acting")


@half
def test_it_may_get_a_body_there(half: str) -> None:
    make, first_phase, phase = HALVES[half]
    headers = make(("content-length", "0"), end=True)
    messages = [headers] if half == "request" else [request(), headers]  # to HEAD, nothing gets a body
    machine, [*_, answer] = go(Chain([acting_in(phase, set_body("new"))]), *messages)
    assert answer == Continue(first_phase, body=b"new", replace=True)
    left = machine.exchange.request if half == "request" else machine.exchange.response
    assert "content-length" not in left.headers


@half
def test_hooks_of_headers_all_run_before_hooks_of_bodies(half: str) -> None:
    make, first_phase, phase = HALVES[half]
    log: list[str] = []
    filters = [
        acting_in(phase, lambda x: log.append("body")),
        acting_in(first_phase, lambda x: log.append("headers")),
        acting_in(phase, lambda x: log.append("body")),
    ]
    go(Chain(filters), make(end=True))
    assert log == ["headers", "body", "body"]


# A body replaced unseen


@half
@pytest.mark.parametrize("content", [b"new", b""])
def test_a_body_set_with_the_headers_replaces_the_one_to_come(half: str, content: bytes) -> None:
    make, first_phase, _ = HALVES[half]
    headers = make(("content-length", "3"), ("x-a", "1"), end=False)
    _, [answer] = go(Chain([acting_in(first_phase, set_body(content))]), headers)
    assert answer == Continue(first_phase, body=content, replace=True)


@half
def test_body_hooks_see_the_body_that_replaced_the_one_to_come(half: str) -> None:
    make, first_phase, phase = HALVES[half]
    seen: list[bytes] = []
    chain = Chain([acting_in(first_phase, set_body("new")), acting_in(phase, lambda x: seen.append(side(x).body))])
    _, [answer] = go(chain, make(end=False))
    assert (seen, answer.body) == ([b"new"], b"new")


@half
def test_an_empty_body_for_no_body_is_no_change(half: str) -> None:
    make, first_phase, _ = HALVES[half]
    _, [answer] = go(Chain([acting_in(first_phase, set_body(b""))]), make(end=True))
    assert answer is UNCHANGED[first_phase]


# Responses without content (RFC 9110 section 6.4.1): a byte of a body would be taken for the next response

BODILESS = {
    "HEAD": [request(method="HEAD"), response(("content-length", "5"), end=True)],
    "204": [request(), response(status=204, end=True)],
    "304": [request(), response(("content-length", "5"), status=304, end=True)],
}


@pytest.mark.parametrize("case", BODILESS)
@pytest.mark.parametrize("phase", [Phase.RESPONSE_HEADERS, Phase.RESPONSE_BODY])
def test_a_response_without_content_gets_no_body(case: str, phase: Phase) -> None:
    machine, [_, answer] = go(Chain([acting_in(phase, set_body("smuggled"))]), *BODILESS[case])
    assert answer is UNCHANGED[Phase.RESPONSE_HEADERS]
    assert machine.exchange.response.body == b""


@pytest.mark.parametrize("case", BODILESS)
def test_a_response_without_content_does_not_meet_the_body_hooks(case: str) -> None:
    seen: list[Any] = []
    go(Chain([acting(on_response_body=lambda x: seen.append(x.response.body))]), *BODILESS[case])
    assert seen == []


@pytest.mark.parametrize("case", BODILESS)
def test_its_headers_can_be_edited(case: str) -> None:
    chain = Chain([acting(on_response_headers=lambda x: x.response.headers.add("x-a", "1"))])
    _, [_, answer] = go(chain, *BODILESS[case])
    assert answer == Continue(Phase.RESPONSE_HEADERS, (HeaderEdit("x-a", b"1"),))


@pytest.mark.parametrize("mode", [BodyMode.STREAMED, BodyMode.FULL_DUPLEX_STREAMED])
@pytest.mark.parametrize("case", BODILESS)
def test_nor_does_one_whose_end_comes_as_an_empty_piece(case: str, mode: BodyMode) -> None:
    asked, answered = BODILESS[case]
    messages = [
        replace(asked, protocol=Protocol(mode, mode)),
        replace(answered, end_of_stream=False),
        body(Phase.RESPONSE_BODY, b""),
    ]
    chain = Chain([acting(on_response_chunk=lambda _, chunk: chunk or b"smuggled")])
    machine = ExchangeMachine(chain, "x-1")

    async def scene() -> list[Any]:
        return [answer for message in messages for answer in await machine.receive_all(message)]

    *_, last = run(scene())
    assert (last.phase, last.body or b"") == (Phase.RESPONSE_BODY, b"")


@pytest.mark.parametrize("status", [204, 304])
def test_a_status_without_content_takes_the_body_away(status: int) -> None:
    chain = Chain([acting(on_response_headers=lambda x: setattr(x.response, "status", status))])
    headers = response(("content-length", "5"), end=False)
    machine, [_, answer] = go(chain, request(), headers)
    assert answer == Continue(Phase.RESPONSE_HEADERS, (HeaderEdit(":status", b"%d" % status),), body=b"", replace=True)
    assert "content-length" not in machine.exchange.response.headers


@pytest.mark.parametrize("status", [204, 304])
@pytest.mark.parametrize("content", [None, b"", b"other"])
def test_a_status_without_content_set_with_the_body_takes_the_body_away(status: int, content: bytes | None) -> None:
    def do(exchange: Exchange) -> None:
        exchange.response.status = status
        if content is not None:
            exchange.response.body = content

    headers = response(("content-length", "5"), end=False)
    chain = Chain([acting(on_response_body=do)])
    _, [_, first, second] = go(chain, request(), headers, body(Phase.RESPONSE_BODY, b"hello"))
    assert (second.body, length(after(headers, first, second))) == (b"", [])


@pytest.mark.parametrize("content", [b"", b"now there is one"])
def test_a_status_with_content_forgets_the_length_of_what_is_not_there(content: bytes) -> None:
    """A 304 may say how long the 200 would have been: the client would wait for that many bytes."""

    def do(exchange: Exchange) -> None:
        exchange.response.status = 200
        exchange.response.body = content

    _, [_, answer] = go(Chain([acting(on_response_headers=do)]), *BODILESS["304"])
    assert (answer.body, answer.replace) == (content, True)


# How Envoy sends bodies (more in test_body_modes)


def test_a_filter_whose_condition_does_not_hold_does_not_mind() -> None:
    chain = Chain([Use(acting(on_request_body=lambda x: None), when={"path": "/other"})])
    _, [answer] = go(chain, request(protocol=Protocol(BodyMode.NONE, BodyMode.NONE), end=False))
    assert answer is UNCHANGED[Phase.REQUEST_HEADERS]


@half
def test_without_a_body_the_mode_does_not_matter(half: str) -> None:
    _, _, phase = HALVES[half]
    none = Protocol(BodyMode.NONE, BodyMode.NONE)
    _, answers = go(
        Chain([acting_in(phase, set_body("new"))]), request(protocol=none), *([response()] * (half == "response"))
    )
    assert (answers[-1].body, answers[-1].replace) == (b"new", True)


@pytest.mark.parametrize("protocol", [None, Protocol(BodyMode.BUFFERED, BodyMode.BUFFERED)])
def test_an_envoy_that_does_not_say_is_taken_to_do_what_the_chain_asks(protocol: Protocol | None) -> None:
    chain = Chain([acting(on_request_body=set_body("new"))])
    _, [_, answer] = go(chain, request(end=False, protocol=protocol), body(Phase.REQUEST_BODY, b"old"))
    assert answer.body == b"new"


def test_trailers_do_not_touch_the_body() -> None:
    messages = [request(end=False), body(Phase.REQUEST_BODY, b"up", end=False), trailers(Phase.REQUEST_TRAILERS)]
    seen: list[Any] = []
    chain = Chain([acting(on_request_body=set_body("new"), on_request_trailers=lambda x: seen.append(x.request.body))])
    _, answers = go(chain, *messages)
    assert (seen, answers[2]) == ([b"new"], UNCHANGED[Phase.REQUEST_TRAILERS])
