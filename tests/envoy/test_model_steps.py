"""The model's interface: step by step, or in one go."""

from __future__ import annotations

from collections.abc import Generator
from dataclasses import replace

import pytest

from extproc.answers import UNCHANGED
from extproc.envoy.model import (
    Ask,
    Close,
    Context,
    EnvoyModel,
    Forward,
    HttpMessage,
    MetadataOptions,
    Namespaces,
    Outcome,
    Replies,
    Resumed,
    Step,
    over_http1,
)
from extproc.messages import Continue, HeaderEdit, Message, Protocol
from extproc.phases import BodyMode, Phase
from tests.envoy.scenario import ALL, HEADERS, TRAILED_POST, TRAILED_REPLY, config, get, post, reply


async def unchanging(message: Message) -> Replies:
    return UNCHANGED[message.phase]


def finish(steps: Generator[Step, Resumed, Outcome], answer: Resumed) -> Outcome:
    with pytest.raises(StopIteration) as end:
        steps.send(answer)
    outcome: Outcome = end.value.value
    return outcome


def test_each_step_says_what_it_waits_for() -> None:
    steps = EnvoyModel(HEADERS).exchange(get())
    first = next(steps)
    assert isinstance(first, Ask)
    assert first.message.phase is Phase.REQUEST_HEADERS
    edited = Continue(Phase.REQUEST_HEADERS, (HeaderEdit("x-n", b"1"),))
    second = steps.send(edited)
    assert isinstance(second, Forward)
    assert second.request.get("x-n") == b"1"
    third = steps.send(reply())
    assert isinstance(third, Ask)
    assert third.message.phase is Phase.RESPONSE_HEADERS
    outcome = finish(steps, UNCHANGED[Phase.RESPONSE_HEADERS])
    assert outcome.client == reply()
    assert outcome.upstream == second.request


def test_many_exchanges_can_be_interleaved() -> None:
    model = EnvoyModel(HEADERS)
    both = [model.exchange(get(path)) for path in ("/a", "/b")]
    asked = [next(steps) for steps in both]
    paths = [dict(step.message.headers)[":path"] for step in asked if isinstance(step, Ask)]
    assert paths == [b"/a", b"/b"]


async def test_the_client_is_unknown_where_the_upstream_is() -> None:
    outcome = await EnvoyModel(ALL).run(get(), None, unchanging)
    assert outcome.upstream == get()
    assert outcome.client is None
    assert outcome.counters == {
        "streams_started": 1,
        "stream_msgs_sent": 1,
        "stream_msgs_received": 1,
        "streams_closed": 1,
    }


async def test_an_upstream_may_answer_by_the_request() -> None:
    def mirror(request: HttpMessage) -> HttpMessage:
        return reply(200, ("x-path", request.get(":path") or b""))

    outcome = await EnvoyModel(HEADERS).run(get("/b"), mirror, unchanging)
    assert outcome.client is not None
    assert outcome.client.get("x-path") == b"/b"


async def test_attributes_come_once_for_each_direction_and_metadata_always() -> None:
    heard: list[Message] = []

    async def processor(message: Message) -> Replies:
        heard.append(message)
        return UNCHANGED[message.phase]

    asking = replace(
        ALL,
        request_attributes=("source.address",),
        response_attributes=("response.code",),
        metadata_options=MetadataOptions(forwarding=Namespaces(("ns",))),
    )
    context = Context(
        {"source.address": "1.2.3.4", "source.port": 1}, {"response.code": 200}, {"ns": {"k": "v"}, "other": {}}
    )
    await EnvoyModel(asking).run(TRAILED_POST, TRAILED_REPLY, processor, context)
    assert [dict(message.attributes) for message in heard] == [
        {"source.address": "1.2.3.4"},
        {},
        {},
        {"response.code": 200},
        {},
        {},
    ]
    assert all(message.metadata == {"ns": {"k": "v"}} for message in heard)


async def test_attributes_come_with_the_body_where_the_headers_are_not_asked_about() -> None:
    heard: list[Message] = []

    async def processor(message: Message) -> Replies:
        heard.append(message)
        return UNCHANGED[message.phase]

    context = Context({"source.address": "1.2.3.4"})
    asking = config("request_body request_trailers", request_attributes=("source.address",))
    await EnvoyModel(asking).run(TRAILED_POST, reply(), processor, context)
    assert [dict(message.attributes) for message in heard] == [{"source.address": "1.2.3.4"}, {}]


async def test_only_the_first_message_tells_the_body_modes() -> None:
    heard: list[Message] = []

    async def processor(message: Message) -> Replies:
        heard.append(message)
        return UNCHANGED[message.phase]

    await EnvoyModel(ALL).run(post(), reply(), processor)
    assert [message.protocol for message in heard] == [
        Protocol(BodyMode.BUFFERED, BodyMode.BUFFERED),
        *[None] * (len(heard) - 1),
    ]


async def test_one_model_serves_many_exchanges_and_changes_none_of_their_messages() -> None:
    request = post(b"hello", ("x-a", b"1"))
    model = EnvoyModel(ALL)

    async def processor(message: Message) -> Replies:
        return Continue(message.phase, remove_headers=("x-a",))

    first, second = [await model.run(request, reply(), processor) for _ in range(2)]
    assert first == second
    assert request == post(b"hello", ("x-a", b"1"))


async def test_a_clean_end_is_never_a_failure() -> None:
    async def processor(message: Message) -> Replies:
        return Close()

    outcome = await EnvoyModel(ALL).run(post(), reply(), processor)
    assert outcome.upstream == post()
    assert outcome.details == "via_upstream"


@pytest.mark.parametrize(
    ("message", "answering", "expected"),
    [
        (post(), None, b"hello"),
        (HttpMessage([(":method", b"POST"), ("content-length", b"3")], (b"hello",)), None, b"hel"),
        (reply(200, body=b"hello"), get(), b"hello"),
        (reply(204, body=b"hello"), get(), b""),
        (reply(200, body=b"hello"), get(method="HEAD"), b""),
    ],
)
def test_over_http1_gives_the_body_that_a_peer_reads(
    message: HttpMessage, answering: HttpMessage | None, expected: bytes
) -> None:
    assert over_http1(message, answering).body == expected
