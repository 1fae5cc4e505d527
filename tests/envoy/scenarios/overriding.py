"""Overrides of the mode and of the message timeout: when they are taken, when ignored, and when they are an error."""

from __future__ import annotations

from dataclasses import replace

from extproc.envoy.model import HeaderMode, ModeOverride
from extproc.messages import Message
from extproc.phases import BodyMode
from extproc.wire.ext_proc_pb2 import ProcessingResponse
from tests.envoy.answers import answer_now, beside, more_time, say, stream, unchanged
from tests.envoy.moves import ALL_PARTS, Pass, Reply, Say, Send, Wait
from tests.envoy.raw_processor import Action
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
    Script,
    config,
    get,
    post,
    reply,
    split,
)

_POST = post(b"aaa", chunked=True)
_REST = Reply(ALL_PARTS)
_STEPS = (Send(), Send(), _REST)
_BUFFERED = ModeOverride(request_body=BodyMode.BUFFERED)
_DUPLEX = ModeOverride(request_body=BodyMode.FULL_DUPLEX_STREAMED, request_trailers=HeaderMode.SEND)
_DUPLEX_RESPONSE = ModeOverride(response_body=BodyMode.FULL_DUPLEX_STREAMED, response_trailers=HeaderMode.SEND)
_DUPLEX_BODIES = ModeOverride(request_body=BodyMode.FULL_DUPLEX_STREAMED, response_body=BodyMode.FULL_DUPLEX_STREAMED)
_DUPLEX_ALL = replace(_DUPLEX_BODIES, request_trailers=HeaderMode.SEND, response_trailers=HeaderMode.SEND)


def _alone(mode: ModeOverride) -> ProcessingResponse:
    return beside(ProcessingResponse(), mode=mode)


def _echo(message: Message) -> list[Action]:
    return [stream(message.phase, message.body, end=message.end_of_stream)]


_MAY = config("headers", allow_mode_override=True)
_LISTED = config(
    "headers", allow_mode_override=True, allowed_override_modes=(ModeOverride(request_body=BodyMode.STREAMED),)
)
_ALONE: dict[str, tuple[ModeOverride, Script]] = {
    "to-buffered": (_BUFFERED, {}),
    "to-streamed": (ModeOverride(request_body=BodyMode.STREAMED), {}),
    "to-duplex": (_DUPLEX, {RQB: _echo}),
    "to-duplex-without-trailers": (ModeOverride(request_body=BodyMode.FULL_DUPLEX_STREAMED), {RQB: _echo}),
    "to-a-duplex-response": (_DUPLEX_RESPONSE, {RSB: _echo}),
}
_TIMED = config("headers", timeout=0.15, max_message_timeout=2.0)

