"""Group `generic`: what a server has to put up with."""

from __future__ import annotations

from tests.server.conformance.script import Acknowledged, Alive, Case, Ends, Ponged, Responds, Sends, Settled, case
from tests.server.raw.frames import (
    DEFAULT_FRAME_SIZE,
    DEFAULT_WINDOW,
    END_HEADERS,
    END_STREAM,
    PREFACE,
    PRIORITIZED,
    Setting,
    block,
    continuation,
    data,
    dependency,
    goaway,
    headers,
    integer,
    ping,
    priority,
    rst_stream,
    settings,
    window_update,
)
from tests.server.raw.requests import get, plain_fields, post

_GET = block(plain_fields())
_NO_WINDOW = settings((Setting.INITIAL_WINDOW_SIZE, 0))
_EVERY_SETTING = settings(
    (Setting.HEADER_TABLE_SIZE, 4096),
    (Setting.ENABLE_PUSH, 1),
    (Setting.MAX_CONCURRENT_STREAMS, 100),
    (Setting.INITIAL_WINDOW_SIZE, DEFAULT_WINDOW),
    (Setting.MAX_FRAME_SIZE, DEFAULT_FRAME_SIZE),
    (Setting.MAX_HEADER_LIST_SIZE, 100),
)

_CONNECTION = [
    case(
        "generic/1/1",
        "3.4: a preface is answered with SETTINGS",
        PREFACE + settings((Setting.INITIAL_WINDOW_SIZE, DEFAULT_WINDOW)),
        Settled(),
        raw=True,
    ),
]

_STREAMS = [
    case("generic/2/1", "5.1: PRIORITY may come on an idle stream", priority(1), Alive()),
    case(
        "generic/2/2",
        "5.1: WINDOW_UPDATE may come on a half-closed (remote) stream, and lets it go on",
        _NO_WINDOW + get(1),
        window_update(1, 1),
        Sends(1),
    ),
    case(
        "generic/2/3",
        "5.1: PRIORITY may come on a half-closed (remote) stream",
        _NO_WINDOW + get(1),
        priority(1) + window_update(1, 1),
        Sends(1),
    ),
    case("generic/2/4", "5.1: RST_STREAM may come on a half-closed (remote) stream", get(1) + rst_stream(1), Alive()),
    case("generic/2/5", "5.1: PRIORITY may come on a closed stream", get(1), Ends(), priority(1), Alive()),
]

