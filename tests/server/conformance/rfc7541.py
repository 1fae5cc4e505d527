"""RFC 7541: header blocks, told apart by whether the call that they describe is understood."""

from __future__ import annotations

import hpack

from tests.server.conformance.script import Acknowledged, Answers, Case, Fails, case
from tests.server.raw.frames import (
    END_HEADERS,
    END_STREAM,
    Code,
    Kind,
    Setting,
    block,
    data,
    headers,
    integer,
    literal,
    literals,
    settings,
)
from tests.server.raw.peer import Peer
from tests.server.raw.requests import CHECK_PATH, call_fields, check, message, plain_fields

_METHOD, _SCHEME, _PATH, _AUTHORITY, *_REST = call_fields(CHECK_PATH)
_BEFORE, _AFTER = literals([_METHOD, _SCHEME, _AUTHORITY]), literals(_REST)
_VALUE = integer(len(CHECK_PATH), 7) + CHECK_PATH.encode()
_INSERTED = literal(b":path", CHECK_PATH.encode(), 0x40)
_STATIC_PATH, _LAST_STATIC = 4, 61
_NEWEST = _LAST_STATIC + 1
_UNIMPLEMENTED = 12


def _call(stream: int, path: bytes) -> bytes:
    """A Health.Check whose path is spelt that way."""
    return headers(stream, _BEFORE + path + _AFTER, END_HEADERS) + data(stream, message(), END_STREAM)


def _field(stream: int, content: bytes) -> bytes:
    """A Health.Check with one more field, spelt that way."""
    return headers(stream, literals(call_fields(CHECK_PATH)) + content, END_HEADERS) + data(
        stream, message(), END_STREAM
    )


def _indexed(number: int) -> bytes:
    return integer(number, 7, 0x80)


def _resized(size: int) -> bytes:
    return integer(size, 5, 0x20)


def _understood(what: str, rule: str, path: bytes) -> Case:
    return case(what, rule, _call(1, path), Answers())


def _broken(what: str, rule: str, content: bytes) -> Case:
    """A decoding error, which is a connection error."""
    return case(what, rule, headers(1, block(plain_fields()) + content), Fails(Code.COMPRESSION_ERROR))


_LITERALS = [
    _understood("with incremental indexing, indexed name", "6.2.1", integer(_STATIC_PATH, 6, 0x40) + _VALUE),
    _understood("with incremental indexing, new name", "6.2.1", _INSERTED),
    _understood("without indexing, indexed name", "6.2.2", integer(_STATIC_PATH, 4) + _VALUE),
    _understood("without indexing, new name", "6.2.2", literal(b":path", CHECK_PATH.encode())),
    _understood("never indexed, indexed name", "6.2.3", integer(_STATIC_PATH, 4, 0x10) + _VALUE),
    _understood("never indexed, new name", "6.2.3", literal(b":path", CHECK_PATH.encode(), 0x10)),
    case(
        "an integer with zeros in front",
        "5.1: decoders take what is longer than it need be, within a limit",
        _field(1, b"\0\3x-a" + bytes.fromhex("7f808000") + b"b" * 127),
        Answers(),
    ),
]

_STRINGS = [
    _broken("a string that ends too early", "5.2", b"\0\3x-"),
    _broken("a value that ends too early", "5.2", b"\0\3x-a\x7f\x10b"),
    _broken("no value", "5.2", b"\0\3x-a"),
    _broken("an integer that does not end", "5.1", b"\xff"),
    _broken(
        "an integer that does not end soon", "5.1: integers over a limit are decoding errors", b"\xff" + b"\x80" * 20
    ),
    _broken("a huge length", "5.1: integers over a limit are decoding errors", b"\0\3x-a\x7f" + b"\xff" * 9 + b"\x7f"),
    _broken("a huge index", "5.1: integers over a limit are decoding errors", b"\xff" + b"\xff" * 9 + b"\x7f"),
    _broken("a Huffman string of EOS only", "5.2", b"\0\3x-a\x84" + b"\xff" * 4),
]