SCENARIOS = [
    # Modes
    *(
        Scenario(
            f"override-alone-{what}-{how}", where, {RQH: [_alone(mode), unchanged(RQH)], **script}, _POST, moves=_STEPS
        )
        for what, (mode, script) in _ALONE.items()
        for how, where in {"allowed": _MAY, "forbidden": config("headers"), "not-listed": _LISTED}.items()
    ),
    *(
        Scenario(
            f"override-alone-to-duplex-from-{mode.name.lower().replace('_', '-')}",
            config("headers bodies", body=mode, allow_mode_override=True),
            {RQH: [_alone(_DUPLEX)], RQB: [unchanged(RQH), stream(RQB, b"x", end=True)]},
            _POST,
            moves=(Send(ALL_PARTS), _REST),
        )
        for mode in BodyMode
        if mode is not BodyMode.FULL_DUPLEX_STREAMED
    ),
    Scenario(
        "override-alone-to-duplex-and-trailers",
        _MAY,
        {RQH: [_alone(_DUPLEX)], RQB: [], RQT: [unchanged(RQH), stream(RQB, b"x"), unchanged(RQT)]},
        TRAILED_POST,
        moves=(Send(ALL_PARTS), _REST),
    ),
    Scenario("override-alone-to-duplex-get", _MAY, {RQH: [_alone(_DUPLEX), unchanged(RQH)]}, get()),
    Scenario(
        "override-alone-to-duplex-twice",
        _MAY,
        {RQH: [_alone(_DUPLEX), _alone(_DUPLEX), unchanged(RQH)], RQB: _echo},
        _POST,
        moves=_STEPS,
    ),
    Scenario(
        "override-alone-to-duplex-and-back-with-the-answer",
        _MAY,
        {RQH: [_alone(_DUPLEX), beside(unchanged(RQH), mode=_BUFFERED)]},
        _POST,
        moves=_STEPS,
    ),
    Scenario(
        "override-alone-to-duplex-stops-the-timer",
        config("headers", timeout=0.1, allow_mode_override=True),
        {RQH: [_alone(_DUPLEX)], RQB: _echo},
        _POST,
        moves=(Send(), Pass(0.2), Say((unchanged(RQH),)), Send(), _REST),
    ),
    Scenario(
        "override-alone-after-the-headers-were-answered",
        _MAY,
        {RQH: [unchanged(RQH), _alone(_DUPLEX)]},
        _POST,
        moves=_STEPS,
    ),
    Scenario(
        "override-alone-to-duplex-while-response-headers-wait",
        _MAY,
        {RSH: [_alone(_DUPLEX_RESPONSE), unchanged(RSH)], RSB: _echo},
        _POST,
        moves=_STEPS,
    ),
    *(
        Scenario(
            f"override-to-duplex-with-an-answer-{what}",
            _MAY,
            {RQH: [beside(unchanged(RQH), mode=_DUPLEX)], RQB: _echo},
            request,
            moves=moves,
        )
        for what, request, moves in (
            ("whole", _POST, (Send(ALL_PARTS), _REST)),
            ("trailed", TRAILED_POST, (Send(ALL_PARTS), _REST)),
            ("half", split(post(b"aaabbb", chunked=True), 3), (Send(2), Send(), _REST)),
        )
    ),
    *(
        Scenario(
            f"override-to-duplex-with-trailers-here-{part}-{what}-{then}",
            _MAY,
            {headers: [beside(unchanged(headers), mode=mode)], body: [], trailers: []},
            replace(TRAILED_POST, chunks=chunks),
            replace(TRAILED_REPLY, chunks=chunks),
            moves=(Send(ALL_PARTS), _REST, *(Say((answer,)) for answer in answers), _REST),
        )
        for part, headers, body, trailers in (("request", RQH, RQB, RQT), ("response", RSH, RSB, RST))
        for what, chunks, mode in (
            ("bodiless", (), _DUPLEX_ALL),
            ("empty", (b"",), _DUPLEX_ALL),
            ("whole", (b"hello",), _DUPLEX_ALL),
            ("whole-and-skipped", (b"hello",), _DUPLEX_BODIES),
        )
        for then, answers in (
            ("in-order", (stream(body, b"new"), say(trailers, ("x-n", b"1")))),
            ("trailers-first", (say(trailers, ("x-n", b"1")),)),
            ("ended", (stream(body, b"new", end=True),)),
        )
    ),
    Scenario(
        "override-with-an-immediate-response",
        _MAY,
        {RQH: [beside(answer_now(403), mode=_BUFFERED)]},
        _POST,
        moves=_STEPS,
    ),
    # Timeouts
    Scenario(
        "more-time",
        _TIMED,
        {RQH: [more_time(1.0)]},
        _POST,
        moves=(Send(), Pass(0.3), Say((unchanged(RQH),)), Send(), _REST),
    ),
    *(
        Scenario(f"more-time-{what}", where, {RQH: actions}, _POST, moves=(Send(), Wait()))
        for what, where, actions in (
            ("runs-out", _TIMED, [more_time(0.2)]),
            ("twice", _TIMED, [more_time(0.2), more_time(1.5)]),
            ("not-allowed", config("headers", timeout=0.1), [more_time(1.0)]),
            ("too-much", _TIMED, [more_time(3.0)]),
            ("too-little", _TIMED, [more_time(0.0005)]),
            ("less-than-none", _TIMED, [more_time(-1.0)]),
        )
    ),
    Scenario(
        "more-time-makes-nothing-of-an-answer",
        _TIMED,
        {RQH: [beside(say(RQH, ("x-n", b"1")), timeout=1.0)]},
        _POST,
        moves=(Send(), Say((unchanged(RQH),)), Send(), _REST),
    ),
    Scenario("more-time-that-nobody-needs", _TIMED, {}, _POST, moves=(Send(), Send(), Say((more_time(1.0),)), _REST)),
    Scenario(
        "more-time-in-full-duplex",
        config("all", body=BodyMode.FULL_DUPLEX_STREAMED, max_message_timeout=2.0),
        {RQH: [more_time(1.0), unchanged(RQH)], RQB: _echo, RSB: _echo},
        _POST,
        reply(body=b"bbb", chunked=True),
        moves=_STEPS,
    ),
    Scenario(
        "more-time-for-each-message",
        config("headers", max_message_timeout=2.0),
        {RQH: [more_time(1.0), unchanged(RQH)], RSH: [more_time(1.0), unchanged(RSH)]},
    ),
]
