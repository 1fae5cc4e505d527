"""Group `http2/8`: requests."""

from __future__ import annotations

from tests.server.conformance.script import Case, Fails, Resets, case
from tests.server.raw.frames import END_HEADERS, END_STREAM, Code, Kind, block, data, frame, headers
from tests.server.raw.requests import FieldList, get, plain_fields, post

_METHOD, _SCHEME, _PATH, _AUTHORITY = plain_fields()
_MALFORMED = Resets(Code.PROTOCOL_ERROR)
_BEGUN = post(1) + data(1, b"test")


def _malformed(number: str, rule: str, fields: FieldList) -> Case:
    return case(f"http2/{number}", rule, headers(1, block(fields)), _MALFORMED)


_EXCHANGE = [
    case(
        "http2/8.1/1",
        "8.1: a second HEADERS frame ends the stream",
        _BEGUN + headers(1, block([("x-test", "ok")]), END_HEADERS),
        _MALFORMED,
    ),
    case("http2/8.1.2/1", "8.2.1: names are lower case", get(1, ("X-TEST", "ok")), _MALFORMED),
]

_PSEUDO_HEADERS = [
    case("http2/8.1.2.1/1", "8.3: no unknown pseudo-header", get(1, (":test", "ok")), _MALFORMED),
    case("http2/8.1.2.1/2", "8.3: no pseudo-header of responses", get(1, (":status", "200")), _MALFORMED),
    case(
        "http2/8.1.2.1/3",
        "8.3: no pseudo-header in trailers",
        _BEGUN + headers(1, block([(":method", "POST")]), END_HEADERS),
        _MALFORMED,
    ),
    _malformed("8.1.2.1/4", "8.3: pseudo-headers come first", [("x-test", "ok"), *plain_fields()]),
]

_CONNECTION_HEADERS = [
    case("http2/8.1.2.2/1", "8.2.2: no header of the connection", get(1, ("connection", "keep-alive")), _MALFORMED),
    case(
        "http2/8.1.2.2/2",
        "8.2.2: te says trailers and nothing else",
        get(1, ("trailers", "test"), ("te", "trailers, deflate")),
        _MALFORMED,
    ),
]

_REQUIRED = [
    _malformed("8.1.2.3/1", "8.3.1: :path is not empty", [_METHOD, _SCHEME, (":path", ""), _AUTHORITY]),
    _malformed("8.1.2.3/2", "8.3.1: :method must be there", [_PATH, _AUTHORITY]),
    _malformed("8.1.2.3/3", "8.3.1: :scheme must be there", [_METHOD, _PATH, _AUTHORITY]),
    _malformed("8.1.2.3/4", "8.3.1: :path must be there", [_METHOD, _SCHEME, _AUTHORITY]),
    _malformed("8.1.2.3/5", "8.3.1: one :method", [*plain_fields(), _METHOD]),
    _malformed("8.1.2.3/6", "8.3.1: one :scheme", [*plain_fields(), _SCHEME]),
    _malformed("8.1.2.3/7", "8.3.1: one :path", [*plain_fields(), _PATH]),
]

_LENGTHS = [
    case(
        "http2/8.1.2.6/1",
        "8.1.1: content-length is the length of DATA",
        post(1, ("content-length", "1")) + data(1, b"test", END_STREAM),
        _MALFORMED,
    ),
    case(
        "http2/8.1.2.6/2",
        "8.1.1: content-length is the length of all DATA together",
        post(1, ("content-length", "1")) + data(1, b"test") + data(1, b"test", END_STREAM),
        _MALFORMED,
    ),
]

_PUSH = [
    case(
        "http2/8.2/1",
        "8.4: a client cannot push",
        frame(Kind.PUSH_PROMISE, END_HEADERS, 1, (3).to_bytes(4) + block(plain_fields())),
        Fails(Code.PROTOCOL_ERROR),
    ),
]

CASES = [*_EXCHANGE, *_PSEUDO_HEADERS, *_CONNECTION_HEADERS, *_REQUIRED, *_LENGTHS, *_PUSH]
