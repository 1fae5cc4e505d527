"""An exchange as a filter sees it."""

from __future__ import annotations

import asyncio
import json
import logging
import weakref
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from extproc import Chain, Exchange, Phase, PhaseError, Use
from extproc.clock import SystemClock
from extproc.messages import Message, Protocol
from extproc.phases import BodyMode
from extproc.wire import encode
from extproc.wire.ext_proc_pb2 import ProcessingResponse
from tests.acting import Do, acting, acting_in, acting_with
from tests.envoy_side import body, go, request, response, trailers

OURS = frozenset({"ours", "more"})


def emitting(do: Do) -> Chain:
    return Chain([acting(on_request_headers=do, metadata_out=OURS)])


def emitted(do: Do) -> dict[str, Any]:
    """What Envoy gets to see of emitted metadata."""
    _, [answer] = go(emitting(do), request())
    metadata = ProcessingResponse.FromString(encode(answer)).dynamic_metadata
    values: dict[str, Any] = json.loads(json.dumps(_plain(metadata)))
    return values


def _plain(struct: Any) -> Any:
    return {name: _value(value) for name, value in struct.fields.items()}


def _value(value: Any) -> Any:
    kind = value.WhichOneof("kind")
    if kind == "struct_value":
        return _plain(value.struct_value)
    if kind == "list_value":
        return [_value(item) for item in value.list_value.values]
    return None if kind == "null_value" else getattr(value, kind)


JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(st.characters(codec="utf-8")),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
    max_leaves=8,
)


@given(st.dictionaries(st.text(max_size=3), JSON, max_size=3))
def test_emitted_metadata_reaches_envoy_as_it_is(values: dict[str, Any]) -> None:
    assert emitted(lambda x: x.metadata.emit("ours", values)) == {"ours": values}


def test_emitting_twice_adds_and_overwrites() -> None:
    def do(exchange: Exchange) -> None:
        exchange.metadata.emit("ours", {"a": 1, "b": 1})
        exchange.metadata.emit("ours", {"b": 2})
        exchange.metadata.emit("more", {"c": 3})

    assert emitted(do) == {"ours": {"a": 1, "b": 2}, "more": {"c": 3}}


def test_what_is_emitted_is_a_copy() -> None:
    def do(exchange: Exchange) -> None:
        values: dict[str, Any] = {"list": [1]}
        exchange.metadata.emit("ours", values)
        values["list"].append(object())

    assert emitted(do) == {"ours": {"list": [1]}}


@pytest.mark.parametrize(
    ("value", "plain"),
    [
        ((1, 2), [1, 2]),
        ({1: "a"}, {"1": "a"}),
        ("caf\udce9", "caf\ufffd"),
        ({"\udcff": 1}, {"\ufffd": 1}),
        (2**60, 2**60),
    ],
)
def test_what_json_knows_another_way_is_emitted_that_way(value: Any, plain: Any) -> None:
    """A client chooses the bytes of a header, and so whether they are UTF-8: that must not fail."""
    assert emitted(lambda x: x.metadata.emit("ours", {"a": value})) == {"ours": {"a": plain}}


@pytest.mark.parametrize("value", [object(), {1, 2}, b"bytes", float("nan"), float("inf"), 10**400, "\ud800"])
def test_what_envoy_could_not_read_fails_in_the_filter_that_emits_it(value: Any) -> None:
    machine, [answer] = go(emitting(lambda x: x.metadata.emit("ours", {"a": value})), request())
    assert (answer.status, answer.details) == (500, "extproc.acting.error")
    assert machine.events is not None
    assert [event.action for event in machine.events] == ["deny"]


def test_a_namespace_that_the_filter_did_not_ask_for_says_how_to() -> None:
    machine, [answer] = go(emitting(lambda x: x.metadata.emit("theirs", {})), request())
    assert answer.status == 500
    assert machine.events is not None
    assert "add it to the filter's `metadata_out`" in machine.events[0].note


