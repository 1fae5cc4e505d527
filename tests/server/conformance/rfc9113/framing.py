"""RFC 9113 sections 3.4 and 4: the preface, frames, field blocks."""

from __future__ import annotations

from tests.server.conformance.script import Acknowledged, Alive, Answers, Case, Fails, Resets, Settled, case
from tests.server.raw.frames import (
    DEFAULT_FRAME_SIZE,
    END_HEADERS,
    END_STREAM,
    PADDED,
    PREFACE,
    PRIORITIZED,
    Code,
    Kind,
    Setting,
    block,
    continuation,
    data,
    frame,
    goaway,
    headers,
    literal,
    literals,
    ping,
    rst_stream,
    settings,
    window_update,
)
from tests.server.raw.requests import CHECK_PATH, call_fields, check, message, plain_fields, post

_GET = block(plain_fields())
_RESERVED = 1 << 31
_OVER = bytes(DEFAULT_FRAME_SIZE + 1)
_CHECK = call_fields(CHECK_PATH)
_ASK = data(1, message(), END_STREAM)

_PREFACE = [
    case(
        "requests do not wait for the server's preface",
        "3.4: clients may send further frames right after their preface",
        PREFACE + settings() + check(1),
        Settled(),
        Answers(),
        raw=True,
    ),
    case(
        "the preface in pieces",
        "3.4: what matters is the bytes, not how they arrive",
        *(bytes([byte]) for byte in PREFACE + settings()),
        Settled(),
        Acknowledged(),
        raw=True,
    ),
    case(
        "no settings after the preface",
        "3.4: the client's preface includes SETTINGS, else it is a connection error PROTOCOL_ERROR",
        PREFACE + ping(),
        Fails(Code.PROTOCOL_ERROR),
        raw=True,
    ),
    case(
        "an acknowledgement for settings",
        "3.4: an acknowledgement is not the SETTINGS frame of the preface",
        PREFACE + settings(flags=1),
        Fails(Code.PROTOCOL_ERROR),
        raw=True,
    ),
    case(
        "HTTP/1.1",
        "3.4: another protocol is no preface",
        b"GET / HTTP/1.1\r\nHost: a\r\n\r\n",
        Fails(Code.PROTOCOL_ERROR),
        raw=True,
    ),
    case("a preface that goes wrong late", "3.4", PREFACE[:-1] + b"?", Fails(Code.PROTOCOL_ERROR), raw=True),
    case(
        "two prefaces", "3.4: the second is a broken frame", PREFACE, Fails(Code.FRAME_SIZE_ERROR, Code.PROTOCOL_ERROR)
    ),
]

_FORMAT = [
    *(
        case(
            f"an unknown frame on {where}",
            "4.1: frames of unknown type are ignored",
            frame(kind, 0xFF, stream, b"?" * 20),
            Alive(),
        )
        for where, kind, stream in [
            ("the connection", Kind.UNKNOWN, 0),
            ("an idle stream", Kind.UNKNOWN, 1),
            ("a high stream", 0xFF, _RESERVED - 1),
            ("an even stream", 0x0A, 2),
        ]
    ),
    case(
        "an unknown frame on an open stream",
        "4.1: frames of unknown type are discarded",
        headers(1, block(_CHECK), END_HEADERS) + frame(Kind.UNKNOWN, END_STREAM, 1, b"?") + _ASK,
        Answers(),
    ),
    case(
        "flags without a meaning",
        "4.1: unused flags are ignored",
        headers(1, block(_CHECK), END_HEADERS | 0xD2) + data(1, message(), END_STREAM | 0xF6),
        Answers(),
    ),
    case(
        "reserved bits",
        "4.1, 6.9: the reserved bit is ignored, in stream identifiers and increments",
        headers(_RESERVED | 1, block(_CHECK), END_HEADERS)
        + frame(Kind.WINDOW_UPDATE, 0, _RESERVED, (_RESERVED | 1).to_bytes(4))
        + data(_RESERVED | 1, message(), END_STREAM),
        Answers(),
    ),
]


def _too_large(kind: Kind, stream: int, flags: int = 0) -> Case:
    return case(
        f"too large: {kind.name}",
        "4.2: a frame over SETTINGS_MAX_FRAME_SIZE that could alter the connection is a connection error",
        post(1) + frame(kind, flags, stream, _OVER),
        Fails(Code.FRAME_SIZE_ERROR),
    )


def _short(what: str, content: bytes, *codes: Code) -> Case:
    return case(
        f"of a wrong size: {what}",
        "4.2: a frame of a size that its type cannot have is a FRAME_SIZE_ERROR",
        post(1) + content,
        Resets(*(codes or (Code.FRAME_SIZE_ERROR,))),
    )


