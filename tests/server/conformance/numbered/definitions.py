"""Groups `http2/6` and `http2/7`: each frame, and error codes."""

from __future__ import annotations

from tests.server.conformance.script import (
    Acknowledged,
    Alive,
    Fails,
    Holds,
    Ponged,
    Resets,
    Responds,
    Sends,
    case,
)
from tests.server.raw.frames import (
    ACK,
    END_HEADERS,
    END_STREAM,
    HIGHEST_WINDOW,
    PADDED,
    Code,
    Kind,
    Setting,
    block,
    continuation,
    data,
    frame,
    goaway,
    headers,
    ping,
    priority,
    rst_stream,
    settings,
    window_update,
)
from tests.server.raw.requests import get, plain_fields, post

_GET = block(plain_fields())
_POST = block(plain_fields("POST"))
_FILLER = block([("x-dummy0", "x" * 4000)])
_OPEN = headers(1, _GET, END_HEADERS)

_DATA = [
    case("http2/6.1/1", "6.1: DATA belongs to a stream", data(0, b"test", END_STREAM), Fails(Code.PROTOCOL_ERROR)),
    case(
        "http2/6.1/2",
        "6.1: DATA on a stream that is not open is a stream error STREAM_CLOSED",
        headers(1, _POST) + data(1, b"test", END_STREAM),
        Resets(Code.STREAM_CLOSED),
    ),
    case(
        "http2/6.1/3",
        "6.1: padding as long as the payload is a connection error PROTOCOL_ERROR",
        post(1, ("content-length", "4")) + frame(Kind.DATA, PADDED | END_STREAM, 1, b"\x06Test"),
        Fails(Code.PROTOCOL_ERROR),
    ),
]

_HEADERS = [
    case(
        "http2/6.2/1",
        "6.2: CONTINUATION follows HEADERS without END_HEADERS, not PRIORITY",
        headers(1, _GET, 0) + priority(1) + continuation(1, _FILLER, END_HEADERS),
        Fails(Code.PROTOCOL_ERROR),
    ),
    case(
        "http2/6.2/2",
        "6.2: CONTINUATION follows HEADERS without END_HEADERS, not HEADERS of another stream",
        headers(1, _GET, 0) + get(3) + continuation(1, _FILLER, END_HEADERS),
        Fails(Code.PROTOCOL_ERROR),
    ),
    case("http2/6.2/3", "6.2: HEADERS belongs to a stream", get(0), Fails(Code.PROTOCOL_ERROR)),
    case(
        "http2/6.2/4",
        "6.2: padding longer than the rest is a PROTOCOL_ERROR",
        frame(Kind.HEADERS, PADDED | END_HEADERS | END_STREAM, 1, bytes([len(_GET) + 2]) + _GET),
        Resets(Code.PROTOCOL_ERROR),
    ),
]

_PRIORITY = [
    case("http2/6.3/1", "6.3: PRIORITY belongs to a stream", priority(0), Fails(Code.PROTOCOL_ERROR)),
    case(
        "http2/6.3/2",
        "6.3: PRIORITY of another length than 5 is a stream error FRAME_SIZE_ERROR",
        get(1) + frame(Kind.PRIORITY, 0, 1, b"\x80\0\0\1"),
        Resets(Code.FRAME_SIZE_ERROR),
    ),
]

_RST_STREAM = [
    case("http2/6.4/1", "6.4: RST_STREAM belongs to a stream", rst_stream(0), Fails(Code.PROTOCOL_ERROR)),
    case("http2/6.4/2", "6.4: RST_STREAM must not come on an idle stream", rst_stream(1), Fails(Code.PROTOCOL_ERROR)),
    case(
        "http2/6.4/3",
        "6.4: RST_STREAM of another length than 4 is a connection error FRAME_SIZE_ERROR",
        get(1) + frame(Kind.RST_STREAM, 0, 1, bytes(3)),
        Fails(Code.FRAME_SIZE_ERROR),
    ),
]

