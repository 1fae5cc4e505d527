"""STREAMED bodies, and bodies that do not wait for the headers, by the names of Envoy's own integration tests."""

from __future__ import annotations

from extproc.envoy.model import Close, ModeOverride
from extproc.messages import Message
from extproc.phases import BodyMode
from extproc.wire.ext_proc_pb2 import ProcessingResponse
from tests.envoy.answers import beside, say, unchanged
from tests.envoy.moves import ALL_PARTS, Reply, Say, Send, stepwise, whole
from tests.envoy.scenario import (
    HEADERS,
    RQB,
    RQH,
    RQT,
    RSB,
    TRAILED_POST,
    TRAILED_REPLY,
    Scenario,
    config,
    post,
    reply,
    split,
    turns,
)

_REQUEST = config("request_headers request_body", body=BodyMode.STREAMED)
_BOTH = config("headers bodies", body=BodyMode.STREAMED)
_ALL = config("all", body=BodyMode.STREAMED)
_AHEAD = config("all", body=BodyMode.STREAMED, send_body_without_waiting_for_header_response=True)
_AHEAD_NO_TRAILERS = config(
    "headers bodies", body=BodyMode.STREAMED, send_body_without_waiting_for_header_response=True
)
_OVERRIDABLE = config("headers bodies", body=BodyMode.STREAMED, allow_mode_override=True)
_POST = split(post(b"onetwosix", chunked=True), 3)
_REPLY = split(reply(body=b"onetwosix", chunked=True), 3)


def _upper(message: Message) -> list[ProcessingResponse]:
    return [say(message.phase, body=message.body.upper())]


