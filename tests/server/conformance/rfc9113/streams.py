"""RFC 9113 section 5: states and identifiers of streams, errors, extensions."""

from __future__ import annotations

from tests.server.conformance.script import Alive, Answers, Case, Ends, Fails, Resets, Responds, case
from tests.server.raw.frames import (
    ACK,
    END_HEADERS,
    END_STREAM,
    HIGHEST_STREAM,
    PRIORITIZED,
    Code,
    Kind,
    Setting,
    block,
    data,
    dependency,
    frame,
    headers,
    ping,
    priority,
    rst_stream,
    settings,
    window_update,
)
from tests.server.raw.peer import Peer
from tests.server.raw.requests import CHECK_PATH, WATCH_PATH, call, call_fields, check, get, message, post

_CHECK = block(call_fields(CHECK_PATH))
_WATCH = call(1, WATCH_PATH) + data(1, message(), END_STREAM)


def _late(what: str, content: bytes) -> Case:
    return case(
        f"closed: {what}",
        "5.1: WINDOW_UPDATE, PRIORITY and RST_STREAM may still come after END_STREAM and are ignored",
        get(1),
        Ends(),
        content,
        check(3),
        Answers(stream=3),
    )


class _ResetOnce:
    """A malformed request is reset, once, whatever of it comes later."""

    async def met(self, peer: Peer) -> None:
        await peer.alive()
        resets = [frame for frame in peer.seen if frame.kind == Kind.RST_STREAM]
        assert [(frame.stream, frame.code) for frame in resets] == [(1, Code.PROTOCOL_ERROR)]


class _NothingFor:
    """Nothing comes on a stream."""

    async def met(self, peer: Peer) -> None:
        await peer.alive()
        assert not [frame for frame in peer.seen if frame.stream == 1]


_MALFORMED = headers(1, block([("x-no", "pseudo-headers")]), END_HEADERS)

_STATES = [
    _late("WINDOW_UPDATE", window_update(1, 1)),
    _late("RST_STREAM", rst_stream(1)),
    _late("PRIORITY", priority(1)),
    case(
        "reset: frames that were under way",
        "5.1: what comes after our own RST_STREAM is processed as little as possible and discarded",
        _MALFORMED + data(1, b"late") + headers(1, block([("late", "yes")])) + window_update(1, 1) + rst_stream(1),
        _ResetOnce(),
        check(3),
        Answers(stream=3),
    ),
    case(
        "half-closed (remote): the answer still comes",
        "5.1: a server may go on sending",
        _WATCH,
        Responds(),
        Alive(),
        rst_stream(1),
        Alive(),
    ),
    *(
        case(
            f"half-closed (remote): {what} while an answer is under way",
            "5.1: a stream error STREAM_CLOSED",
            _WATCH + content,
            Resets(Code.STREAM_CLOSED),
        )
        for what, content in [
            ("DATA", data(1, b"late")),
            ("HEADERS", headers(1, block([("x-a", "b")]))),
            ("HEADERS that do not end", headers(1, block([("x-a", "b")]), END_HEADERS)),
        ]
    ),
    case(
        "reset once",
        "5.4.2: one RST_STREAM is enough",
        _MALFORMED + priority(1, on=1) + frame(Kind.PRIORITY, 0, 1, b"?"),
        _ResetOnce(),
    ),
    case(
        "reset once by each side",
        "5.4.2: one RST_STREAM is enough",
        _MALFORMED + rst_stream(1) + priority(1, on=1),
        _ResetOnce(),
    ),
    case(
        "no RST_STREAM for RST_STREAM",
        "5.4.2: an endpoint must not send RST_STREAM in response to RST_STREAM",
        post(1) + rst_stream(1, Code.PROTOCOL_ERROR),
        _NothingFor(),
    ),
    *(
        case(
            f"idle: an even {what}",
            "5.1: streams of the server are idle, whichever of the client's are not",
            check(9) + content,
            Fails(Code.PROTOCOL_ERROR),
        )
        for what, content in [
            ("DATA", data(2, b"test")),
            ("WINDOW_UPDATE", window_update(2, 1)),
            ("RST_STREAM", rst_stream(2)),
            ("PRIORITY that depends on itself", priority(2, on=2)),
        ]
    ),
    case("idle: a DATA above", "5.1", get(1) + data(3, b"test"), Fails(Code.PROTOCOL_ERROR)),
]

