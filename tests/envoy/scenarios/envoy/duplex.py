"""FULL_DUPLEX_STREAMED bodies, by the names of Envoy's own integration tests."""

from __future__ import annotations

from extproc.envoy.model import Close
from extproc.messages import Abort, Message
from extproc.phases import BodyMode
from extproc.wire.ext_proc_pb2 import ProcessingResponse
from tests.envoy.answers import answer_now, say, stream, unchanged
from tests.envoy.moves import ALL_PARTS, Reply, Say, Send, stepwise, whole
from tests.envoy.scenario import (
    RQB,
    RQH,
    RQT,
    RSB,
    RSH,
    RST,
    TRAILED_POST,
    TRAILED_REPLY,
    Scenario,
    config,
    on,
    post,
    reply,
    split,
    turns,
)

_DUPLEX = BodyMode.FULL_DUPLEX_STREAMED
_REQUEST = config("request_headers request_body request_trailers", body=_DUPLEX)
_ALL = config("all", body=_DUPLEX)
_OPEN = config("all", body=_DUPLEX, failure_mode_allow=True)
_POST = split(post(b"onetwosix", chunked=True), 3)
_REPLY = split(reply(body=b"onetwosix", chunked=True), 3)
_SEVEN = split(post(b"abcdefg", chunked=True), 1)


def _upper(message: Message) -> list[ProcessingResponse]:
    return [stream(message.phase, message.body.upper(), end=message.end_of_stream)]


def _at_the_end(message: Message) -> list[ProcessingResponse]:
    """Says nothing before it has seen everything."""
    if not message.end_of_stream:
        return []
    return [say(RQH, ("x-n", b"1")), stream(RQB, b"all of it", end=True)]


