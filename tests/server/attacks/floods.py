"""More of something than any client has reason for."""

from __future__ import annotations

from extproc.server.native import Http2Limits, Rate
from tests.server.attacks.attack import Attack, attack, only
from tests.server.conformance.script import Fails
from tests.server.raw.frames import (
    END_HEADERS,
    END_STREAM,
    Code,
    Kind,
    Setting,
    block,
    continuation,
    data,
    frame,
    goaway,
    headers,
    integer,
    literal,
    literals,
    ping,
    priority,
    rst_stream,
    settings,
    window_update,
)
from tests.server.raw.requests import WATCH_PATH, call, get, plain_fields, post

_FEW = Rate(burst=100, per_second=0)
_MANY = 1000
_CALM = Fails(Code.ENHANCE_YOUR_CALM)
_GET = block(plain_fields())


def _odd(count: int) -> range:
    return range(1, 2 * count, 2)


def _resetting(what: str, *contents: bytes, why: str) -> Attack:
    return attack(
        f"rapid reset: {what}", why, b"".join(contents), _CALM, limits=Http2Limits(resets=_FEW), counter="limit.resets"
    )


_RAPID_RESET = [
    _resetting(
        "calls",
        *(call(stream) + rst_stream(stream) for stream in _odd(_MANY)),
        why="CVE-2023-44487: a stream costs the client nothing, and the server a call",
    ),
    _resetting(
        "by the server, for a window of nothing",
        *(call(stream) + window_update(stream, 0) for stream in _odd(_MANY)),
        why="CVE-2025-8671: the client gets the server to reset",
    ),
    _resetting(
        "by the server, for malformed requests", *(headers(stream, b"") for stream in _odd(_MANY)), why="CVE-2025-8671"
    ),
    _resetting(
        "by the server, for a content-length",
        *(post(stream, ("content-length", "1")) + data(stream, b"", END_STREAM) for stream in _odd(_MANY)),
        why="CVE-2025-8671",
    ),
    attack(
        "rapid reset: streams over the limit",
        "a client that opens more streams than it may is refused, and not for ever",
        b"".join(call(stream, WATCH_PATH) for stream in _odd(_MANY)),
        _CALM,
        limits=Http2Limits(streams=10, resets=_FEW),
        counter="limit.resets",
    ),
]

_HEADER_LIMIT = Http2Limits(header_bytes=16 * 1024)
_LARGE_ENTRY = literal(b"x-a", b"b" * 3900, 0x40)
_NEWEST = integer(62, 7, 0x80)

_HEADER_BLOCKS = [
    attack(
        "CONTINUATION flood",
        "CVE-2024-27316 and others: a header block without an end",
        headers(1, _GET, END_STREAM) + continuation(1, literals([("x-a", "b")])) * _MANY,
        _CALM,
        counter="limit.continuations",
    ),
    attack(
        "CONTINUATION flood, empty",
        "an empty frame is a frame",
        headers(1, _GET, END_STREAM) + continuation(1, b"") * _MANY,
        _CALM,
        counter="limit.continuations",
    ),
    attack(
        "CONTINUATION flood, large",
        "a block is bounded by its bytes as well",
        headers(1, _GET, END_STREAM) + continuation(1, literals([("x-a", "b" * 16_000)])) * 4,
        _CALM,
        limits=_HEADER_LIMIT,
        counter="limit.header_bytes",
    ),
    attack(
        "HPACK bomb",
        "CVE-2016-6581: a byte that stands for a field of four thousand",
        headers(1, _GET + _LARGE_ENTRY + _NEWEST * 10_000),
        _CALM,
        limits=_HEADER_LIMIT,
        counter="limit.header_bytes",
    ),
    attack(
        "HPACK bomb, over several blocks",
        "one block fills the table, the next refers to it",
        headers(1, _GET + _LARGE_ENTRY) + headers(3, _GET + _NEWEST * 10_000),
        _CALM,
        limits=_HEADER_LIMIT,
        counter="limit.header_bytes",
    ),
    attack(
        "HPACK bomb in trailers",
        "trailers are a field block, too",
        post(1) + headers(1, _LARGE_ENTRY + _NEWEST * 10_000),
        _CALM,
        limits=_HEADER_LIMIT,
        counter="limit.header_bytes",
    ),
    attack(
        "many tiny fields",
        "a field counts for 32 bytes at the least, RFC 9113 section 6.5.2",
        headers(1, _GET + literal(b"a", b"") * 4000),
        _CALM,
        limits=_HEADER_LIMIT,
        counter="limit.header_bytes",
    ),
    attack(
        "many tiny fields from the table",
        "an index is one byte",
        headers(1, _GET + literal(b"a", b"", 0x40) + _NEWEST * 16_000),
        _CALM,
        limits=_HEADER_LIMIT,
        counter="limit.header_bytes",
    ),
    attack(
        "a huge table",
        "the peer may have no more memory than it was given",
        headers(1, integer(2**31, 5, 0x20) + _GET),
        Fails(Code.COMPRESSION_ERROR),
        counter="connection_error.COMPRESSION_ERROR",
    ),
]


def _flood(what: str, why: str, limit: str, *contents: bytes) -> Attack:
    return attack(
        f"{what} flood",
        why,
        b"".join(contents),
        _CALM,
        limits=only(limit, _FEW),
        counter=f"limit.{limit}",
    )


_CONTROL = [
    _flood("SETTINGS", "CVE-2019-9515: each wants an acknowledgement", "settings", settings() * _MANY),
    _flood(
        "SETTINGS, large",
        "a window that changes is changed in every stream",
        "settings",
        settings((Setting.INITIAL_WINDOW_SIZE, 1), (Setting.INITIAL_WINDOW_SIZE, 2)) * _MANY,
    ),
    _flood("PING", "CVE-2019-9512: each wants an answer", "pings", ping() * _MANY),
    _flood(
        "PING, with much more behind it", "who floods is told why, however much is unread", "pings", ping() * 100_000
    ),
    _flood("PRIORITY", "CVE-2019-9513: they did cost a lot once", "priorities", *(priority(s) for s in _odd(_MANY))),
    _flood("WINDOW_UPDATE", "each costs more to read than to send", "window_updates", window_update(0, 1) * _MANY),
    _flood("WINDOW_UPDATE of a stream", "likewise", "window_updates", call(1) + window_update(1, 1) * _MANY),
    _flood(
        "empty DATA",
        "CVE-2019-9518: flow control does not hold it back",
        "empty_frames",
        call(1) + data(1, b"") * _MANY,
    ),
    _flood("padding", "padding is nothing either", "empty_frames", call(1) + data(1, b"", pad=9) * _MANY),
    _flood("unknown frame", "what is ignored costs as well", "empty_frames", frame(Kind.UNKNOWN, 0, 0, b"?") * _MANY),
    _flood("GOAWAY", "one is enough", "empty_frames", goaway() * _MANY),
    _flood("late DATA", "likewise", "late_frames", headers(1, b"", END_HEADERS) + data(1, b"x") * _MANY),
    _flood("late RST_STREAM", "what is ignored costs as well", "late_frames", get(1) + rst_stream(1) * _MANY),
]

ATTACKS = [*_RAPID_RESET, *_HEADER_BLOCKS, *_CONTROL]
