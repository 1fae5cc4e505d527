"""RFC 9113 sections 6 and 7: what each frame may hold; flow control has a module of its own."""

from __future__ import annotations

from tests.server.conformance.script import Acknowledged, Alive, Answers, Fails, Ponged, Resets, Responds, case
from tests.server.raw.frames import (
    ACK,
    DEFAULT_FRAME_SIZE,
    END_HEADERS,
    END_STREAM,
    HIGHEST_WINDOW,
    PADDED,
    PREFACE,
    PRIORITIZED,
    Code,
    Kind,
    Setting,
    block,
    continuation,
    data,
    dependency,
    frame,
    goaway,
    headers,
    ping,
    rst_stream,
    settings,
)
from tests.server.raw.peer import Peer
from tests.server.raw.requests import CHECK_PATH, WATCH_PATH, call, call_fields, check, get, message, post

_CHECK = block(call_fields(CHECK_PATH))
_ASK = data(1, message(), END_STREAM)

_DATA = [
    case(
        "DATA: nothing but padding",
        "6.1: padding may take up the whole frame",
        call(1, CHECK_PATH) + data(1, b"", pad=255) + data(1, message(), pad=0) + data(1, b"", END_STREAM, pad=0),
        Answers(),
    ),
    case(
        "DATA: padding as long as the frame",
        "6.1: padding as long as the payload or longer is a connection error PROTOCOL_ERROR",
        post(1) + frame(Kind.DATA, PADDED, 1, b"\x05test"),
        Fails(Code.PROTOCOL_ERROR),
    ),
    case(
        "DATA: padding that is not zero",
        "6.1: a receiver need not look at padding",
        call(1, CHECK_PATH) + frame(Kind.DATA, PADDED | END_STREAM, 1, b"\x03" + message() + b"abc"),
        Answers(),
    ),
    case(
        "DATA: empty",
        "6.1: an empty frame may end a stream",
        call(1, CHECK_PATH) + data(1, message()) + data(1, b"", 1),
        Answers(),
    ),
]

_HEADERS = [
    case(
        "HEADERS: everything at once",
        "6.2: padding, priority and a fragment",
        headers(1, dependency(0, 9) + _CHECK[:9], PRIORITIZED, pad=33)
        + continuation(1, _CHECK[9:], END_HEADERS)
        + _ASK,
        Answers(),
    ),
    case(
        "HEADERS: padding longer than the block",
        "6.2: padding that exceeds the frame is a connection error PROTOCOL_ERROR",
        frame(Kind.HEADERS, PADDED | PRIORITIZED | END_HEADERS, 1, bytes([len(_CHECK) + 1]) + bytes(5) + _CHECK),
        Fails(Code.PROTOCOL_ERROR, Code.FRAME_SIZE_ERROR),
    ),
    case(
        "HEADERS: END_STREAM counts before CONTINUATION",
        "6.2: a HEADERS frame with END_STREAM is followed by CONTINUATION, and the stream has ended then",
        headers(1, _CHECK[:9], END_STREAM) + continuation(1, _CHECK[9:], END_HEADERS) + _ASK,
        Resets(Code.STREAM_CLOSED),
    ),
]

_RST_STREAM = [
    case("RST_STREAM: of another idle stream", "6.4", check(1) + rst_stream(3), Fails(Code.PROTOCOL_ERROR)),
    case("RST_STREAM: with any code", "6.4", post(1) + rst_stream(1, Code.NO_ERROR) + check(3), Answers(stream=3)),
    case(
        "RST_STREAM: of a call under way",
        "6.4: the receiver does not send further frames on the stream",
        call(1, WATCH_PATH) + data(1, message(), END_STREAM),
        Responds(),
        rst_stream(1) + check(3),
        Answers(stream=3),
    ),
]


class _PushesNothing:
    """What the server announces: a client could not take SETTINGS_ENABLE_PUSH 1, nor settings out of range."""

    async def met(self, peer: Peer) -> None:
        assert not peer.settings.get(Setting.ENABLE_PUSH, 0)
        assert peer.settings.get(Setting.INITIAL_WINDOW_SIZE, 0) <= HIGHEST_WINDOW
        assert DEFAULT_FRAME_SIZE <= peer.settings.get(Setting.MAX_FRAME_SIZE, DEFAULT_FRAME_SIZE) < 1 << 24
        assert Setting.MAX_CONCURRENT_STREAMS in peer.settings
        assert Setting.MAX_HEADER_LIST_SIZE in peer.settings


