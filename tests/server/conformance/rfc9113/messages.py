"""RFC 9113 section 8: what a request may look like."""

from __future__ import annotations

from tests.server.conformance.script import Alive, Answers, Case, Resets, Responds, case
from tests.server.raw.frames import END_HEADERS, END_STREAM, Code, block, data, headers, literals
from tests.server.raw.requests import CHECK_PATH, FieldList, call, call_fields, get, message, plain_fields, post

_MALFORMED = Resets(Code.PROTOCOL_ERROR)
_ASK = data(1, message(), END_STREAM)


def _bad(what: str, rule: str, *fields: tuple[str | bytes, str | bytes]) -> Case:
    """A request that would be fine but for these fields."""
    return case(what, rule, headers(1, literals([*plain_fields(), *fields])), _MALFORMED)


def _fine(what: str, rule: str, *fields: tuple[str | bytes, str | bytes]) -> Case:
    """A call with these fields is answered."""
    return case(what, rule, headers(1, literals(call_fields(CHECK_PATH, *fields)), END_HEADERS) + _ASK, Answers())


def _whole(what: str, rule: str, fields: FieldList) -> Case:
    return case(what, rule, headers(1, literals(fields)), _MALFORMED)


_EXCHANGE = [
    case(
        "trailers",
        "8.1: a request may end with trailers",
        call(1, CHECK_PATH) + data(1, message()) + headers(1, block([("x-a", "b")])),
        Answers(),
    ),
    case("trailers without a body", "8.1", post(1) + headers(1, block([("x-a", "b")])), Responds()),
    case("empty trailers", "8.1: a block may be empty", post(1) + headers(1, b""), Responds()),
    case("trailers that do not end", "8.1", post(1) + headers(1, block([("x-a", "b")]), END_HEADERS), _MALFORMED),
    case("trailers with upper case", "8.1, 8.2.1", post(1) + headers(1, literals([("X-A", "b")])), _MALFORMED),
    case(
        "trailers of the connection",
        "8.1, 8.2.2",
        post(1) + headers(1, literals([("connection", "close")])),
        _MALFORMED,
    ),
]

_NAMES = "8.2.1: a name has no character of 0x00-0x20, 0x41-0x5a, 0x7f-0xff, and no colon"
_VALUES = "8.2.1: a value has no NUL, LF or CR, and no blank at its ends"

_FIELDS = [
    *(
        _bad(f"a name with 0x{byte:02x}", _NAMES, (b"x-" + bytes([byte]), "b"))
        for byte in b"\x00\x09\x0a\x0d\x1f AZ\x7f\x80\xff"
    ),
    _bad("a name with a colon", _NAMES, ("x:a", "b")),
    _bad("an empty name", "8.2.1: a name is a token of RFC 9110, of one character at the least", ("", "b")),
    *(_bad(f"a value with 0x{byte:02x}", _VALUES, ("x-a", b"a" + bytes([byte]) + b"b")) for byte in b"\x00\x0a\x0d"),
    *(
        _bad(f"a value with a blank at its {end}", _VALUES, ("x-a", value))
        for end, value in [("beginning", " b"), ("end", "b "), ("beginning, a tab", "\tb"), ("end, a tab", "b\t")]
    ),
    _fine("a value with blanks within", "8.2.1", ("x-a", "a \t b"), ("x-b", "")),
    _fine("a value of obs-text", "8.2.1: other bytes are taken as they are", ("x-a", b"\x80\xff")),
    _fine("cookies in pieces", "8.2.3: a cookie may come in several fields", ("cookie", "a=b"), ("cookie", "c=d")),
]

_CONNECTION = [
    *(
        _bad(f"of the connection: {name}", "8.2.2: fields of the connection are malformed", (name, value))
        for name, value in [
            ("connection", "close"),
            ("proxy-connection", "keep-alive"),
            ("keep-alive", "timeout=5"),
            ("transfer-encoding", "chunked"),
            ("upgrade", "websocket"),
        ]
    ),
    _bad("te: gzip", "8.2.2: te says trailers or nothing", ("te", "gzip")),
    _fine("te: trailers", "8.2.2", ("te", "trailers")),
]

_METHOD, _SCHEME, _PATH, _AUTHORITY = plain_fields()

