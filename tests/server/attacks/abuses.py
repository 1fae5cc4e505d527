"""Peers that break a rule, or that keep to every rule and stand still."""

from __future__ import annotations

from dataclasses import dataclass

from extproc.server.native import Http2Limits
from tests.server.attacks.attack import Attack, attack, only
from tests.server.conformance.script import Answers, Closes, Ends, Fails
from tests.server.raw.frames import (
    DEFAULT_WINDOW,
    END_STREAM,
    HIGHEST_STREAM,
    PREFACE,
    Code,
    Kind,
    Setting,
    block,
    continuation,
    data,
    frame,
    headers,
    rst_stream,
    settings,
    window_update,
)
from tests.server.raw.peer import Peer
from tests.server.raw.requests import WATCH_PATH, call, check, get, message, plain_fields

_SOON = 0.05
_GET = block(plain_fields())


@dataclass(frozen=True, slots=True)
class _HalfCloses:
    """The client says that nothing more will come."""

    async def met(self, peer: Peer) -> None:
        peer.half_close()


@dataclass(frozen=True, slots=True)
class _Silence:
    """From here on the client answers nothing."""

    async def met(self, peer: Peer) -> None:
        peer.answers_pings = False


@dataclass(frozen=True, slots=True)
class _Aborts:
    """The client is gone, without a word."""

    async def met(self, peer: Peer) -> None:
        await peer.flushed()
        peer.abort()


def _garbage(what: str, content: bytes) -> Attack:
    return attack(
        f"no HTTP/2: {what}",
        "what does not begin with the preface is no client",
        content,
        Closes(),
        raw=True,
        counter="connection_error.PROTOCOL_ERROR",
    )