_SETTINGS = [
    case("SETTINGS: empty", "6.5: a frame without a setting is acknowledged as well", settings(), Acknowledged()),
    case(
        "SETTINGS: several",
        "6.5.3: each frame is acknowledged",
        settings((Setting.MAX_FRAME_SIZE, 20_000)) + settings() + settings((Setting.ENABLE_PUSH, 1)),
        Acknowledged(times=3),
        Alive(),
    ),
    case("SETTINGS: an acknowledgement", "6.5: nothing comes of it", settings(flags=ACK), Alive()),
    case("SETTINGS: an acknowledgement on a stream", "6.5", settings(flags=ACK, stream=1), Fails(Code.PROTOCOL_ERROR)),
    case("SETTINGS: what the server says", "6.5.2: a server never enables push", _PushesNothing()),
    case(
        "SETTINGS: the ends of each range",
        "6.5.2",
        settings(
            (Setting.INITIAL_WINDOW_SIZE, HIGHEST_WINDOW),
            (Setting.MAX_FRAME_SIZE, (1 << 24) - 1),
            (Setting.MAX_CONCURRENT_STREAMS, 0),
            (Setting.MAX_HEADER_LIST_SIZE, (1 << 32) - 1),
            (Setting.HEADER_TABLE_SIZE, (1 << 32) - 1),
        ),
        Acknowledged(),
        check(1),
        Answers(),
    ),
    case(
        "SETTINGS: a wrong one after right ones",
        "6.5.2",
        settings((Setting.ENABLE_PUSH, 0), (Setting.MAX_FRAME_SIZE, 0)),
        Fails(Code.PROTOCOL_ERROR),
    ),
    case(
        "SETTINGS: within the preface",
        "6.5.2: the first frame is held to the same rules",
        PREFACE + settings((Setting.ENABLE_PUSH, 3)),
        Fails(Code.PROTOCOL_ERROR),
        raw=True,
    ),
]

_PUSH_PROMISE = [
    case(
        "PUSH_PROMISE: on an open stream",
        "6.6, 8.4: a client cannot push",
        post(1) + frame(Kind.PUSH_PROMISE, END_HEADERS, 1, (2).to_bytes(4) + _CHECK),
        Fails(Code.PROTOCOL_ERROR),
    ),
    case(
        "PUSH_PROMISE: empty",
        "6.6",
        post(1) + frame(Kind.PUSH_PROMISE, END_HEADERS, 1),
        Fails(Code.PROTOCOL_ERROR, Code.FRAME_SIZE_ERROR),
    ),
]

_PING = [
    case(
        "PING: several",
        "6.7: each is answered, in order",
        b"".join(ping(bytes(7) + bytes([number])) for number in range(3)),
        *(Ponged(bytes(7) + bytes([number])) for number in range(3)),
    ),
    case("PING: an acknowledgement on a stream", "6.7", ping(bytes(8), ACK, stream=1), Fails(Code.PROTOCOL_ERROR)),
    case("PING: an acknowledgement too short", "6.7", ping(bytes(4), ACK), Fails(Code.FRAME_SIZE_ERROR)),
]

_GOAWAY = [
    case(
        "GOAWAY: amid a call",
        "6.8: streams under way are finished",
        call(1, CHECK_PATH) + goaway(0) + _ASK,
        Answers(),
    ),
    case(
        "GOAWAY: twice", "6.8: an endpoint may send several", goaway(HIGHEST_WINDOW) + goaway(0), Alive(or_closed=True)
    ),
    case("GOAWAY: with an error", "6.8", goaway(0, Code.INTERNAL_ERROR, b"sorry"), Alive(or_closed=True)),
]

_CONTINUATION = [
    case(
        "CONTINUATION: byte by byte",
        "6.10: any number of them",
        headers(1, b"", 0) + b"".join(continuation(1, bytes([byte])) for byte in _CHECK[:5]),
        continuation(1, _CHECK[5:], END_HEADERS) + _ASK,
        Answers(),
    ),
    case(
        "CONTINUATION: after trailers",
        "6.10",
        post(1) + headers(1, block([("x-a", "b")])) + continuation(1, b""),
        Fails(Code.PROTOCOL_ERROR, Code.STREAM_CLOSED),
    ),
    case("CONTINUATION: first of all", "6.10", continuation(1, b"", END_HEADERS), Fails(Code.PROTOCOL_ERROR)),
    case(
        "CONTINUATION: of another stream",
        "6.10",
        headers(1, _CHECK[:5], 0) + continuation(3, _CHECK[5:], END_HEADERS),
        Fails(Code.PROTOCOL_ERROR),
    ),
]

_CODES = [
    case(
        "an unknown code",
        "7: an unknown error code is nothing special",
        post(1) + rst_stream(1, 0xFFFFFFFF) + get(3),
        Responds(3),
    ),
]

CASES = [
    *_DATA,
    *_HEADERS,
    *_RST_STREAM,
    *_SETTINGS,
    *_PUSH_PROMISE,
    *_PING,
    *_GOAWAY,
    *_CONTINUATION,
    *_CODES,
]
