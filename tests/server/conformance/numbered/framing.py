"""Groups `http2/3` and `http2/4`: the preface, frames, header blocks."""

from __future__ import annotations

from tests.server.conformance.script import Alive, Closes, Fails, Ponged, Resets, Responds, Settled, case
from tests.server.raw.frames import (
    DEFAULT_FRAME_SIZE,
    DEFAULT_WINDOW,
    END_HEADERS,
    END_STREAM,
    PREFACE,
    Code,
    Kind,
    Setting,
    block,
    continuation,
    data,
    frame,
    headers,
    literals,
    priority,
    settings,
)
from tests.server.raw.peer import Peer
from tests.server.raw.requests import get, plain_fields, post

_GET = block(plain_fields())
_FILLER = block([("x-dummy0", "x" * 4000)])
_TOO_LONG = _GET + literals((f"x-dummy{number}", "x" * 3500) for number in range(5))
_SIX_OTHER_FLAGS = 0x16


def _largest_frame(peer: Peer) -> int:
    return peer.settings.get(Setting.MAX_FRAME_SIZE, DEFAULT_FRAME_SIZE)


_PREFACE = [
    case(
        "http2/3.5/1",
        "3.4: the server's first frame is SETTINGS",
        PREFACE + settings((Setting.INITIAL_WINDOW_SIZE, DEFAULT_WINDOW)),
        Settled(),
        raw=True,
    ),
    case(
        "http2/3.5/2", "3.4: an invalid preface ends the connection", b"NOTHING OF THE SORT\r\n\r\n", Closes(), raw=True
    ),
]

_FORMAT = [
    case("http2/4.1/1", "4.1: a frame of unknown type is ignored", frame(Kind.UNKNOWN, 0, 0, bytes(8)), Alive()),
    case(
        "http2/4.1/2",
        "4.1: flags without a meaning are ignored",
        frame(Kind.PING, _SIX_OTHER_FLAGS, 0, bytes(8)),
        Ponged(bytes(8)),
    ),
    case(
        "http2/4.1/3",
        "4.1: the reserved bit is ignored",
        frame(Kind.PING, _SIX_OTHER_FLAGS, 1 << 31, bytes(8)),
        Ponged(bytes(8)),
    ),
]

_SIZE = [
    case(
        "http2/4.2/1",
        "4.2: frames of the announced size are taken",
        post(1),
        lambda peer: data(1, b"x" * _largest_frame(peer), END_STREAM),
        Responds(),
    ),
    case(
        "http2/4.2/2",
        "4.2: a larger DATA frame is a FRAME_SIZE_ERROR",
        post(1),
        lambda peer: data(1, b"x" * (_largest_frame(peer) + 1), END_STREAM),
        Resets(Code.FRAME_SIZE_ERROR),
    ),
    case(
        "http2/4.2/3",
        "4.2: a larger HEADERS frame is a connection error FRAME_SIZE_ERROR",
        headers(1, _TOO_LONG),
        Fails(Code.FRAME_SIZE_ERROR),
    ),
]

_BLOCKS = [
    case(
        "http2/4.3/1",
        "4.3: a block that cannot be decoded is a connection error COMPRESSION_ERROR",
        headers(1, b"\x40"),
        Fails(Code.COMPRESSION_ERROR),
    ),
    case(
        "http2/4.3/2",
        "4.3: nothing may come between the frames of a block: PRIORITY",
        headers(1, _GET, 0) + priority(1) + continuation(1, _FILLER, END_HEADERS),
        Fails(Code.PROTOCOL_ERROR),
    ),
    case(
        "http2/4.3/3",
        "4.3: nothing may come between the frames of a block: HEADERS of another stream",
        headers(1, _GET, 0) + get(3) + continuation(1, _FILLER, END_HEADERS),
        Fails(Code.PROTOCOL_ERROR),
    ),
]

CASES = [*_PREFACE, *_FORMAT, *_SIZE, *_BLOCKS]