_IDENTIFIERS = [
    case("the highest", "5.1.1: identifiers are 31 bits long", check(HIGHEST_STREAM), Answers(stream=HIGHEST_STREAM)),
    case("with gaps", "5.1.1: identifiers need not be used one by one", check(9) + check(1001), Answers(stream=1001)),
    case(
        "closed by a gap",
        "5.1.1: a new stream closes all idle ones below it",
        check(5) + data(3, b"test"),
        Fails(Code.STREAM_CLOSED, Code.PROTOCOL_ERROR),
    ),
    case("even, later", "5.1.1: clients use odd numbers", check(1) + get(4), Fails(Code.PROTOCOL_ERROR)),
]


def _most(peer: Peer) -> int:
    return peer.settings[Setting.MAX_CONCURRENT_STREAMS]


def _all_at_once_and_one_more(peer: Peer) -> bytes:
    return b"".join(call(1 + 2 * number, WATCH_PATH) for number in range(_most(peer) + 1))


class _RefusesTheLast:
    """The stream over the limit is refused."""

    async def met(self, peer: Peer) -> None:
        await Resets(Code.REFUSED_STREAM, stream=1 + 2 * _most(peer)).met(peer)


class _ServesAnother:
    """Once a stream has gone, another is served."""

    async def met(self, peer: Peer) -> None:
        stream = 3 + 2 * _most(peer)
        peer.send(rst_stream(1) + check(stream))
        await Answers(stream=stream).met(peer)


_CONCURRENCY = [
    case(
        "as many as announced",
        "5.1.2: a stream over the limit is refused, and closed ones no longer count",
        _all_at_once_and_one_more,
        _RefusesTheLast(),
        _ServesAnother(),
    ),
    case(
        "the limit of the client",
        "5.1.2: the client's SETTINGS_MAX_CONCURRENT_STREAMS is about pushes, of which there are none",
        settings((Setting.MAX_CONCURRENT_STREAMS, 0)) + check(1),
        Answers(),
    ),
]

_PRIORITY = [
    case(
        "fields in HEADERS",
        "5.3.2: priority fields are read past",
        headers(1, dependency(9, 7, exclusive=True) + _CHECK, END_HEADERS | PRIORITIZED)
        + data(1, message(), END_STREAM),
        Answers(),
    ),
    case(
        "fields in trailers",
        "5.3.2: priority fields are read past, in trailers too",
        call(1, CHECK_PATH) + data(1, message()) + headers(1, dependency(0, 0) + block([("x-a", "b")]), 0x25),
        Answers(),
    ),
    case(
        "on any stream",
        "6.3: PRIORITY may come in any state",
        priority(2) + priority(HIGHEST_STREAM) + check(1),
        Answers(),
    ),
]

_ERRORS = [
    case(
        "GOAWAY names the last stream",
        "5.4.1, 6.8: GOAWAY says which streams were looked at",
        check(7),
        Answers(stream=7),
        ping(bytes(7)),
        Fails(Code.FRAME_SIZE_ERROR, last_stream=7),
    ),
    case(
        "GOAWAY before any stream",
        "6.8: none was looked at",
        ping(bytes(7)),
        Fails(Code.FRAME_SIZE_ERROR, last_stream=0),
    ),
    case(
        "a stream error is one stream's",
        "5.4.2: other streams go on",
        _MALFORMED + check(3),
        Resets(Code.PROTOCOL_ERROR),
        check(5),
        Answers(stream=5),
    ),
    case(
        "PING after an error",
        "5.4.1: nothing is done after GOAWAY",
        ping(bytes(7)) + check(1),
        Fails(Code.FRAME_SIZE_ERROR),
    ),
]

_EXTENSIONS = [
    case(
        "an unknown frame within a block",
        "5.5: extension frames in the middle of a field block are a connection error PROTOCOL_ERROR",
        headers(1, _CHECK, 0) + frame(0xBE, ACK, 1, b"?"),
        Fails(Code.PROTOCOL_ERROR),
    ),
]

CASES = [*_STATES, *_IDENTIFIERS, *_CONCURRENCY, *_PRIORITY, *_ERRORS, *_EXTENSIONS]