def test_what_one_filter_may_emit_another_may_not() -> None:
    def emit(exchange: Exchange) -> None:
        exchange.metadata.emit("ours", {"by": "first"})

    chain = Chain(
        [acting(on_request_headers=emit, metadata_out=OURS), Use(acting(on_request_headers=emit), name="second")]
    )
    _, [answer] = go(chain, request())
    assert answer.details == "extproc.second.error"


def test_metadata_goes_out_with_the_answer_to_the_message_it_was_emitted_in() -> None:
    def emit(exchange: Exchange) -> None:
        exchange.metadata.emit("ours", {"phase": str(exchange.phase)})

    filter_ = acting(on_request_headers=emit, on_request_body=emit, on_response_headers=emit, metadata_out=OURS)
    asked = [request(end=False), body(Phase.REQUEST_BODY, b""), response()]
    _, answers = go(Chain([filter_]), *asked)
    assert [answer.metadata for answer in answers] == [{"ours": {"phase": str(item.phase)}} for item in asked]


def test_metadata_of_envoy_is_read_by_namespace() -> None:
    seen: list[Any] = []
    chain = Chain([acting(on_request_headers=lambda x: seen.append((dict(x.metadata), len(x.metadata))))])
    go(chain, request(metadata={"jwt": {"sub": "me"}}))
    go(chain, request())
    assert seen == [({"jwt": {"sub": "me"}}, 1), ({}, 0)]


def test_an_exchange_whose_metadata_was_read_leaves_nothing_to_the_garbage_collector() -> None:
    exchange = Exchange("x-1", SystemClock())
    assert exchange.metadata.get("theirs") is None
    gone = weakref.ref(exchange)
    del exchange
    assert gone() is None


def test_metadata_cannot_be_emitted_after_the_end() -> None:
    chain = Chain([acting(on_complete=lambda x: x.metadata.emit("ours", {}), metadata_out=OURS)])
    machine, _ = go(chain, request())
    with pytest.raises(PhaseError, match="the exchange is over"):
        machine.exchange.metadata.emit("ours", {})


def test_attributes_add_up_over_the_messages() -> None:
    seen: list[Any] = []
    chain = Chain([acting(on_response_headers=lambda x: seen.append(x.attributes))])
    go(chain, request(attributes={"source.address": "1"}), response(attributes={"response.code": 200}))
    go(chain, response())
    assert seen == [{"source.address": "1", "response.code": 200}, {}]


def test_state_belongs_to_one_exchange() -> None:
    seen: list[Any] = []

    def count(exchange: Exchange) -> None:
        exchange.state["n"] = exchange.state.get("n", 0) + 1
        seen.append(exchange.state["n"])

    chain = Chain([acting(on_request_headers=count, on_response_headers=count)])
    for _ in range(2):
        go(chain, request(), response())
    assert seen == [1, 2, 1, 2]


def test_time_stands_still_while_a_message_is_answered_and_runs_out() -> None:
    seen: list[Any] = []

    async def wait(exchange: Exchange) -> None:
        seen.append((exchange.now, exchange.remaining))
        await asyncio.sleep(0.75)
        seen.append((exchange.now, exchange.remaining))

    go(Chain([acting(on_request_headers=wait, on_response_headers=wait)], timeout=2), request(), response())
    assert seen == [(1_700_000_000.25, left) for left in (2, 1.25, 2, 1.25)]


def test_randomness_repeats_with_the_id_of_the_exchange() -> None:
    one, again, other = (Exchange(name, SystemClock()).random for name in ("a", "a", "b"))
    first = [one.random() for _ in range(3)]
    assert first == [again.random() for _ in range(3)] != [other.random() for _ in range(3)]


def test_the_log_names_exchange_and_filter(caplog: pytest.LogCaptureFixture) -> None:
    def log(exchange: Exchange) -> None:
        exchange.log.info("hello %s", "100%", extra={"more": 1})

    with caplog.at_level(logging.INFO, "extproc.filter"):
        go(Chain([Use(acting(on_request_headers=log), name="greeter")]), request())
    [record] = caplog.records
    assert record.getMessage() == "[x-1 greeter] hello 100%"
    assert (record.__dict__["exchange"], record.__dict__["filter"], record.__dict__["more"]) == ("x-1", "greeter", 1)