_SIZE = [
    _too_large(Kind.HEADERS, 3, END_HEADERS),
    _too_large(Kind.SETTINGS, 0),
    _too_large(Kind.PING, 0),
    _too_large(Kind.GOAWAY, 0),
    _too_large(Kind.WINDOW_UPDATE, 0),
    _too_large(Kind.RST_STREAM, 1),
    case(
        "too large: CONTINUATION",
        "4.2: a frame over SETTINGS_MAX_FRAME_SIZE that carries a field block is a connection error",
        headers(1, _GET, END_STREAM) + continuation(1, _OVER, END_HEADERS),
        Fails(Code.FRAME_SIZE_ERROR),
    ),
    case(
        "the announced size is known from the frame's head",
        "4.2: a frame too large is refused, not awaited",
        post(1) + frame(Kind.HEADERS, END_HEADERS, 3, length=0xFFFFFF),
        Fails(Code.FRAME_SIZE_ERROR),
    ),
    _short("PRIORITY", frame(Kind.PRIORITY, 0, 1, bytes(6))),
    _short("RST_STREAM", frame(Kind.RST_STREAM, 0, 1, bytes(5))),
    _short("WINDOW_UPDATE", frame(Kind.WINDOW_UPDATE, 0, 1, bytes(5))),
    _short("PING", ping(bytes(9))),
    _short("GOAWAY", frame(Kind.GOAWAY, 0, 0, bytes(7))),
    _short("SETTINGS", frame(Kind.SETTINGS, 0, 0, bytes(7))),
    _short("padded DATA", frame(Kind.DATA, PADDED, 1), Code.FRAME_SIZE_ERROR, Code.PROTOCOL_ERROR),
    case(
        "too small: padded HEADERS",
        "4.2: a frame too small for what it must hold is a FRAME_SIZE_ERROR",
        frame(Kind.HEADERS, PADDED | END_HEADERS, 1),
        Fails(Code.FRAME_SIZE_ERROR, Code.PROTOCOL_ERROR),
    ),
    case(
        "too small: HEADERS with priority",
        "4.2: a frame too small for what it must hold is a FRAME_SIZE_ERROR",
        frame(Kind.HEADERS, PRIORITIZED | END_HEADERS, 1, bytes(4)),
        Fails(Code.FRAME_SIZE_ERROR, Code.PROTOCOL_ERROR),
    ),
]


def _between(what: str, content: bytes) -> Case:
    return case(
        f"within a block: {what}",
        "4.3: the frames of a field block are contiguous, else it is a connection error PROTOCOL_ERROR",
        headers(1, _GET, END_STREAM) + content,
        Fails(Code.PROTOCOL_ERROR),
    )


_TO_THE_TABLE = literal(b":path", CHECK_PATH.encode(), 0x40)
_FROM_THE_TABLE = b"\xbe"
_METHOD, _SCHEME, _PATH, *_REST = _CHECK
_USES_THE_TABLE = literals([_METHOD, _SCHEME]) + _FROM_THE_TABLE + literals(_REST)


def _after(what: str, useless: bytes) -> Case:
    """A block of no use puts the path into the dynamic table, from which the next one takes it."""
    return case(
        f"the dynamic table after {what}",
        "4.3: every field block is decoded, also those of no use, else the connection is lost",
        useless,
        headers(3, _USES_THE_TABLE, END_HEADERS) + data(3, message(), END_STREAM),
        Answers(stream=3),
    )


_BLOCKS = [
    _between("DATA", data(1, b"test")),
    _between("RST_STREAM", rst_stream(1)),
    _between("SETTINGS", settings()),
    _between("PING", ping()),
    _between("GOAWAY", goaway()),
    _between("WINDOW_UPDATE", window_update(0, 1)),
    _between("the same HEADERS", headers(1, _GET)),
    _between("CONTINUATION of another stream", continuation(3, _GET, END_HEADERS)),
    case(
        "a field in two frames",
        "4.3: fragments are put together before they are decoded",
        headers(1, block(_CHECK)[:7], 0) + continuation(1, block(_CHECK)[7:], END_HEADERS) + _ASK,
        Answers(),
    ),
    case(
        "an empty CONTINUATION",
        "4.3: a fragment may be empty",
        headers(1, b"", 0) + continuation(1, b"") + continuation(1, block(_CHECK), END_HEADERS) + _ASK,
        Answers(),
    ),
    _after("a malformed request", headers(1, _TO_THE_TABLE)),
    _after("trailers of a stream that was reset", headers(1, b"", END_HEADERS) + headers(1, _TO_THE_TABLE)),
    case(
        "SETTINGS_MAX_FRAME_SIZE of the peer does not allow it more",
        "4.2: the receiver's setting counts",
        settings((Setting.MAX_FRAME_SIZE, 1 << 20)),
        Acknowledged(),
        post(1) + frame(Kind.HEADERS, END_HEADERS, 3, _OVER),
        Fails(Code.FRAME_SIZE_ERROR),
    ),
]

CASES = [*_PREFACE, *_FORMAT, *_SIZE, *_BLOCKS]