_SETTINGS = [
    case(
        "http2/6.5/1",
        "6.5: an acknowledgement that is not empty is a connection error FRAME_SIZE_ERROR",
        frame(Kind.SETTINGS, ACK, 0, b"\0"),
        Fails(Code.FRAME_SIZE_ERROR),
    ),
    case(
        "http2/6.5/2",
        "6.5: SETTINGS belongs to no stream",
        settings((Setting.MAX_CONCURRENT_STREAMS, 100), stream=1),
        Fails(Code.PROTOCOL_ERROR),
    ),
    case(
        "http2/6.5/3",
        "6.5: a length that is no multiple of 6 is a connection error FRAME_SIZE_ERROR",
        frame(Kind.SETTINGS, 0, 0, b"\0\3\0"),
        Fails(Code.FRAME_SIZE_ERROR),
    ),
    case(
        "http2/6.5.2/1",
        "6.5.2: ENABLE_PUSH is 0 or 1",
        settings((Setting.ENABLE_PUSH, 2)),
        Fails(Code.PROTOCOL_ERROR),
    ),
    case(
        "http2/6.5.2/2",
        "6.5.2: INITIAL_WINDOW_SIZE is below 2^31",
        settings((Setting.INITIAL_WINDOW_SIZE, HIGHEST_WINDOW + 1)),
        Fails(Code.FLOW_CONTROL_ERROR),
    ),
    case(
        "http2/6.5.2/3",
        "6.5.2: MAX_FRAME_SIZE is at least 2^14",
        settings((Setting.MAX_FRAME_SIZE, 16_383)),
        Fails(Code.PROTOCOL_ERROR),
    ),
    case(
        "http2/6.5.2/4",
        "6.5.2: MAX_FRAME_SIZE is below 2^24",
        settings((Setting.MAX_FRAME_SIZE, 16_777_216)),
        Fails(Code.PROTOCOL_ERROR),
    ),
    case("http2/6.5.2/5", "6.5.2: an unknown setting is ignored", settings((0xFF, 1)), Alive()),
    case(
        "http2/6.5.3/1",
        "6.5.3: settings take effect in their order",
        settings((Setting.INITIAL_WINDOW_SIZE, 100), (Setting.INITIAL_WINDOW_SIZE, 1)),
        Acknowledged(),
        get(1),
        Sends(1),
    ),
    case("http2/6.5.3/2", "6.5.3: settings are acknowledged", settings((Setting.ENABLE_PUSH, 0)), Acknowledged()),
]

_PING = [
    case("http2/6.7/1", "6.7: PING comes back with the same content", ping(b"h2 ping!"), Ponged(b"h2 ping!")),
    case(
        "http2/6.7/2",
        "6.7: an acknowledgement is not answered",
        ping(b"invalid!", ACK) + ping(b"h2 ping!"),
        Ponged(b"h2 ping!"),
    ),
    case("http2/6.7/3", "6.7: PING belongs to no stream", ping(bytes(8), stream=1), Fails(Code.PROTOCOL_ERROR)),
    case(
        "http2/6.7/4",
        "6.7: PING of another length than 8 is a connection error FRAME_SIZE_ERROR",
        ping(bytes(6)),
        Fails(Code.FRAME_SIZE_ERROR),
    ),
]

_GOAWAY = [case("http2/6.8/1", "6.8: GOAWAY belongs to no stream", goaway(stream=1), Fails(Code.PROTOCOL_ERROR))]

