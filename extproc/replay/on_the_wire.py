"""HTTP messages of a capture as HTTP/1.1 on a real connection, and back."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from extproc.envoy.model import HttpMessage
from extproc.envoy.plain_http import PlainReply, PlainRequest

if TYPE_CHECKING:
    from extproc.envoy.plain_http import PlainHeaders
    from extproc.messages import RawHeaders

__all__ = ["ENVOYS_OWN", "filled", "read_reply", "read_request", "sent_reply", "sent_request", "without_envoys_own"]

ENVOYS_OWN = {
    "x-envoy-": "the connection manager sets and strips these by where a request comes from; the router reads them, "
    "removes them, and adds how long the upstream has and how long it took",
    "date": "Envoy adds the time of the response where the upstream gave none",
    "server": "Envoy puts its own name there",
    "connection": "whether this connection stays open is between the client and this Envoy",
    "keep-alive": "as `connection`",
}
"""Headers that a real Envoy adds, changes or removes by itself, by the beginning of their names, and why."""

_MOST_MADE_UP = 8 * 1024 * 1024


def filled(message: HttpMessage) -> HttpMessage:
    """The message with as many bytes as it announces, in place of a body that was not captured.

    Raises:
        ValueError: they are too many to make up.
    """
    length = message.get("content-length") or b"0"
    size = int(length) if length.isdigit() else 0
    if size > _MOST_MADE_UP:
        raise ValueError(f"the body of {size} bytes was not captured, and is too large to make up")
    return replace(message, chunks=(b"x" * size,))


def without_envoys_own(message: HttpMessage) -> HttpMessage:
    """The message without what a real Envoy adds, changes or removes by itself."""
    own = tuple(ENVOYS_OWN)
    return replace(message, headers=[item for item in message.headers if not item[0].startswith(own)])


def sent_request(message: HttpMessage) -> PlainRequest:
    """What a client sends so that `message` arrives at the filter.

    Raises:
        ValueError: it is no request that HTTP/1.1 can carry.
    """
    line = dict(message.headers)
    if not line.get(":method") or not line.get(":path") or line[":method"] == b"CONNECT":
        raise ValueError("it is no request that can be sent over HTTP/1.1")
    headers = [(name, value) for name, value in message.headers if name != "host"]
    return PlainRequest(
        method=line[":method"].decode("latin-1"),
        target=line[":path"].decode("latin-1"),
        headers=[(b"host", line.get(":authority", b"")), *_encoded(headers), *_chunked(message)],
        body=_pieces(message),
        trailers=_encoded(message.trailers or []),
    )


def sent_reply(message: HttpMessage) -> PlainReply:
    """What an upstream sends so that `message` arrives at the filter."""
    return PlainReply(
        status=int(message.get(":status") or b"200"),
        headers=[*_encoded(message.headers), *_chunked(message)],
        body=_pieces(message),
        trailers=_encoded(message.trailers or []),
    )


def read_request(request: PlainRequest) -> HttpMessage:
    """What an upstream received, with the pseudo-headers that Envoy has for it."""
    host = request.value("host") or b""
    line = [(":authority", host), (":method", request.method.encode()), (":path", request.target.encode())]
    rest = [(name.decode("latin-1").lower(), value) for name, value in request.headers]
    return _read([*line, *(item for item in rest if item[0] != "host")], request)


def read_reply(reply: PlainReply) -> HttpMessage:
    """What a client received, with the pseudo-header that Envoy has for it."""
    rest = [(name.decode("latin-1").lower(), value) for name, value in reply.headers]
    return _read([(":status", b"%d" % reply.status), *rest], reply)


def _read(headers: RawHeaders, got: PlainRequest | PlainReply) -> HttpMessage:
    trailers = [(name.decode("latin-1").lower(), value) for name, value in got.trailers]
    return HttpMessage(headers, (got.content,) if got.content else (), trailers or None)


def _encoded(headers: RawHeaders) -> PlainHeaders:
    return [(name.encode(), value) for name, value in headers if not name.startswith(":")]


def _chunked(message: HttpMessage) -> PlainHeaders:
    framed = message.ends_with_headers or any(message.get(name) for name in ("content-length", "transfer-encoding"))
    return [] if framed else [(b"transfer-encoding", b"chunked")]


def _pieces(message: HttpMessage) -> list[bytes]:
    return [chunk for chunk in message.chunks if chunk]
