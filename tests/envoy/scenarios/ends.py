"""Where bodies end: pieces, ends and trailers of full duplex, and processors that hang up while a body is under way."""

from __future__ import annotations

from extproc.envoy.model import Close, HttpMessage
from extproc.messages import Abort, Message, RawHeaders
from extproc.phases import BodyMode
from tests.envoy.answers import answer_now, say, stream, unchanged
from tests.envoy.moves import ALL_PARTS, Move, Reply, Say, Send, stepwise
from tests.envoy.raw_processor import Action
from tests.envoy.scenario import (
    HEADERS,
    RQB,
    RQH,
    RQT,
    RSB,
    RSH,
    RST,
    Scenario,
    Script,
    config,
    get,
    post,
    reply,
    split,
    turns,
)

_DUPLEX = config("all", body=BodyMode.FULL_DUPLEX_STREAMED)
_REQUEST = config("request_headers request_body request_trailers", body=BodyMode.FULL_DUPLEX_STREAMED)
_REQUEST_OPEN = config(
    "request_headers request_body request_trailers", body=BodyMode.FULL_DUPLEX_STREAMED, failure_mode_allow=True
)
_TRAILERS: RawHeaders = [("x-t", b"1")]
_POST = post(b"aaa", chunked=True)
_TRAILED = post(b"aaa", trailers=_TRAILERS)
_TWO = split(post(b"aaabbb", chunked=True), 3)
_REST = Reply(ALL_PARTS)

_ENDINGS: dict[str, list[tuple[bytes, bool]]] = {
    "an-empty-end": [(b"", True)],
    "an-end-with-a-piece": [(b"p", True)],
    "a-piece-and-an-empty-end": [(b"p", False), (b"", True)],
    "nothing-and-no-end": [(b"", False)],
}
_ORDERS: dict[str, tuple[Move, ...]] = {
    "at-once": (Send(ALL_PARTS), _REST),
    "step-by-step": stepwise(3, 3),
}


def _on_end(message: Message) -> list[Action]:
    return [Close()] if message.end_of_stream else [stream(RQB, b"p")]


_HANGING_UP: dict[str, tuple[Script, tuple[Move, ...], HttpMessage]] = {
    "after-nothing-was-answered": ({RQB: []}, (Send(), Send(), Say((Close(),)), _REST), _POST),
    "before-the-headers-were-answered": ({RQH: [], RQB: []}, (Send(), Send(), Say((Close(),)), _REST), _POST),
    "after-a-piece-on-the-end": ({RQB: _on_end}, (Send(), Send(), _REST), _POST),
    "on-the-headers-of-a-whole-request": ({RQH: [Close()]}, (Send(ALL_PARTS), _REST), _POST),
    "on-the-headers": ({RQH: [Close()]}, (Send(), Send(), _REST), _POST),
    "mid-body": ({RQB: [Close()]}, (Send(), Send(), Send(), _REST), _TWO),
    "on-trailers": ({RQT: [Close()]}, (Send(), Send(), Send(), _REST), _TRAILED),
    "mid-body-before-trailers": ({RQB: [Close()]}, (Send(), Send(), Send(), _REST), _TRAILED),
    "on-a-get": ({RQH: [Close()]}, (Send(), _REST), get()),
    "mid-body-by-an-error": ({RQB: [Abort("INTERNAL", "x")]}, (Send(), Send(), Send(), _REST), _TWO),
    "on-the-headers-by-an-error": ({RQH: [Abort("INTERNAL", "x")]}, (Send(), Send(), Send(), _REST), _TWO),
}

SCENARIOS = [
    *(
        Scenario(
            f"duplex-request-with-trailers-answered-by-{what}-{how}",
            _DUPLEX,
            {RQB: [stream(RQB, piece, end=end) for piece, end in pieces]},
            _TRAILED,
            moves=moves,
        )
        for what, pieces in _ENDINGS.items()
        for how, moves in _ORDERS.items()
    ),
    *(
        Scenario(
            f"duplex-response-with-trailers-answered-by-{what}-{how}",
            _DUPLEX,
            {RSB: [stream(RSB, piece, end=end) for piece, end in pieces]},
            response=reply(body=b"aaa", trailers=_TRAILERS),
            moves=(Send(), *moves[-3:]),
        )
        for what, pieces in _ENDINGS.items()
        for how, moves in _ORDERS.items()
    ),
    *(
        Scenario(f"duplex-hung-up-{what}-{how}", where, script, request, moves=moves)
        for what, (script, moves, request) in _HANGING_UP.items()
        for how, where in {"shut": _REQUEST, "open": _REQUEST_OPEN}.items()
    ),
    Scenario(
        "duplex-trailers-answer-where-there-are-none-lets-headers-go",
        _DUPLEX,
        {RSH: [], RSB: []},
        response=reply(body=b"aaabbb", chunked=True),
        moves=(Send(), Reply(), Say((unchanged(RST),)), Reply()),
    ),
    Scenario(
        "duplex-body-goes-on-being-told-after-the-processor-has-ended-it",
        _REQUEST,
        {RQB: lambda message: [stream(RQB, b"p", end=True)] if message.body == b"aaa" else []},
        _TWO,
        moves=(Send(), Send(), Send(), _REST),
    ),
    # A response that is here to its end ends the request
    *(
        Scenario(
            f"an-early-response-{what}-{mode.name.lower().replace('_', '-')}",
            config("all", body=mode),
            {},
            split(post(b"aaabbbccc", chunked=True), 3),
            reply(body=b"bbb", chunked=True),
            moves=moves,
        )
        for mode in (BodyMode.NONE, BodyMode.STREAMED, BodyMode.BUFFERED, BodyMode.FULL_DUPLEX_STREAMED)
        for what, moves in {
            "whole": (Send(2), Reply(ALL_PARTS, early=True), Send(), Send()),
            "begun": (Send(2), Reply(early=True), Send(), Reply(early=True), Send()),
        }.items()
    ),
    *(
        Scenario(
            f"a-response-that-promises-more-{when}-{what}",
            HEADERS,
            {RSH: [say(RSH, ("content-length", b"3"))]},
            post(b"aaa", chunked=True),
            reply(body=body),
            moves=moves,
        )
        for when, moves in {
            "early": (Send(), Reply(ALL_PARTS, early=True), Send()),
            "in-its-time": (Send(ALL_PARTS), _REST),
        }.items()
        for what, body in {"bodiless": b"", "too-short": b"b", "kept": b"bbb"}.items()
    ),
    Scenario(
        "a-client-that-has-all-that-was-promised-before-envoy-has-ended-it",
        config("response_body", body=BodyMode.STREAMED, allow_content_length_header=True),
        {RSB: turns([])},
        response=reply(body=b"b"),
    ),
    Scenario(
        "an-immediate-response-where-the-upstream-has-begun-its-own",
        config("all", body=BodyMode.STREAMED),
        {RQB: [unchanged(RQB)], RSB: [answer_now(403)]},
        _TWO,
        reply(body=b"bbb", chunked=True),
        moves=(Send(2), Reply(early=True), Reply(early=True)),
    ),
]