_PSEUDO = [
    _bad("after a regular field", "8.3: pseudo-headers come first", ("x-a", "b"), (":path", "/")),
    _bad("of RFC 8441 without being asked", "8.3: unknown pseudo-headers are malformed", (":protocol", "websocket")),
    _bad("a bare colon", "8.3", (":", "b")),
    _whole("two authorities", "8.3.1: one value each", [_METHOD, _SCHEME, _PATH, _AUTHORITY, _AUTHORITY]),
    _whole("an empty method", "8.3.1: a method is a token", [(":method", ""), _SCHEME, _PATH, _AUTHORITY]),
    _whole(
        "a path without a slash",
        "8.3.1: :path begins with a slash, or is * for OPTIONS",
        [_METHOD, _SCHEME, (":path", "a"), _AUTHORITY],
    ),
    _whole("* of a GET", "8.3.1: * is for OPTIONS alone", [_METHOD, _SCHEME, (":path", "*"), _AUTHORITY]),
    _bad("another host", "8.3.1: host and :authority name one server", ("host", "elsewhere")),
    _fine("the same host", "8.3.1: host may be there as well", ("host", "127.0.0.1")),
    _whole("nothing at all", "8.3.1: pseudo-headers are required", []),
    _whole("only regular fields", "8.3.1", [("x-a", "b")]),
    case(
        "no authority",
        "8.3.1: a request may go without :authority",
        headers(1, block([field for field in call_fields(CHECK_PATH) if field[0] != ":authority"]), END_HEADERS) + _ASK,
        Answers(),
    ),
    case(
        "OPTIONS *",
        "8.3.1",
        headers(1, block([(":method", "OPTIONS"), _SCHEME, (":path", "*"), _AUTHORITY])),
        Responds(),
    ),
]

_CONNECT = [
    case(
        "CONNECT",
        "8.5: CONNECT has neither :scheme nor :path, and may be refused",
        headers(1, block([(":method", "CONNECT"), _AUTHORITY])),
        Responds(),
        Alive(),
    ),
    _whole(
        "CONNECT with a path", "8.5: such a CONNECT is malformed", [(":method", "CONNECT"), _SCHEME, _PATH, _AUTHORITY]
    ),
    _whole("CONNECT without an authority", "8.5", [(":method", "CONNECT")]),
]

_EQUAL = "8.1.1: content-length is the length of all DATA together"


def _length(what: str, declared: str, *bodies: bytes) -> Case:
    frames = [data(1, body) for body in bodies]
    return case(
        f"content-length: {what}",
        _EQUAL,
        post(1, ("content-length", declared)),
        *frames,
        data(1, b"", END_STREAM),
        _MALFORMED,
    )


_LENGTHS = [
    _length("too long", "9", b"test"),
    _length("too short, in the first frame", "3", b"test"),
    _length("too short, in a later one", "7", b"test", b"test"),
    _length("of a body that never comes", "1"),
    _length("not a number", "four", b"test"),
    _length("negative", "-4", b"test"),
    _length("with a sign", "+4", b"test"),
    _length("empty", "", b"test"),
    case("content-length: of a request that ends at once", _EQUAL, get(1, ("content-length", "1")), _MALFORMED),
    case(
        "content-length: two that differ", "8.1.1", get(1, ("content-length", "0"), ("content-length", "1")), _MALFORMED
    ),
    case(
        "content-length: too long, with trailers",
        _EQUAL,
        post(1, ("content-length", "5")) + data(1, b"test") + headers(1, block([("x-a", "b")])),
        _MALFORMED,
    ),
    case(
        "content-length: right",
        _EQUAL,
        post(1, ("content-length", "8")) + data(1, b"test") + data(1, b"test", END_STREAM),
        Responds(),
    ),
    case(
        "content-length: right, with trailers",
        _EQUAL,
        post(1, ("content-length", "4")) + data(1, b"test") + headers(1, block([("x-a", "b")])),
        Responds(),
    ),
    case(
        "content-length: padding does not count",
        _EQUAL,
        call(1, CHECK_PATH, ("content-length", "5")) + data(1, message(), END_STREAM, pad=100),
        Answers(),
    ),
]

CASES = [*_EXCHANGE, *_FIELDS, *_CONNECTION, *_PSEUDO, *_CONNECT, *_LENGTHS]