_WINDOW_UPDATE = [
    case("http2/6.9/1", "6.9: no increment for the connection", window_update(0, 0), Fails(Code.PROTOCOL_ERROR)),
    case("http2/6.9/2", "6.9: no increment for a stream", _OPEN + window_update(1, 0), Resets(Code.PROTOCOL_ERROR)),
    case(
        "http2/6.9/3",
        "6.9: WINDOW_UPDATE of another length than 4 is a connection error FRAME_SIZE_ERROR",
        frame(Kind.WINDOW_UPDATE, 0, 0, b"\0\0\1"),
        Fails(Code.FRAME_SIZE_ERROR),
    ),
    case(
        "http2/6.9.1/1",
        "6.9.1: no DATA frame is longer than the window",
        settings((Setting.INITIAL_WINDOW_SIZE, 1)),
        Acknowledged(),
        get(1),
        Sends(1),
        Holds(),
    ),
    case(
        "http2/6.9.1/2",
        "6.9.1: the connection's window over 2^31-1 is a connection error FLOW_CONTROL_ERROR",
        window_update(0, HIGHEST_WINDOW) * 2,
        Fails(Code.FLOW_CONTROL_ERROR),
    ),
    case(
        "http2/6.9.1/3",
        "6.9.1: a stream's window over 2^31-1 is a stream error FLOW_CONTROL_ERROR",
        _OPEN + window_update(1, HIGHEST_WINDOW) * 2,
        Resets(Code.FLOW_CONTROL_ERROR),
    ),
    case(
        "http2/6.9.2/1",
        "6.9.2: a new initial window moves the windows of open streams",
        settings((Setting.INITIAL_WINDOW_SIZE, 0)),
        Acknowledged(),
        get(1),
        settings((Setting.INITIAL_WINDOW_SIZE, 1)),
        Sends(1),
        Holds(),
    ),
    case(
        "http2/6.9.2/2",
        "6.9.2: a window may become negative, and is counted on from there",
        settings((Setting.INITIAL_WINDOW_SIZE, 3)),
        Acknowledged(),
        get(1),
        Sends(3),
        settings((Setting.INITIAL_WINDOW_SIZE, 2)),
        Acknowledged(),
        window_update(1, 2),
        Sends(1),
        Holds(),
    ),
    case(
        "http2/6.9.2/3",
        "6.9.2: an initial window over 2^31-1 is a connection error FLOW_CONTROL_ERROR",
        settings((Setting.INITIAL_WINDOW_SIZE, 2**31)),
        Fails(Code.FLOW_CONTROL_ERROR),
    ),
]

_CONTINUATION = [
    case(
        "http2/6.10/1",
        "6.10: any number of CONTINUATION frames may follow HEADERS",
        headers(1, _GET, END_STREAM) + continuation(1, _FILLER) + continuation(1, _FILLER, END_HEADERS),
        Responds(),
    ),
    case(
        "http2/6.10/2",
        "6.10: nothing but CONTINUATION may follow CONTINUATION without END_HEADERS",
        headers(1, _POST, 0) + continuation(1, _FILLER) + data(1, b"test", END_STREAM),
        Fails(Code.PROTOCOL_ERROR),
    ),
    case(
        "http2/6.10/3",
        "6.10: CONTINUATION belongs to a stream",
        headers(1, _GET, END_STREAM) + continuation(0, _FILLER, END_HEADERS),
        Fails(Code.PROTOCOL_ERROR),
    ),
    case(
        "http2/6.10/4",
        "6.10: no CONTINUATION after HEADERS with END_HEADERS",
        get(1) + continuation(1, _FILLER, END_HEADERS),
        Fails(Code.PROTOCOL_ERROR, Code.STREAM_CLOSED),
    ),
    case(
        "http2/6.10/5",
        "6.10: no CONTINUATION after CONTINUATION with END_HEADERS",
        headers(1, _GET, END_STREAM) + continuation(1, _FILLER, END_HEADERS) * 2,
        Fails(Code.PROTOCOL_ERROR, Code.STREAM_CLOSED),
    ),
    case(
        "http2/6.10/6",
        "6.10: no CONTINUATION after DATA",
        headers(1, _POST, 0) + data(1, b"test") + continuation(1, _FILLER) + continuation(0, _FILLER, END_HEADERS),
        Fails(Code.PROTOCOL_ERROR),
    ),
]

_CODES = [
    case("http2/7/1", "7: an unknown code in GOAWAY is nothing special", goaway(code=0xFF), Alive(or_closed=True)),
    case("http2/7/2", "7: an unknown code in RST_STREAM is nothing special", post(1) + rst_stream(1, 0xFF), Alive()),
]

CASES = [
    *_DATA,
    *_HEADERS,
    *_PRIORITY,
    *_RST_STREAM,
    *_SETTINGS,
    *_PING,
    *_GOAWAY,
    *_WINDOW_UPDATE,
    *_CONTINUATION,
    *_CODES,
]