_TABLE = [
    case(
        "an entry serves later streams",
        "2.3.2: the newest entry has the lowest index",
        _call(1, _INSERTED) + _call(3, _indexed(_NEWEST)),
        Answers(stream=3),
    ),
    case(
        "an entry moves on",
        "2.3.2: the older an entry, the higher its index",
        _call(1, _INSERTED) + _field(3, literal(b"x-a", b"b", 0x40)),
        _call(5, _indexed(_NEWEST + 1)),
        Answers(stream=5),
    ),
    case(
        "the name of an entry",
        "6.2.1: a name may come from the dynamic table",
        _field(1, literal(b"x-a", b"b", 0x40)) + _field(3, integer(_NEWEST, 4) + b"\1c"),
        Answers(stream=3),
    ),
    case(
        "an entry in the block that adds it",
        "2.3.2: an entry is there at once",
        _field(1, literal(b"x-a", b"b", 0x40) + _indexed(_NEWEST)),
        Answers(),
    ),
    case(
        "an evicted entry",
        "4.4: older entries go when there is no room",
        _call(1, _INSERTED + literal(b"x-a", b"b" * 4000, 0x40)) + _call(3, _indexed(_NEWEST + 1)),
        Fails(Code.COMPRESSION_ERROR),
    ),
    case(
        "an entry that is larger than the table",
        "4.4: it empties the table, which is no error",
        _call(1, _INSERTED + literal(b"x-a", b"b" * 5000, 0x40)),
        Answers(),
        _call(3, _indexed(_NEWEST)),
        Fails(Code.COMPRESSION_ERROR),
    ),
    case(
        "a smaller table",
        "4.3: entries are evicted when the table shrinks",
        _call(1, _INSERTED) + headers(3, _resized(20) + literals(plain_fields())) + _call(5, _indexed(_NEWEST)),
        Fails(Code.COMPRESSION_ERROR),
    ),
    case(
        "emptied and used again",
        "6.3: a table of size 0 may grow again",
        headers(1, _resized(0) + _resized(4096) + _BEFORE + _INSERTED + _AFTER) + _call(3, _indexed(_NEWEST)),
        Answers(stream=3),
    ),
    case(
        "the same bytes after the table has grown",
        "2.3.3: what an index means changes with every entry",
        _call(1, _INSERTED) + _call(3, _indexed(_NEWEST)) + _call(5, literal(b":path", b"/no.Such/Method", 0x40)),
        _call(7, _indexed(_NEWEST)),
        Answers(_UNIMPLEMENTED, stream=7),
    ),
    case(
        "the same bytes after the table has been emptied",
        "4.3: what an index means changes with the size of the table",
        _call(1, _INSERTED) + _call(3, _indexed(_NEWEST)) + headers(5, _resized(0) + literals(plain_fields())),
        _call(7, _indexed(_NEWEST)),
        Fails(Code.COMPRESSION_ERROR),
    ),
    _broken("an empty dynamic table", "2.3.3", _indexed(_LAST_STATIC + 9)),
    _broken("a size update between fields", "4.2", _resized(64) + literal(b"x-a", b"b")),
]


class _ShrinksItsTable:
    """The next header block of the server keeps to the table size of this side, and says so first."""

    def __init__(self, size: int) -> None:
        self.size = size

    async def met(self, peer: Peer) -> None:
        frame = await peer.until(lambda frame: frame.kind == Kind.HEADERS)
        decoder = hpack.Decoder()
        decoder.max_allowed_table_size = self.size
        decoder.decode(frame.payload)


_ENCODER = [
    case(
        f"SETTINGS_HEADER_TABLE_SIZE {size}",
        "4.2: a smaller table is acknowledged by a size update at the beginning of the next block",
        settings((Setting.HEADER_TABLE_SIZE, size)),
        Acknowledged(),
        check(1),
        _ShrinksItsTable(size),
    )
    for size in (0, 100)
]

CASES = [*_LITERALS, *_STRINGS, *_TABLE, *_ENCODER]