_PREFACES = [
    _garbage("HTTP/1.1", b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n"),
    _garbage("TLS", bytes.fromhex("16030100f8010000f40303") + bytes(237)),
    _garbage("zeros", bytes(1 << 16)),
    _garbage("frames without a preface", settings() + check(1)),
    _garbage("a wrong last byte", PREFACE[:-1] + b"\r" + settings()),
]


def _timed(what: str, why: str, limit: str, *steps: bytes, raw: bool = False) -> Attack:
    return attack(what, why, *steps, Closes(), limits=only(limit, _SOON), counter=f"limit.{limit}", raw=raw)


_SLOW = [
    _timed("half-open: silence", "a connection that never says what it is", "preface_timeout", raw=True),
    _timed("half-open: half a preface", "likewise", "preface_timeout", PREFACE[:10], raw=True),
    _timed("half-open: no settings", "the preface is not over without them", "preface_timeout", PREFACE, raw=True),
    _timed("a header block without an end", "slowloris", "headers_timeout", headers(1, _GET, END_STREAM)),
    _timed("CONTINUATION without an end", "slowloris", "headers_timeout", headers(1, _GET, 0) + continuation(1, b"")),
    _timed("idle", "a connection that is of no use any more", "idle"),
    _timed("idle after a call", "likewise", "idle", check(1)),
    *(
        attack(
            f"no answer to PING: {what}",
            "a peer that has gone without a word",
            content,
            _Silence(),
            Closes(),
            limits=Http2Limits(keepalive_time=_SOON, keepalive_timeout=_SOON),
            counter="limit.keepalive_timeout",
        )
        for what, content in [
            ("amid a call", call(1, WATCH_PATH) + data(1, message(), END_STREAM)),
            ("amid a frame", frame(Kind.DATA, 0, 1, b"?", length=99)),
        ]
    ),
    attack(
        "no window",
        "CVE-2019-9517: answers wait for a window that is never opened",
        settings((Setting.INITIAL_WINDOW_SIZE, 0)) + check(1),
        Closes(),
        limits=Http2Limits(stalled_window=_SOON),
        counter="limit.stalled_window",
    ),
]

_HANGS_UP = [
    attack(what, why, *steps)
    for what, why, steps in [
        (
            "half-close amid a frame",
            "what has begun will never end",
            (frame(Kind.DATA, 0, 1, b"?", length=99), _HalfCloses(), Closes()),
        ),
        ("half-close amid a preface", "likewise", (PREFACE[:9], _HalfCloses(), Closes())),
        ("half-close amid a call", "nobody will read the answer", (call(1), _HalfCloses(), Closes())),
        (
            "abort amid a call",
            "nothing is left of it",
            (call(1, WATCH_PATH) + data(1, message(), END_STREAM), _Aborts()),
        ),
        ("abort amid a frame", "nothing is left of it", (frame(Kind.HEADERS, 0, 1, b"\x82", length=99), _Aborts())),
        (
            "abort with answers under way",
            "nothing is left of them",
            (b"".join(check(s) for s in range(1, 2001, 2)), _Aborts()),
        ),
    ]
]


def _error(what: str, why: str, code: Code, *steps: bytes) -> Attack:
    return attack(what, why, *steps, Fails(code), counter=f"connection_error.{code.name}")


_RULES = [
    _error("stream ids: even", "those are the server's", Code.PROTOCOL_ERROR, get(2)),
    _error("stream ids: falling", "they only rise", Code.PROTOCOL_ERROR, get(HIGHEST_STREAM) + get(1)),
    _error("stream ids: zero", "that is the connection", Code.PROTOCOL_ERROR, get(0)),
    _error(
        "a frame too large", "it is refused by its head", Code.FRAME_SIZE_ERROR, frame(Kind.DATA, 0, 1, length=0xFFFFFF)
    ),
    _error(
        "SETTINGS too large",
        "it is refused by its head",
        Code.FRAME_SIZE_ERROR,
        frame(Kind.SETTINGS, 0, 0, length=0xFFFFFA),
    ),
    _error(
        "a window over the maximum", "RFC 9113 section 6.9.1", Code.FLOW_CONTROL_ERROR, window_update(0, 2**31 - 1) * 2
    ),
    attack(
        "more than the connection's window",
        "memory is bounded by it",
        b"".join(call(stream) + data(stream, message(bytes(16_000), length=20_000)) for stream in range(1, 41, 2)),
        Fails(Code.FLOW_CONTROL_ERROR),
        limits=Http2Limits(stream_window=DEFAULT_WINDOW, connection_window=DEFAULT_WINDOW),
        counter="connection_error.FLOW_CONTROL_ERROR",
    ),
    attack(
        "RST_STREAM after the end",
        "it may have been under way",
        check(1),
        Ends(),
        rst_stream(1) + check(3),
        Answers(stream=3),
    ),
    *(
        attack(
            f"{what} after the end",
            "RFC 9113 section 5.1: both have closed the stream",
            check(1),
            Ends(),
            content,
            Fails(Code.STREAM_CLOSED),
            counter="connection_error.STREAM_CLOSED",
        )
        for what, content in [("DATA", data(1, b"late")), ("HEADERS", check(1))]
    ),
    attack(
        "many large messages, none of them whole",
        "a message that is larger than a window gets more of it, but not all do",
        b"".join(call(stream) + data(stream, message(b"x" * 16_000, length=100_000)) for stream in range(1, 41, 2)),
        Answers(8, stream=39),
        check(41),
        Answers(stream=41),
        limits=Http2Limits(stream_window=DEFAULT_WINDOW, large_message_bytes=200_000),
        counter="limit.message_bytes",
    ),
    attack(
        "answers behind a window that is shut",
        "memory is bounded by what may wait",
        settings((Setting.INITIAL_WINDOW_SIZE, 0)) + b"".join(check(stream) for stream in range(1, 1001, 2)),
        Fails(Code.ENHANCE_YOUR_CALM),
        limits=Http2Limits(queued_bytes=1000, headers_timeout=4 * _SOON),  # the shortest time is how often it looks
        counter="limit.queued_bytes",
    ),
    attack(
        "a message over the limit",
        "the stream fails, and the connection goes on",
        call(1) + data(1, message(b"x" * 100, length=2**31)),
        Answers(8),
        check(3),
        Answers(stream=3),
        counter="limit.message_bytes",
    ),
]

ATTACKS = [*_PREFACES, *_SLOW, *_HANGS_UP, *_RULES]
