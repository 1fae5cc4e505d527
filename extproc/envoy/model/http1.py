"""What a peer reads off an HTTP/1.1 connection on which Envoy has sent a message."""

from __future__ import annotations

from typing import TYPE_CHECKING

from extproc.envoy.model.values import HttpMessage

if TYPE_CHECKING:
    from extproc.messages import RawHeaders

__all__ = ["over_http1"]

_BODILESS_METHODS = (b"GET", b"HEAD", b"DELETE", b"TRACE", b"CONNECT")
_BODILESS_STATUSES = (b"204", b"304")
_REQUEST_LINE = (":authority", ":method", ":path")
_STATUS_LINE = (":authority", ":status")
_HOP_BY_HOP = ("connection", "keep-alive", "proxy-connection", "transfer-encoding")


def over_http1(message: HttpMessage, *, to_head: bool = False) -> HttpMessage:
    """The message as the other end's parser gives it out.

    Envoy sends a content-length as it stands in the headers, true or not, and no trailers with it; without one it
    sends chunks. What a content-length does not cover, the peer takes for the beginning of the next message.

    Args:
        message: what left the filter.
        to_head: it answers a HEAD request.
    """
    response = message.get(":status")
    headers = _sent(message.headers, response=response is not None)
    body, trailers = message.body, message.trailers or None
    length = message.get("content-length")
    if length is None:
        headers += _framing(message, response, to_head=to_head)
    else:
        trailers = None
        body = body[: int(length)] if length.isdigit() else body
    if to_head or response in _BODILESS_STATUSES:
        body, trailers = b"", None
    return HttpMessage(headers, (body,) if body else (), trailers)


def _sent(headers: RawHeaders, *, response: bool) -> RawHeaders:
    """Without pseudo-headers that have no place here; responses lose what concerns the connection to the upstream."""
    line, dropped = (_STATUS_LINE, _HOP_BY_HOP) if response else (_REQUEST_LINE, ())
    return [
        (name, b"%d" % int(value) if name == ":status" else value)
        for name, value in headers
        if (name in line if name.startswith(":") else name not in dropped)
    ]


def _framing(message: HttpMessage, response: bytes | None, *, to_head: bool) -> RawHeaders:
    """What Envoy adds to a message without a content-length."""
    if response in _BODILESS_STATUSES:
        return []
    if to_head or not message.ends_with_headers:
        return [("transfer-encoding", b"chunked")]
    if response is None and message.get(":method") in _BODILESS_METHODS:
        return []
    return [("content-length", b"0")]