SCENARIOS = [
    Scenario("PostAndProcessHeadersOnly", HEADERS, {}, _POST, moves=stepwise(4, 2)),
    Scenario("PostAndProcessBufferedRequestBody", config("headers request_body"), {}, _POST, moves=stepwise(4, 2)),
    *(
        Scenario(f"PostAndProcessStreamedRequestBody{how}", _REQUEST, {}, _POST, moves=moves)
        for how, moves in {"": stepwise(4, 2), "-at-once": whole()}.items()
    ),
    Scenario(
        "PostAndProcessStreamedRequestBodyPartially",
        _OVERRIDABLE,
        {RQB: turns([beside(unchanged(RQB), mode=ModeOverride())])},
        _POST,
        moves=stepwise(4, 2),
    ),
    Scenario(
        "PostAndProcessStreamedRequestBodyAndClose",
        _REQUEST,
        {RQB: turns([unchanged(RQB), Close()])},
        _POST,
        moves=stepwise(4, 2),
    ),
    Scenario(
        "PostAndProcessStreamedRequestBodyObservabilityMode",
        config("request_headers request_body", body=BodyMode.STREAMED, observability_mode=True),
        {},
        _POST,
        moves=stepwise(4, 2),
    ),
    Scenario("GetAndProcessStreamedResponseBody", _BOTH, {}, response=_REPLY, moves=stepwise(1, 4)),
    Scenario("PostAndProcessStreamBothBodies", _BOTH, {}, _POST, _REPLY, moves=stepwise(4, 4)),
    Scenario(
        "PostAndStreamAndTransformBothBodies", _BOTH, {RQB: _upper, RSB: _upper}, _POST, _REPLY, moves=stepwise(4, 4)
    ),
    Scenario("PostAndStreamAndTransformBothBodies-at-once", _BOTH, {RQB: _upper, RSB: _upper}, _POST, _REPLY),
    Scenario(
        "PostAndStreamAndTransformBothBodies-both-at-once",
        _BOTH,
        {RQB: _upper, RSB: _upper},
        _POST,
        _REPLY,
        moves=(*[Send()] * 2, Reply(2, early=True), Send(), Reply(1, early=True), Send(), Reply()),
    ),
    Scenario(
        "PostAndProcessBufferedRequestBodyTooBig",
        config("request_headers request_body", buffer_limit=100),
        {},
        split(post(b"x" * 300, chunked=True), 60),
        moves=stepwise(6, 2),
    ),
    # Bodies that do not wait
    Scenario("SendBodyBeforeHeaderRespStreamedBasicTest", _AHEAD, {}, post(), moves=stepwise(2, 2)),
    Scenario(
        "SendBodyAndTrailerBeforeHeaderRespStreamedMoreDataTest",
        _AHEAD,
        {RQH: [], RQB: [], RQT: []},
        split(TRAILED_POST, 2),
        moves=(
            *[Send()] * 5,
            Say((unchanged(RQH),)),
            *[Say((unchanged(RQB),))] * 3,
            Say((unchanged(RQT),)),
            Reply(ALL_PARTS),
        ),
    ),
    Scenario(
        "ServerWaitForBodyBeforeSendsHeaderRespStreamedTest",
        _AHEAD,
        {RQH: [], RQB: lambda message: [unchanged(RQH), unchanged(RQB)] if message.end_of_stream else []},
        post(),
        moves=stepwise(2, 2),
    ),
    Scenario(
        "SendBodyBeforeHeaderRespStreamedNotSendTrailerTest",
        _AHEAD_NO_TRAILERS,
        {RQH: [], RQB: []},
        TRAILED_POST,
        moves=(*[Send()] * 3, Say((unchanged(RQH),)), Say((unchanged(RQB),)), Reply(ALL_PARTS)),
    ),
    Scenario(
        "SendBodyBeforeHeaderRespStreamed-edits-what-it-has-seen",
        _AHEAD,
        {RQH: [], RQB: []},
        split(post(b"onetwo", chunked=True), 3),
        moves=(
            *[Send()] * 3,
            Say((say(RQH, ("x-n", b"1")),)),
            Say((say(RQB, body=b"ONE"),)),
            Say((say(RQB, body=b"TWO"),)),
            Say((unchanged(RQB),)),
            Reply(ALL_PARTS),
        ),
    ),
    Scenario(
        "SendBodyBeforeHeaderRespStreamed-body-answered-first",
        _AHEAD,
        {RQH: [], RQB: []},
        post(),
        moves=(*[Send()] * 2, Say((unchanged(RQB),)), Say((unchanged(RQH),)), Reply(ALL_PARTS)),
    ),
    Scenario(
        "SendHeaderBodyNotSendTrailerTest",
        config("request_headers request_body", body=BodyMode.STREAMED),
        {},
        TRAILED_POST,
        moves=stepwise(3, 2),
    ),
    Scenario("StreamedBodiesWithTrailers", _ALL, {}, TRAILED_POST, TRAILED_REPLY, moves=stepwise(3, 3)),
    Scenario("StreamedBodiesWithTrailers-at-once", _ALL, {}, TRAILED_POST, TRAILED_REPLY),
    # Answers that come late
    Scenario(
        "StreamedChunksAnsweredLate",
        _ALL,
        {RQB: []},
        _POST,
        moves=(*[Send()] * 4, *[Say((unchanged(RQB),))] * 4, Reply(ALL_PARTS)),
    ),
    Scenario(
        "StreamedChunksAnsweredLate-before-trailers",
        _ALL,
        {RQB: []},
        split(TRAILED_POST, 2),
        moves=(*[Send()] * 5, *[Say((say(RQB, body=b"X"),))] * 3, Reply(ALL_PARTS)),
    ),
    Scenario(
        "StreamedHeadersEditedWithTheBody",
        _BOTH,
        {RQB: turns([say(RQB, ("x-n", b"1"))]), RSB: turns([say(RSB, ("x-n", b"1"))])},
        post(),
        reply(),
    ),
    Scenario(
        "StreamedHeadersEditedWithTheBody-stepwise",
        _BOTH,
        {RQB: turns([say(RQB, ("x-n", b"1"))]), RSB: turns([say(RSB, ("x-n", b"1"))])},
        post(),
        reply(),
        moves=stepwise(2, 2),
    ),
    Scenario("StreamedBodyCleared", _BOTH, {RQB: [say(RQB, clear_body=True)]}, _POST, moves=stepwise(4, 2)),
    Scenario("StreamedResponseEarly", _BOTH, {RQB: []}, _POST, moves=(*[Send()] * 2, Reply(ALL_PARTS, early=True))),
]

NOT_HERE = {
    "SidestreamPushbackDownstream": "of the real Envoy only: test_flow_control",
    "SidestreamPushbackDownstreamObservability": "of the real Envoy only: test_flow_control",
    "SidestreamPushbackDownstreamRuntimeDisable": "a runtime guard",
    "SidestreamPushbackUpstream": "of the real Envoy only: test_flow_control",
    "SidestreamPushbackUpstreamObservability": "of the real Envoy only: test_flow_control",
}
