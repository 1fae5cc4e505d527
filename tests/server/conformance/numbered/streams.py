"""Group `http2/5`: stream states, identifiers, priority, errors, extensions."""

from __future__ import annotations

from tests.server.conformance.script import Alive, Closes, Ends, Fails, Resets, case
from tests.server.raw.frames import (
    END_HEADERS,
    END_STREAM,
    PRIORITIZED,
    Code,
    Kind,
    Setting,
    block,
    continuation,
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
from tests.server.raw.requests import get, plain_fields

_GET = block(plain_fields())
_FILLER = block([("x-dummy0", "x" * 4000)])
_OPEN = headers(1, _GET, END_HEADERS)

_IDLE = [
    case(
        "http2/5.1/1",
        "5.1 idle: DATA is a connection error PROTOCOL_ERROR",
        data(1, b"test", END_STREAM),
        Fails(Code.PROTOCOL_ERROR),
    ),
    case("http2/5.1/2", "5.1 idle: RST_STREAM likewise", rst_stream(1), Fails(Code.PROTOCOL_ERROR)),
    case("http2/5.1/3", "5.1 idle: WINDOW_UPDATE likewise", window_update(1, 100), Fails(Code.PROTOCOL_ERROR)),
    case(
        "http2/5.1/4", "5.1 idle: CONTINUATION likewise", continuation(1, _GET, END_HEADERS), Fails(Code.PROTOCOL_ERROR)
    ),
]

_HALF_CLOSED = [
    case(
        "http2/5.1/5",
        "5.1 half-closed (remote): DATA is a stream error STREAM_CLOSED",
        get(1) + data(1, b"test", END_STREAM),
        Resets(Code.STREAM_CLOSED),
    ),
    case("http2/5.1/6", "5.1 half-closed (remote): HEADERS likewise", get(1) + get(1), Resets(Code.STREAM_CLOSED)),
    case(
        "http2/5.1/7",
        "5.1 half-closed (remote): CONTINUATION likewise, or as one without HEADERS (6.10)",
        get(1) + continuation(1, _GET, END_HEADERS),
        Resets(Code.STREAM_CLOSED, Code.PROTOCOL_ERROR),
    ),
]

_RESET = [
    case(
        "http2/5.1/8",
        "5.1 closed by the peer's RST_STREAM: DATA is a stream error STREAM_CLOSED",
        _OPEN + rst_stream(1) + data(1, b"test", END_STREAM),
        Resets(Code.STREAM_CLOSED),
    ),
    case(
        "http2/5.1/9",
        "5.1 closed by the peer's RST_STREAM: HEADERS likewise",
        _OPEN + rst_stream(1) + get(1),
        Resets(Code.STREAM_CLOSED),
    ),
    case(
        "http2/5.1/10",
        "5.1 closed by the peer's RST_STREAM: CONTINUATION likewise, or as one without HEADERS (6.10)",
        _OPEN + rst_stream(1) + continuation(1, _FILLER, END_HEADERS),
        Resets(Code.STREAM_CLOSED, Code.PROTOCOL_ERROR),
    ),
]

_ENDED = [
    case(
        "http2/5.1/11",
        "5.1 closed by END_STREAM on both sides: DATA is an error STREAM_CLOSED",
        get(1),
        Ends(),
        data(1, b"test", END_STREAM),
        Resets(Code.STREAM_CLOSED),
    ),
    case(
        "http2/5.1/12",
        "5.1 closed by END_STREAM on both sides: HEADERS is a connection error STREAM_CLOSED",
        get(1),
        Ends(),
        get(1),
        Fails(Code.STREAM_CLOSED),
    ),
    case(
        "http2/5.1/13",
        "5.1 closed by END_STREAM on both sides: CONTINUATION likewise, or as one without HEADERS (6.10)",
        get(1),
        Ends(),
        continuation(1, _FILLER, END_HEADERS),
        Fails(Code.STREAM_CLOSED, Code.PROTOCOL_ERROR),
    ),
]


def _one_too_many(peer: Peer) -> bytes:
    most = peer.settings[Setting.MAX_CONCURRENT_STREAMS]
    return b"".join(get(1 + 2 * number) for number in range(most + 1))


class _RefusesTheLast:
    """The first stream over the announced number is refused."""

    async def met(self, peer: Peer) -> None:
        stream = 1 + 2 * peer.settings[Setting.MAX_CONCURRENT_STREAMS]
        await Resets(Code.REFUSED_STREAM, Code.PROTOCOL_ERROR, stream=stream).met(peer)


_IDENTIFIERS = [
    case("http2/5.1.1/1", "5.1.1: clients use odd numbers", get(2), Fails(Code.PROTOCOL_ERROR)),
    case("http2/5.1.1/2", "5.1.1: numbers only rise", get(5) + get(3), Fails(Code.PROTOCOL_ERROR)),
    case(
        "http2/5.1.2/1",
        "5.1.2: a stream over the announced number is a stream error PROTOCOL_ERROR or REFUSED_STREAM",
        settings((Setting.INITIAL_WINDOW_SIZE, 0)),
        _one_too_many,
        _RefusesTheLast(),
    ),
]

_PRIORITY = [
    case(
        "http2/5.3.1/1",
        "RFC 7540 5.3.1: a stream that depends on itself is a stream error PROTOCOL_ERROR: HEADERS",
        headers(1, dependency(1, 255) + _GET, END_HEADERS | END_STREAM | PRIORITIZED),
        Resets(Code.PROTOCOL_ERROR),
    ),
    case(
        "http2/5.3.1/2",
        "RFC 7540 5.3.1: a stream that depends on itself is a stream error PROTOCOL_ERROR: PRIORITY",
        priority(1, on=1),
        Resets(Code.PROTOCOL_ERROR),
    ),
]

_ERRORS = [
    case("http2/5.4.1/1", "5.4.1: a connection error closes the connection", ping(stream=3), Closes()),
    case("http2/5.4.1/2", "5.4.1: GOAWAY comes before", ping(stream=3), Fails(Code.PROTOCOL_ERROR)),
]

_EXTENSIONS = [
    case("http2/5.5/1", "5.5: an unknown frame is ignored", frame(Kind.UNKNOWN, 0, 0, bytes(8)), Alive()),
    case(
        "http2/5.5/2",
        "5.5: an unknown frame within a header block is a connection error PROTOCOL_ERROR",
        headers(1, _GET, END_STREAM) + frame(Kind.UNKNOWN, 0, 0, bytes(8)),
        Fails(Code.PROTOCOL_ERROR),
    ),
]

CASES = [*_IDLE, *_HALF_CLOSED, *_RESET, *_ENDED, *_IDENTIFIERS, *_PRIORITY, *_ERRORS, *_EXTENSIONS]
