"""Requests as header lists and as frames: plain HTTP ones, and gRPC calls."""

from __future__ import annotations

from extproc.wire import PROCESS, SERVICE
from tests.server.raw.frames import END_HEADERS, END_STREAM, block, data, headers

FieldList = list[tuple[str | bytes, str | bytes]]

PROCESS_PATH = f"/{SERVICE}/{PROCESS}"
CHECK_PATH = "/grpc.health.v1.Health/Check"
WATCH_PATH = "/grpc.health.v1.Health/Watch"


def plain_fields(method: str = "GET", path: str = "/") -> FieldList:
    """What a browser or curl would send at the least."""
    return [(":method", method), (":scheme", "http"), (":path", path), (":authority", "127.0.0.1")]


def get(stream: int, *more: tuple[str | bytes, str | bytes]) -> bytes:
    """A whole plain request."""
    return headers(stream, block([*plain_fields(), *more]))


def post(stream: int, *more: tuple[str | bytes, str | bytes]) -> bytes:
    """The head of a plain request whose body is still to come."""
    return headers(stream, block([*plain_fields("POST"), *more]), END_HEADERS)


def call_fields(path: str = PROCESS_PATH, *more: tuple[str | bytes, str | bytes]) -> FieldList:
    """The request headers of a gRPC call, in the order of the gRPC specification."""
    fields: FieldList = [*plain_fields("POST", path), ("te", "trailers"), ("content-type", "application/grpc")]
    return [*fields, *more]


def call(stream: int, path: str = PROCESS_PATH, *more: tuple[str | bytes, str | bytes]) -> bytes:
    """The head of a gRPC call."""
    return headers(stream, block(call_fields(path, *more)), END_HEADERS)


def message(payload: bytes = b"", *, compressed: int = 0, length: int | None = None) -> bytes:
    """A gRPC message with its five-byte prefix; `length` is what that claims, where it is a lie."""
    claimed = len(payload) if length is None else length
    return bytes([compressed]) + claimed.to_bytes(4) + payload


def check(stream: int) -> bytes:
    """A whole `Health.Check` call of the server itself."""
    return call(stream, CHECK_PATH) + data(stream, message(), END_STREAM)