def test_there_is_no_response_before_there_is_one() -> None:
    exchange = Exchange("a", SystemClock())
    assert not exchange.has_response
    with pytest.raises(PhaseError, match=r"use it in the on_response_\* hooks"):
        _ = exchange.response


@pytest.mark.parametrize("name", ["request", "response", "metadata"])
def test_what_is_edited_in_place_cannot_be_assigned(name: str) -> None:
    """It would be an edit that nobody sees."""
    with pytest.raises(AttributeError):
        setattr(Exchange("a", SystemClock()), name, {})


ALL = [
    request(end=False),
    body(Phase.REQUEST_BODY, b"", end=False),
    trailers(Phase.REQUEST_TRAILERS),
    response(end=False),
    body(Phase.RESPONSE_BODY, b"", end=False),
    trailers(Phase.RESPONSE_TRAILERS),
]


@pytest.mark.parametrize("phase", Phase)
def test_the_route_can_be_chosen_again_until_the_request_is_on_its_way(phase: Phase) -> None:
    chain = Chain([acting_in(phase, lambda x: x.clear_route_cache())])
    _, answers = go(chain, *ALL)
    answer = answers[[item.phase for item in ALL].index(phase)]
    if phase in (Phase.REQUEST_HEADERS, Phase.REQUEST_BODY):
        assert [item.clear_route_cache for item in answers] == [item.phase is phase for item in answers]
    else:
        assert getattr(answer, "details", None) or answer.reason == "extproc.acting.error"


def emits(exchange: Exchange) -> None:
    exchange.metadata.emit("ours", {"a": 1})


def clears(exchange: Exchange) -> None:
    exchange.clear_route_cache()


@pytest.mark.parametrize("hooks", [(emits, clears), (clears, emits)], ids=["metadata first", "route first"])
def test_metadata_and_a_new_choice_of_the_route_go_out_together(hooks: tuple[Do, Do]) -> None:
    _, [answer] = go(emitting(lambda x: [hook(x) for hook in hooks] and None), request())
    assert (answer.metadata, answer.clear_route_cache) == ({"ours": {"a": 1}}, True)


GONE: dict[str, tuple[dict[str, Any], BodyMode, list[Message]]] = {
    "a body that has ended in trailers": (
        {"on_request_body": lambda x: x.clear_route_cache()},
        BodyMode.BUFFERED,
        [trailers(Phase.REQUEST_TRAILERS)],
    ),
    "a body that comes in pieces": (
        {"on_request_body": lambda x: x.clear_route_cache()},
        BodyMode.STREAMED,
        [body(Phase.REQUEST_BODY, b"all of it", end=True)],
    ),
    "a piece of a body": (
        {"on_request_chunk": lambda x, chunk: x.clear_route_cache()},
        BodyMode.FULL_DUPLEX_STREAMED,
        [body(Phase.REQUEST_BODY, b"a piece", end=False), trailers(Phase.REQUEST_TRAILERS)],
    ),
}
"""Hooks of a body whose headers are on their way: the answer has no place for it, or Envoy no use."""


@pytest.mark.parametrize("case", GONE)
def test_the_route_is_past_when_the_headers_have_left(case: str, caplog: pytest.LogCaptureFixture) -> None:
    hooks, mode, messages = GONE[case]
    headers = replace(request(end=False), protocol=Protocol(mode, BodyMode.NONE))
    _, answers = go(Chain([acting_with(hooks)]), headers, *messages)
    assert "the route is past" in caplog.text
    assert not any(getattr(answer, "clear_route_cache", False) for answer in answers)


@pytest.mark.parametrize("message", ALL, ids=lambda message: message.phase.value)
def test_a_filter_sees_the_phase_that_is_running(message: Message) -> None:
    seen: list[Any] = []
    go(Chain([acting_in(message.phase, lambda x: seen.append(x.phase))]), message)
    assert seen == [message.phase]