_FRAMES = [
    case("generic/3.1/1", "6.1: DATA is accepted", post(1) + data(1, b"test", END_STREAM), Responds()),
    case(
        "generic/3.1/2",
        "6.1: several DATA frames are accepted",
        post(1) + data(1, b"test") + data(1, b"test", END_STREAM),
        Responds(),
    ),
    case("generic/3.1/3", "6.1: padded DATA is accepted", post(1) + data(1, b"test", END_STREAM, pad=5), Responds()),
    case("generic/3.2/1", "6.2: HEADERS is accepted", get(1), Responds()),
    case("generic/3.2/2", "6.2: padded HEADERS is accepted", headers(1, _GET, pad=8), Responds()),
    case(
        "generic/3.2/3",
        "6.2: HEADERS with priority fields is accepted",
        headers(1, dependency(0, 255) + _GET, END_HEADERS | END_STREAM | PRIORITIZED),
        Responds(),
    ),
    case("generic/3.3/1", "6.3: PRIORITY of the least weight is accepted", priority(1, weight=0) + get(1), Responds()),
    case("generic/3.3/2", "6.3: PRIORITY of the most weight is accepted", priority(1, weight=255) + get(1), Responds()),
    case("generic/3.3/3", "6.3: PRIORITY may depend on a stream", priority(3, on=1, weight=0) + get(1), Responds()),
    case(
        "generic/3.3/4",
        "6.3: PRIORITY may be exclusive",
        priority(1, weight=0, exclusive=True) + get(1),
        Responds(),
    ),
    case(
        "generic/3.3/5", "6.3: PRIORITY on an idle stream does not use up lower ids", priority(3) + get(1), Responds()
    ),
    case("generic/3.4/1", "6.4: RST_STREAM is accepted", headers(1, _GET, END_HEADERS) + rst_stream(1), Alive()),
    case("generic/3.5/1", "6.5: all defined settings are accepted", _EVERY_SETTING, Acknowledged()),
    case("generic/3.7/1", "6.7: PING is answered", ping(b"pingpong"), Ponged(b"pingpong")),
    case("generic/3.8/1", "6.8: GOAWAY is accepted", goaway(debug=b"so long"), Alive(or_closed=True)),
    case("generic/3.9/1", "6.9: WINDOW_UPDATE of the connection is accepted", window_update(0, 1), Alive()),
    case("generic/3.9/2", "6.9: WINDOW_UPDATE of a stream is accepted", get(1) + window_update(1, 1), Responds()),
    case(
        "generic/3.10/1",
        "6.10: a block may go on in CONTINUATION",
        headers(1, _GET[:5], END_STREAM) + continuation(1, _GET[5:], END_HEADERS),
        Responds(),
    ),
    case(
        "generic/3.10/2",
        "6.10: a block may go on in several CONTINUATION frames",
        headers(1, _GET[:5], END_STREAM) + continuation(1, _GET[5:10]) + continuation(1, _GET[10:], END_HEADERS),
        Responds(),
    ),
]

_MESSAGES = [
    case("generic/4/1", "8.1: a GET is answered", get(1), Responds()),
    case("generic/4/2", "8.1: a HEAD is answered", headers(1, block(plain_fields("HEAD"))), Responds()),
    case("generic/4/3", "8.1: a POST is answered", post(1) + data(1, b"test", END_STREAM), Responds()),
    case(
        "generic/4/4",
        "8.1: a POST with trailers is answered",
        post(1, ("trailer", "x-test")) + data(1, b"test") + headers(1, block([("x-test", "ok")])),
        Responds(),
    ),
]

_USER_AGENT = bytes.fromhex("87b505b161cc5a93")  # "user-agent" in Huffman code, with its length
_X_TEST = bytes.fromhex("85f2b24a84ff")  # "x-test", likewise
_VALUE = bytes.fromhex("849c48aca4")


def _represented(number: int, rule: str, representation: bytes) -> Case:
    return case(f"generic/5/{number}", rule, headers(1, _GET + representation), Responds())


def _literals() -> list[Case]:
    """Each literal representation, with a name of the static table or a new one, plain and in Huffman code."""
    number = 1
    cases: list[Case] = []
    for first, what in (0x40, "with incremental indexing"), (0x00, "without indexing"), (0x10, "never indexed"):
        for name, coded in (b"user-agent", _USER_AGENT), (b"x-test", _X_TEST):
            plain = integer(len(name), 7) + name + b"\x06a-test"
            for string, coding in (plain, "plain"), (coded + _VALUE, "in Huffman code"):
                number += 1
                rule = f"RFC 7541 6.2: a literal {what} is accepted: {name.decode()}, {coding}"
                cases.append(_represented(number, rule, bytes([first]) + string))
    return cases


_HPACK = [
    _represented(1, "RFC 7541 6.1: an indexed field of the static table is accepted", b"\xba"),
    *_literals(),
    case(
        "generic/5/14", "RFC 7541 6.3: a size update is accepted", headers(1, integer(128, 5, 0x20) + _GET), Responds()
    ),
    case(
        "generic/5/15",
        "RFC 7541 4.2: two size updates are accepted",
        headers(1, integer(128, 5, 0x20) + integer(4096, 5, 0x20) + _GET),
        Responds(),
    ),
]

CASES = [*_CONNECTION, *_STREAMS, *_FRAMES, *_MESSAGES, *_HPACK]
