"""gRPC over HTTP/2: what makes a call of a request, and messages of its DATA."""

from __future__ import annotations

from dataclasses import dataclass

from extproc.wire import SERVICE
from tests.server.conformance.script import Answers, Case, case
from tests.server.conftest import headers_message
from tests.server.raw.frames import END_HEADERS, END_STREAM, block, data, headers
from tests.server.raw.peer import Peer
from tests.server.raw.requests import CHECK_PATH, call, call_fields, message, plain_fields, post

_OK, _INVALID_ARGUMENT, _DEADLINE_EXCEEDED, _NOT_FOUND = 0, 3, 4, 5
_RESOURCE_EXHAUSTED, _UNIMPLEMENTED, _INTERNAL = 8, 12, 13
_REQUEST_HEADERS = message(headers_message().SerializeToString())


@dataclass(frozen=True, slots=True)
class _Says:
    """An answer with these headers and trailers, at the least."""

    headers: dict[str, str]
    trailers: dict[str, str]

    async def met(self, peer: Peer) -> None:
        answer = await peer.answer(1)
        assert self.headers.items() <= answer.headers.items(), answer
        assert self.trailers.items() <= (answer.trailers or answer.headers).items(), answer


def _http(what: str, status: int, request: bytes) -> Case:
    return case(what, "what is no gRPC call is answered in HTTP", request, _Says({":status": str(status)}, {}))


_NO_CALLS = [
    _http("no content-type", 415, post(1) + data(1, b"hello", END_STREAM)),
    _http("another content-type", 415, post(1, ("content-type", "application/json")) + data(1, b"{}", END_STREAM)),
    _http("a GET", 405, headers(1, block(plain_fields()))),
]

_CALLS = [
    case(
        "a method there is not",
        "unknown methods are UNIMPLEMENTED",
        call(1, f"/{SERVICE}/No") + data(1, message(), END_STREAM),
        Answers(_UNIMPLEMENTED),
    ),
    case(
        "a service there is not",
        "unknown services are UNIMPLEMENTED",
        call(1, "/no.Such/Check") + data(1, message(), END_STREAM),
        Answers(_UNIMPLEMENTED),
    ),
    case(
        "a path that is no method",
        "unknown methods are UNIMPLEMENTED",
        call(1, "/") + data(1, message(), END_STREAM),
        Answers(_UNIMPLEMENTED),
    ),
    case(
        "application/grpc+proto",
        "a content-type may name the encoding of messages",
        headers(1, block([*call_fields(CHECK_PATH)[:-1], ("content-type", "application/grpc+proto")]), END_HEADERS)
        + data(1, message(), END_STREAM),
        Answers(),
    ),
    case(
        "a health service there is not",
        "grpc.health.v1: Check of an unknown service is NOT_FOUND",
        call(1, CHECK_PATH) + data(1, message(b"\x0a\x02no"), END_STREAM),
        Answers(_NOT_FOUND),
    ),
    case(
        "headers and trailers",
        "a response begins with :status and content-type and ends with grpc-status",
        call(1, CHECK_PATH) + data(1, message(), END_STREAM),
        _Says({":status": "200", "content-type": "application/grpc"}, {"grpc-status": "0"}),
    ),
    case(
        "a deadline that has passed",
        "grpc-timeout: the call ends with DEADLINE_EXCEEDED",
        call(1, CHECK_PATH, ("grpc-timeout", "1n")),
        Answers(_DEADLINE_EXCEEDED),
    ),
    case(
        "a deadline far away",
        "grpc-timeout has up to eight digits",
        call(1, CHECK_PATH, ("grpc-timeout", "99999999H")) + data(1, message(), END_STREAM),
        Answers(),
    ),
]

_MESSAGES = [
    case(
        "byte by byte",
        "messages and DATA frames have nothing to do with each other",
        call(1) + b"".join(data(1, bytes([byte])) for byte in _REQUEST_HEADERS) + data(1, b"", END_STREAM),
        Answers(),
    ),
    case("no message at all", "a stream may end without one", call(1) + data(1, b"", END_STREAM), Answers()),
    case("no message, no DATA", "a stream may end without one", headers(1, block(call_fields())), Answers()),
    case(
        "half a message",
        "a stream that ends within a message is an error",
        call(1) + data(1, _REQUEST_HEADERS[:-1], END_STREAM),
        Answers(_INTERNAL),
    ),
    case(
        "half a prefix",
        "a stream that ends within a message is an error",
        call(1) + data(1, b"\0\0\0", END_STREAM),
        Answers(_INTERNAL),
    ),
    case(
        "a message that is none",
        "bytes that are no ProcessingRequest",
        call(1) + data(1, message(b"\xff\xff")),
        Answers(_INVALID_ARGUMENT),
    ),
    case(
        "a compressed message",
        "compression that is not known is UNIMPLEMENTED, with what is known",
        call(1, "/" + SERVICE + "/Process", ("grpc-encoding", "gzip")) + data(1, message(b"\x1f\x8b", compressed=1)),
        _Says({}, {"grpc-status": str(_UNIMPLEMENTED), "grpc-accept-encoding": "identity"}),
    ),
    case(
        "a compressed message without an encoding",
        "the flag without grpc-encoding is INTERNAL",
        call(1) + data(1, message(b"\x1f\x8b", compressed=1)),
        Answers(_INTERNAL),
    ),
    case(
        "a message over the limit",
        "a message too long is RESOURCE_EXHAUSTED, and is known from its prefix",
        call(1) + data(1, message(b"x", length=2**32 - 1)),
        Answers(_RESOURCE_EXHAUSTED),
    ),
]

CASES = [*_NO_CALLS, *_CALLS, *_MESSAGES]