SCENARIOS = [
    Scenario("DuplexStreamedNoop", _ALL, {}, _POST, _REPLY, moves=stepwise(4, 4)),
    Scenario("DuplexStreamedNoop-at-once", _ALL, {}, _POST, _REPLY),
    Scenario("DuplexStreamedNoop-trailers", _ALL, {}, TRAILED_POST, TRAILED_REPLY, moves=stepwise(3, 3)),
    Scenario("DuplexStreamedNoop-no-bodies", _ALL),
    Scenario("DuplexStreamedNoop-empty-bodies", _ALL, {}, post(b"", chunked=True), reply(body=b"", chunked=True)),
    Scenario("DuplexStreamedNoop-content-length", _ALL, {}, post(), reply()),
    Scenario(
        "ServerWaitForBodyBeforeSendsHeaderRespDuplexStreamed",
        _REQUEST,
        {RQH: [], RQB: _at_the_end},
        _POST,
        moves=stepwise(4, 2),
    ),
    Scenario(
        "ServerWaitForBodyAndTrailerBeforeSendsHeaderRespDuplexStreamedSmallBody",
        _REQUEST,
        {
            RQH: [],
            RQB: [],
            RQT: [say(RQH, ("x-n", b"1")), stream(RQB, b"all"), say(RQT, ("x-new", b"1"))],
        },
        TRAILED_POST,
        moves=stepwise(3, 2),
    ),
    Scenario(
        "ServerSendBodyRespWithouRecvEntireBodyDuplexStreamed",
        _REQUEST,
        {RQB: turns([], [], [stream(RQB, b"ABC")], [], [stream(RQB, b"DE")], [], [stream(RQB, b"FG", end=True)], [])},
        _SEVEN,
        moves=stepwise(8, 2),
    ),
    Scenario("DuplexStreamedInBothDirection", _ALL, {RQB: _upper, RSB: _upper}, _POST, _REPLY, moves=stepwise(4, 4)),
    Scenario(
        "ServerSendOutOfOrderResponseDuplexStreamed",
        _REQUEST,
        {RQH: [], RQB: [stream(RQB, b"ONE")]},
        _POST,
        moves=stepwise(4, 2),
    ),
    Scenario(
        "LargeBodyTestDuplexStreamed",
        _REQUEST,
        {RQB: _upper},
        split(post(b"x" * 300_000, chunked=True), 10_000),
        moves=stepwise(31, 2),
    ),
    Scenario(
        "DuplexStreamedServerResponseWithSynthesizedTrailer",
        _REQUEST,
        {RQB: lambda m: [*_upper(m), *([say(RQT, ("x-new", b"1"))] if m.end_of_stream else [])]},
        _POST,
        moves=stepwise(4, 2),
    ),
    Scenario(
        "DuplexStreamedServerResponseWithSynthesizedTrailer-instead-of-the-end",
        _REQUEST,
        {RQB: lambda m: [stream(RQB, m.body)] if not m.end_of_stream else [say(RQT, ("x-new", b"1"))]},
        _POST,
        moves=stepwise(4, 2),
    ),
    Scenario("ServerWaitforEnvoyHalfCloseThenCloseStream", _REQUEST, {RQB: _upper}, _POST, moves=stepwise(4, 2)),
    # What goes wrong
    Scenario("DuplexStreamedPlainBody", _ALL, {RQB: [say(RQB, body=b"new")]}, _POST, moves=stepwise(4, 2)),
    Scenario("DuplexStreamedNoMutation", _ALL, {RQB: [unchanged(RQB)]}, _POST, moves=stepwise(4, 2)),
    Scenario("DuplexStreamedClearBody", _ALL, {RQB: [say(RQB, clear_body=True)]}, _POST, moves=stepwise(4, 2)),
    Scenario(
        "StreamedResponseInAnotherMode",
        config("all", body=BodyMode.STREAMED),
        {RQB: [stream(RQB, b"new")]},
        _POST,
        moves=stepwise(4, 2),
    ),
    Scenario(
        "StreamedResponseInBufferedMode",
        config("all"),
        {RQB: [stream(RQB, b"new", end=True)]},
        _POST,
        moves=stepwise(4, 2),
    ),
    Scenario(
        "DuplexStreamedDataAfterTheEnd",
        _ALL,
        {RQB: turns([stream(RQB, b"all", end=True)], [stream(RQB, b"more")])},
        _POST,
        moves=stepwise(4, 2),
    ),
    Scenario("DuplexStreamedWithoutAnEnd", _ALL, {RQB: lambda m: [stream(RQB, m.body)]}, _POST, moves=stepwise(4, 2)),
    Scenario(
        "DuplexStreamedClosedMidBody", _ALL, {RQB: turns([stream(RQB, b"O")], [Close()])}, _POST, moves=stepwise(4, 2)
    ),
    Scenario("DuplexStreamedClosedAtOnce", _ALL, {RQB: [Close()]}, _POST, moves=stepwise(4, 2)),
    *(
        Scenario(
            f"DuplexStreamedAborted{when}-{how}",
            where,
            {RQB: turns(*[[stream(RQB, b"O")]] * chunks, [Abort("INTERNAL", "failed")])},
            _POST,
            moves=stepwise(4, 2),
        )
        for how, where in {"shut": _ALL, "open": _OPEN}.items()
        for when, chunks in {"AtOnce": 0, "MidBody": 1}.items()
    ),
    Scenario(
        "DuplexStreamedHeadersAborted-open", _OPEN, on(RQH, Abort("INTERNAL", "failed")), _POST, moves=stepwise(4, 2)
    ),
    Scenario(
        "DuplexStreamedImmediateMidBody",
        _ALL,
        {RQB: turns([stream(RQB, b"O")], [answer_now(403, body=b"no")])},
        _POST,
        moves=stepwise(4, 2),
    ),
    Scenario(
        "DuplexStreamedImmediateInTheResponse",
        _ALL,
        {RSB: turns([stream(RSB, b"O")], [answer_now(403, body=b"no")])},
        response=_REPLY,
        moves=stepwise(1, 4),
    ),
    Scenario(
        "DuplexStreamedHeadersOfTheAnswerToTheBody",
        _ALL,
        {RQB: lambda m: [_with_headers(m)]},
        _POST,
        moves=stepwise(4, 2),
    ),
    Scenario(
        "DuplexStreamedResponseBeforeTheRequestIsOver",
        _ALL,
        {},
        _POST,
        _REPLY,
        moves=(*[Send()] * 2, Reply(2, early=True), Send(), Reply(1, early=True), Send(), Reply()),
    ),
    Scenario(
        "DuplexStreamedHeadersLate",
        _ALL,
        {RQH: [], RQB: []},
        _POST,
        moves=(
            *[Send()] * 4,
            Say((unchanged(RQH),)),
            Say((stream(RQB, b"A"),)),
            Say((stream(RQB, b"B"),)),
            Say((stream(RQB, end=True),)),
            Reply(ALL_PARTS),
        ),
    ),
    Scenario(
        "DuplexStreamedTrailersLate",
        _ALL,
        {RQT: [], RST: []},
        TRAILED_POST,
        TRAILED_REPLY,
        moves=(*[Send()] * 3, Say((unchanged(RQT),)), *[Reply()] * 3, Say((say(RST, ("x-n", b"1")),))),
    ),
    Scenario(
        "DuplexStreamedTrailersAnsweredBeforeAnythingOfTheResponse",
        _ALL,
        {},
        TRAILED_POST,
        moves=(Send(), Say((unchanged(RST),)), Send(ALL_PARTS), Reply(ALL_PARTS)),
    ),
    *(
        Scenario(
            f"DuplexStreamed{phase.direction.value.title()}ReplacedOverTheLimit-{how}{what}",
            config("all", body=_DUPLEX, buffer_limit=10),
            {phase: [say(phase, body=b"longer body", replace=True)]},
            post(b"abc", chunked=True, trailers=trailers),
            reply(body=b"abc", chunked=True, trailers=trailers),
            moves=moves,
        )
        for phase in (RQH, RSH)
        for what, trailers in {"": None, "-trailed": [("x-t", b"1")]}.items()
        for how, moves in {
            "at-once": whole(),
            "step-by-step": stepwise(3, 3),
            "half": (Send(2), Send(), Reply(2), Reply()),
        }.items()
    ),
    Scenario(
        "DuplexStreamedEndBeforeTrailers",
        _ALL,
        {RQB: lambda m: [stream(RQB, m.body, end=True)]},
        TRAILED_POST,
        moves=stepwise(3, 2),
    ),
    Scenario(
        "DuplexStreamedResponseHeadersEdited",
        _ALL,
        {RSH: [say(RSH, ("x-n", b"1"), (":status", b"201"))], RSB: _upper},
        response=_REPLY,
        moves=stepwise(1, 4),
    ),
]


def _with_headers(message: Message) -> ProcessingResponse:
    answer = stream(message.phase, message.body, end=message.end_of_stream)
    answer.request_body.response.header_mutation.CopyFrom(
        say(RQH, ("x-n", b"1")).request_headers.response.header_mutation
    )
    return answer
