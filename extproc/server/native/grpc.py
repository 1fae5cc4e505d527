"""gRPC over HTTP/2: what a request asks for, messages in DATA frames, a status in trailers."""

from __future__ import annotations

import re
from dataclasses import dataclass
from types import MappingProxyType
from typing import TYPE_CHECKING, Final, Protocol, TypeAlias
from urllib.parse import quote_from_bytes

from extproc.grpc_codes import GRPC_CODES
from extproc.server.native.headers import encode, fault_of_request, fault_of_trailers

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from extproc.messages import AnyBytes
    from extproc.server.native.headers import Fields
    from extproc.server.native.streams import ServerStream

__all__ = [
    "MESSAGE_PREFIX_BYTES",
    "OK_TRAILERS",
    "RESPONSE_HEADERS",
    "AtOnce",
    "Call",
    "Open",
    "PlainReply",
    "Receiver",
    "call_of",
    "trailers",
]


class Receiver(Protocol):
    """Who is told what a peer says on a stream; a `Session`, for one. Its methods neither block nor raise."""

    def receive(self, data: bytes) -> None:
        """Takes one message."""
        ...

    def receive_parts(self, parts: Sequence[AnyBytes], size: int) -> None:  # noqa: ARG002 (some need not count)
        """Takes one of `size` bytes, in the parts in which it came; what it keeps of them it copies."""
        self.receive(b"".join(parts))

    def finish(self) -> None:
        """The peer has said everything."""
        ...

    def cancel(self) -> None:
        """The stream is gone."""
        ...


Open: TypeAlias = "Callable[[ServerStream], Receiver]"
"""A method of a service: a stream begins."""

AtOnce: TypeAlias = "Callable[[bytes], bytes | Open | None]"
"""The same method for a stream whose first message is here. Gives the one message that answers it, after which the
stream ends with OK. Else it may give what is to be opened in place of `Open`, and told of that message as well."""

MESSAGE_PREFIX_BYTES: Final = 5
"""Before each message: whether it is compressed, and its length."""

RESPONSE_HEADERS: Final = b"\x88\x0f\x10\x10application/grpc"
"""``:status: 200``, from the static table, and the content type, with a name from it."""

OK_TRAILERS: Final = encode([(b"grpc-status", b"0")])

_LONGEST_MESSAGE = 1024
_SAFE: Final = "".join(chr(code) for code in range(0x20, 0x7F) if code != ord("%"))
"""Everything printable but the percent sign stays as it is in a status message."""
_UNCOMPRESSED: Final = encode([(b"grpc-accept-encoding", b"identity")])
_STATUS = {name: b"%d" % number for number, name in enumerate(GRPC_CODES)}
_TIMEOUT = re.compile(rb"(\d{1,8})([HMSmun])")
_UNIT = {b"H": 3600.0, b"M": 60.0, b"S": 1.0, b"m": 1e-3, b"u": 1e-6, b"n": 1e-9}
_CONTENT_TYPE = re.compile(rb"application/grpc(\+proto)?[ \t]*(;.*)?", re.IGNORECASE)
_DIGITS = re.compile(rb"\d{1,18}")


def trailers(code: str, message: str) -> bytes:
    """The header block that ends a stream.

    Args:
        code: the name of a gRPC status.
        message: any text; it is percent-encoded, and cut when it is long.
    """
    text = quote_from_bytes(message.encode()[:_LONGEST_MESSAGE], safe=_SAFE).encode()
    block = encode([(b"grpc-status", _STATUS[code]), *([(b"grpc-message", text)] if text else [])])
    return block + _UNCOMPRESSED if code == "UNIMPLEMENTED" else block


@dataclass(frozen=True, slots=True)
class PlainReply:
    """The answer to what is no gRPC request: an HTTP status and a sentence, once the request has ended.

    Attributes:
        headers: the header block.
        body: the sentence.
    """

    headers: bytes
    body: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class Call:
    """What a header block asks for: all that there is to know when it comes again.

    Attributes:
        malformed: why it is no request; empty: it is one.
        malformed_trailers: why it is no trailers either.
        open: the method that is called; None: there is none.
        at_once: the same where the first message is here with it; None: the method has no such way, or the call a
            deadline.
        refusal: the gRPC status and message where there is none.
        plain: the answer where it is not even gRPC.
        timeout: seconds until the deadline.
        length: bytes that the body is said to have.
    """

    malformed: str = ""
    malformed_trailers: str = ""
    open: Open | None = None
    at_once: AtOnce | None = None
    refusal: tuple[str, str] = ("", "")
    plain: PlainReply | None = None
    timeout: float | None = None
    length: int | None = None


def call_of(
    fields: Fields, methods: Mapping[bytes, Open], at_once: Mapping[bytes, AtOnce] = MappingProxyType({})
) -> Call:
    """What a field list asks for.

    Args:
        fields: a request's header section, or its trailers.
        methods: by path.
        at_once: of those that have it, by path.
    """
    wrong_as_trailers = fault_of_trailers(fields)
    headers = dict(fields)
    wrong = fault_of_request(fields) or _fault_of_length(fields)
    if wrong:
        return Call(malformed=wrong, malformed_trailers=wrong_as_trailers)
    length = int(headers[b"content-length"]) if b"content-length" in headers else None
    plain = _plain(headers)
    if plain is not None:
        return Call(malformed_trailers=wrong_as_trailers, plain=plain, length=length)
    timeout, refusal = _timeout(headers.get(b"grpc-timeout"))
    method = methods.get(headers[b":path"])
    if method is None:
        refusal = ("UNIMPLEMENTED", f"no method {headers[b':path'].decode(errors='replace')}")
    elif headers.get(b"grpc-encoding", b"identity") != b"identity":
        refusal = ("UNIMPLEMENTED", "messages must not be compressed")
    return Call(
        malformed_trailers=wrong_as_trailers,
        open=None if refusal[0] else method,
        at_once=None if refusal[0] or timeout is not None else at_once.get(headers[b":path"]),
        refusal=refusal,
        timeout=timeout,
        length=length,
    )


def _fault_of_length(fields: Fields) -> str:
    lengths = {value for name, value in fields if name == b"content-length"}
    legal = len(lengths) <= 1 and all(_DIGITS.fullmatch(value) for value in lengths)
    return "" if legal else "content-length is no number"


def _timeout(value: bytes | None) -> tuple[float | None, tuple[str, str]]:
    """Seconds, and what to refuse the call with."""
    if value is None:
        return None, ("", "")
    match = _TIMEOUT.fullmatch(value)
    if match is None:
        return None, ("INVALID_ARGUMENT", "grpc-timeout is up to eight digits and one of H, M, S, m, u, n")
    return int(match[1]) * _UNIT[match[2]], ("", "")


def _plain(headers: dict[bytes, bytes]) -> PlainReply | None:
    """How to tell a peer that does not speak gRPC; the gRPC specification demands the 415."""
    method = headers[b":method"]
    if method != b"POST":
        reply = _reply(b"405", [(b"allow", b"POST")], b"This is a gRPC server: it takes POST only.\n")
        return PlainReply(reply.headers, b"") if method == b"HEAD" else reply
    if _CONTENT_TYPE.fullmatch(headers.get(b"content-type", b"")) is None:
        return _reply(b"415", [], b"This is a gRPC server: it takes application/grpc only.\n")
    return None


def _reply(status: bytes, extra: Fields, body: bytes) -> PlainReply:
    length = b"%d" % len(body)
    fields = [(b":status", status), (b"content-type", b"text/plain"), (b"content-length", length), *extra]
    return PlainReply(encode(fields), body)
