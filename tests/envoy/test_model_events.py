"""The model, event by event: parts come, the processor does something, time passes, somebody leaves."""

from __future__ import annotations

import pytest

from extproc.envoy.model import (
    Close,
    Context,
    EnvoyModel,
    Exchange,
    ExtProcConfig,
    Later,
    MetadataOptions,
    Namespaces,
    Replies,
    Said,
)
from extproc.messages import Continue, Message
from extproc.phases import BodyMode, Direction, Phase
from tests.envoy.scenario import RQB, RQH, RSH, config, get, post, reply, split

REQUEST, RESPONSE = Direction.REQUEST, Direction.RESPONSE
HEADERS = config(timeout=1.0)


def begun(where: ExtProcConfig = HEADERS, *, end: bool = True) -> Exchange:
    """An exchange whose request's headers are here."""
    exchange = EnvoyModel(where).begin()
    exchange.headers(REQUEST, (get() if end else post()).headers, end=end)
    return exchange


def heard(exchange: Exchange) -> list[tuple[Phase, bytes]]:
    said = [(asked.message.phase, asked.message.body) for asked in exchange.said]
    exchange.said.clear()
    return said


def test_what_comes_is_told_and_goes_on_when_it_is_answered() -> None:
    exchange = begun()
    assert heard(exchange) == [(RQH, b"")]
    assert exchange.request.sent.message() is None
    exchange.answer(Continue(RQH))
    assert exchange.request.sent.message() == get()
    exchange.headers(RESPONSE, reply().headers, end=False)
    exchange.answer(Continue(RSH))
    exchange.data(RESPONSE, b"ok", end=True)
    assert exchange.over
    assert exchange.hung_up()
    assert exchange.outcome().client == reply()


def test_both_directions_can_be_under_way() -> None:
    exchange = begun(config("headers bodies", body=BodyMode.STREAMED), end=False)
    exchange.answer(Continue(RQH))
    exchange.headers(RESPONSE, reply().headers, end=False)
    exchange.data(REQUEST, b"one", end=False)
    assert heard(exchange) == [(RQH, b""), (RSH, b""), (RQB, b"one")]
    exchange.answer([Continue(RQB), Continue(RSH)])
    assert exchange.request.sent.chunks == [b"one"]
    assert exchange.response.sent.headers is not None


def test_an_answer_that_comes_later_comes_with_the_time() -> None:
    exchange = begun()
    exchange.answer(Later(0.4, Continue(RQH)))
    assert exchange.request.sent.message() is None
    assert exchange.wait()
    assert exchange.request.sent.message() == get()


def test_an_answer_that_comes_too_late_is_not_waited_for() -> None:
    exchange = begun()
    exchange.answer(Later(1.5, Continue(RQH)))
    assert exchange.wait()
    assert exchange.over
    assert exchange.details == "ext_proc_error_per-message_timeout_exceeded"
    assert exchange.outcome().counters["message_timeouts"] == 1


def let_pass(exchange: Exchange, seconds: float) -> None:
    while seconds:
        seconds = exchange.pass_time(seconds)


def test_what_is_said_later_counts_from_what_was_said_before() -> None:
    exchange = begun(config(timeout=1.0, max_message_timeout=5.0))
    exchange.answer([Later(0.5, Said(timeout_override=3.0)), Later(2.0, Continue(RQH))])
    let_pass(exchange, 2.4)
    assert exchange.request.sent.message() is None
    let_pass(exchange, 0.2)
    assert exchange.request.sent.message() == get()


def test_time_passes_only_as_far_as_it_is_let() -> None:
    exchange = begun()
    exchange.pass_time(0.9)
    assert not exchange.over
    exchange.pass_time(0.2)
    assert exchange.over


def test_nothing_happens_before_anything_has_come() -> None:
    assert not EnvoyModel(HEADERS).begin().wait()


def test_nothing_happens_when_it_is_over() -> None:
    exchange = begun()
    exchange.client_left()
    assert not exchange.wait()
    exchange.headers(RESPONSE, reply().headers, end=True)
    exchange.answer(Continue(RQH))
    assert exchange.outcome().client is None
    assert exchange.outcome().reset


def test_a_stream_on_which_nobody_says_anything_is_given_up() -> None:
    exchange = begun(config("all", body=BodyMode.FULL_DUPLEX_STREAMED, stream_idle_timeout=60.0))
    assert exchange.wait()
    assert exchange.details == "stream_idle_timeout"
    assert (RSH, b"") in heard(exchange)


def test_the_sender_is_stopped_at_the_buffer_limit_and_goes_on_when_there_is_room() -> None:
    exchange = begun(config("headers bodies", body=BodyMode.STREAMED, buffer_limit=10), end=False)
    exchange.answer(Continue(RQH))
    assert exchange.reads(REQUEST)
    exchange.data(REQUEST, b"x" * 11, end=False)
    assert not exchange.reads(REQUEST)
    exchange.answer(Continue(RQB))
    assert exchange.reads(REQUEST)


@pytest.mark.parametrize("http2", [False, True])
def test_an_upstream_that_leaves_before_it_answers_is_answered_for(http2: bool) -> None:
    exchange = begun()
    exchange.answer(Continue(RQH))
    exchange.upstream_left(http2=http2)
    assert heard(exchange) == [(RQH, b""), (RSH, b"")]
    exchange.answer(Continue(RSH))
    client = exchange.outcome().client
    assert client is not None
    assert client.get(":status") == b"503"


def test_a_processor_that_hangs_up_is_not_heard_any_more() -> None:
    exchange = begun()
    exchange.answer([Close(), Continue(RQH)])
    assert exchange.hung_up()
    assert exchange.outcome().counters == {
        "streams_started": 1,
        "stream_msgs_sent": 1,
        "server_half_closed": 1,
        "streams_closed": 1,
    }


def test_metadata_is_taken_from_the_namespaces_that_are_received_and_told_from_those_that_are_forwarded() -> None:
    options = MetadataOptions(forwarding=Namespaces(("a", "told")), receiving=Namespaces(("told",)))
    exchange = EnvoyModel(config(metadata_options=options)).begin(Context(metadata={"a": {"k": 1}, "b": {"k": 2}}))
    exchange.headers(REQUEST, get().headers, end=True)
    exchange.answer(Continue(RQH, metadata={"told": {"x": "1"}, "other": {"x": "1"}}))
    exchange.headers(RESPONSE, reply().headers, end=False)
    assert [dict(asked.message.metadata) for asked in exchange.said] == [
        {"a": {"k": 1}},
        {"a": {"k": 1}, "told": {"x": "1"}},
    ]
    assert exchange.outcome().metadata == {"a": {"k": 1}, "b": {"k": 2}, "told": {"x": "1"}}


async def test_parts_come_one_by_one_where_that_is_asked_for() -> None:
    told: list[tuple[Phase, bytes]] = []

    async def processor(message: Message) -> Replies:
        told.append((message.phase, message.body))
        return Continue(message.phase)

    model = EnvoyModel(config("request_headers request_body", body=BodyMode.STREAMED))
    request = split(post(b"onetwo", chunked=True), 3)
    for piecewise, bodies in ((False, [b"onetwo"]), (True, [b"one", b"two", b""])):
        told.clear()
        outcome = await model.run(request, reply(), processor, piecewise=piecewise)
        assert told == [(RQH, b""), *((RQB, body) for body in bodies)]
        assert outcome.upstream is not None
        assert outcome.upstream.body == b"onetwo"
