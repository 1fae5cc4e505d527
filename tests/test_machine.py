"""One exchange on its way through a chain: what is answered, in which order filters are met, and what they see."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from extproc import Chain, Exchange, Phase, PhaseError
from extproc.answers import UNCHANGED, _edited
from extproc.machine import ExchangeMachine
from extproc.messages import Continue, HeaderEdit, Immediate, Message
from tests.acting import Do, acting, acting_in, with_every_hook
from tests.envoy_side import EVERY_PHASE, apply, body, go, request, response
from tests.jumping_loop import LoopClock, run


def setting(name: str, value: str = "1") -> Do:
    """A hook that sets a header in the direction that is running."""

    def hook(exchange: Exchange) -> None:
        assert exchange.phase is not None
        side = exchange.request if exchange.phase.value.startswith("request") else exchange.response
        (side.trailers if exchange.phase.value.endswith("trailers") else side.headers)[name] = value

    return hook


# Answers


def test_every_message_gets_one_answer_of_its_phase() -> None:
    _, answers = go(Chain([acting_in(phase, setting("x-new", phase.value)) for phase in Phase]), *EVERY_PHASE)
    assert [answer.phase for answer in answers] == [message.phase for message in EVERY_PHASE]
    assert [answer.set_headers for answer in answers] == [
        (HeaderEdit("x-new", message.phase.value.encode()),) for message in EVERY_PHASE
    ]


@pytest.mark.parametrize("chain", [Chain([]), Chain([acting_in(phase, lambda x: None) for phase in Phase])])
def test_what_changes_nothing_is_answered_by_the_constants(chain: Chain) -> None:
    """A front serves them without encoding anything."""
    _, answers = go(chain, *EVERY_PHASE)
    assert all(answer is UNCHANGED[answer.phase] for answer in answers)


def test_an_edit_that_another_filter_takes_back_is_no_change() -> None:
    chain = Chain([acting(on_request_headers=setting("x-a", "2")), acting(on_request_headers=setting("x-a", "1"))])
    _, [answer] = go(chain, request(("x-a", "1")))
    assert answer is UNCHANGED[Phase.REQUEST_HEADERS]


@pytest.mark.parametrize(("value", "kept"), [("1" * 1000, 1), ("1" * 3000, 0)])
def test_answers_are_remembered_unless_they_are_large(value: str, kept: int) -> None:
    _edited.cache_clear()
    for _ in range(2):
        _, [answer] = go(Chain([acting(on_request_headers=setting("x-a", value))]), request())
        assert answer.set_headers == (HeaderEdit("x-a", value.encode()),)
    assert _edited.cache_info().currsize == kept


def test_a_chain_whose_hooks_do_not_suspend_runs_without_an_event_loop() -> None:
    chain = Chain([acting(on_request_headers=setting("x-new"), on_complete=lambda x: None)])
    machine = ExchangeMachine(chain, "x-1")
    with pytest.raises(StopIteration) as answered:
        machine.receive(request()).send(None)
    assert answered.value.value.set_headers == (HeaderEdit("x-new", b"1"),)
    with pytest.raises(StopIteration):
        machine.close().send(None)


@pytest.mark.parametrize("attribute", ["path", "target", "query"])
def test_a_changed_path_clears_the_route_by_itself(attribute: str) -> None:
    """Else the new path would go to where the old one leads."""
    chain = Chain(
        [acting(on_request_headers=lambda x: setattr(x.request, attribute, "/canary" * (attribute != "query")))]
    )
    _, [answer] = go(chain, request(path="/a?b"))
    assert answer.clear_route_cache


@pytest.mark.parametrize(("attribute", "value"), [("method", "PUT"), ("host", "b.example"), ("scheme", "https")])
def test_changed_routing_headers_clear_the_route_too(attribute: str, value: str) -> None:
    chain = Chain(
        [acting(on_request_headers=lambda x: setattr(x.request, attribute, value), requires=frozenset({"routing"}))]
    )
    _, [answer] = go(chain, request())
    assert answer.clear_route_cache


def test_other_headers_do_not_clear_the_route() -> None:
    _, [answer, _] = go(Chain([acting(on_request_headers=setting("x-a"))]), request(), response())
    assert not answer.clear_route_cache


def test_a_changed_status_is_no_change_of_route() -> None:
    chain = Chain([acting(on_response_headers=lambda x: setattr(x.response, "status", 503))])
    _, [_, answer] = go(chain, request(), response())
    assert (answer.set_headers, answer.clear_route_cache) == ((HeaderEdit(":status", b"503"),), False)


# Order and visibility


def test_requests_meet_filters_in_order_and_responses_in_reverse() -> None:
    log: list[str] = []
    go(Chain([with_every_hook("a", log), with_every_hook("b", log)]), *EVERY_PHASE)
    wanted = [f"{name} {phase.value}" for phase in Phase for name in ("ab" if phase.value.startswith("req") else "ba")]
    assert log == [*wanted, "a end", "b end"]


@pytest.mark.parametrize("message", EVERY_PHASE, ids=lambda message: message.phase.value)
def test_edits_are_seen_by_later_filters_and_envoys_copy_becomes_ours(message: Message) -> None:
    seen: list[Any] = []

    def look(exchange: Exchange) -> None:
        side = exchange.request if message.phase.value.startswith("request") else exchange.response
        fields = side.trailers if message.phase.value.endswith("trailers") else side.headers
        seen.append(list(fields._items))

    filters = [acting_in(message.phase, setting("x-new", "2")), acting_in(message.phase, look)]
    chain = Chain(filters if message.phase.value.startswith("request") else filters[::-1])
    _, [answer] = go(chain, message)
    assert apply(message.headers, answer.set_headers, answer.remove_headers) == seen[0]


def test_the_request_can_be_read_in_the_response_phases_but_not_edited() -> None:
    seen: list[str] = []

    def look(exchange: Exchange) -> None:
        seen.append(exchange.request.headers["x-a"])
        edits: list[Do] = [
            lambda: exchange.request.headers.add("x-late", "1"),
            lambda: setattr(exchange.request, "path", "/late"),
            lambda: setattr(exchange.request, "body", "late"),
        ]
        for edit in edits:
            with pytest.raises(PhaseError, match="it has left already"):
                edit()

    machine, answers = go(Chain([acting(on_response_headers=look)]), request(("x-a", "1")), response())
    assert (seen, answers[1], machine.events) == (["1"], UNCHANGED[Phase.RESPONSE_HEADERS], [])


def test_headers_cannot_be_edited_in_a_trailers_phase() -> None:
    machine, answers = go(
        Chain([acting(on_request_trailers=lambda x: x.request.headers.add("x", "1"))]), *EVERY_PHASE[:3]
    )
    assert isinstance(answers[2], Immediate)
    assert machine.events is not None
    assert "PhaseError" in machine.events[0].note


def test_trailers_that_envoy_shows_without_headers_can_be_edited() -> None:
    _, [answer] = go(Chain([acting(on_response_trailers=setting("t", "3"))]), EVERY_PHASE[5])
    assert answer == Continue(Phase.RESPONSE_TRAILERS, (HeaderEdit("t", b"3"),))


# Exchanges and directions beside each other


def test_a_request_that_never_was_cannot_be_edited() -> None:
    machine, [answer] = go(Chain([acting(on_response_headers=lambda x: x.request.headers.add("x", "1"))]), response())
    assert isinstance(answer, Immediate)
    assert machine.events is not None
    assert "Envoy made the response by itself" in machine.events[0].note


def test_a_response_may_begin_before_the_request_has_ended() -> None:
    seen: list[Any] = []

    def look(exchange: Exchange) -> None:
        with pytest.raises(PhaseError, match="body is not here yet"):
            _ = exchange.request.body
        seen.append(exchange.response.status)

    chain = Chain([acting(on_response_headers=look, on_request_body=lambda x: seen.append(x.request.body))])
    _, answers = go(chain, request(end=False), response(status=413), body(Phase.REQUEST_BODY, b"late"))
    assert (seen, [answer.phase for answer in answers]) == (
        [413, b"late"],
        [Phase.REQUEST_HEADERS, Phase.RESPONSE_HEADERS, Phase.REQUEST_BODY],
    )


def test_exchanges_share_nothing_but_the_filters() -> None:
    """Two at once, each waiting in the middle of a hook."""

    async def mark(exchange: Exchange) -> None:
        exchange.request.headers["x-id"] = exchange.request.path
        exchange.state["path"] = exchange.request.path
        await asyncio.sleep(0.01)
        exchange.request.headers["x-state"] = exchange.state["path"]

    chain = Chain([acting(on_request_headers=mark)])

    async def scene() -> list[Any]:
        machines = [ExchangeMachine(chain, f"x-{n}", clock=LoopClock()) for n in range(5)]
        asked = [machine.receive(request(path=f"/{n}")) for n, machine in enumerate(machines)]
        return await asyncio.gather(*asked)

    for n, answer in enumerate(run(scene())):
        path = f"/{n}".encode()
        assert answer.set_headers == (HeaderEdit("x-id", path), HeaderEdit("x-state", path))
