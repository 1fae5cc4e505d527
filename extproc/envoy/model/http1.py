"""What a peer reads off an HTTP/1.1 connection on which Envoy has sent a message."""

from __future__ import annotations

from typing import TYPE_CHECKING

from extproc.envoy.model.values import HttpMessage

if TYPE_CHECKING:
    from extproc.messages import RawHeaders

__all__ = ["over_http1", "switches"]

_BODILESS_METHODS = (b"GET", b"HEAD", b"DELETE", b"TRACE", b"CONNECT")
_BODILESS_STATUSES = (b"204", b"304")
_SWITCHING = b"101"
_REQUEST_LINE = (":authority", ":method", ":path")
_STATUS_LINE = (":status",)
_HOP_BY_HOP = ("connection", "keep-alive", "proxy-connection", "transfer-encoding")


def over_http1(message: HttpMessage, answering: HttpMessage | None = None) -> HttpMessage:
    """The message as the other end's parser gives it out.

    Envoy sends a content-length as it stands in the headers, true or not, and no trailers with it; without one it
    sends chunks. What a content-length does not cover, the peer takes for the beginning of the next message.

    Args:
        message: what left the filter.
        answering: the request to which it is the response; None: it is a request itself.
    """
    to_head = answering is not None and answering.get(":method") == b"HEAD"
    status = None if answering is None else message.get(":status")
    if switches(message):
        return HttpMessage(_sent(message.headers, response=answering is not None, switching=True), message.chunks)
    headers = _sent(message.headers, response=answering is not None)
    body, trailers = message.body, message.trailers or None
    length = message.get("content-length")
    if length is None:
        headers += _framing(message, status, to_head=to_head)
    else:
        trailers = None
        body = body[: int(length)] if length.isdigit() else body
    if to_head or status in _BODILESS_STATUSES:
        body, trailers = b"", None
    return HttpMessage(headers, (body,) if body else (), trailers)


def switches(message: HttpMessage) -> bool:
    """Whether another protocol is asked for, or agreed to: what follows the headers is none of HTTP's bodies."""
    asked = b"upgrade" in (message.get("connection") or b"").lower() and message.get("upgrade") is not None
    return asked and message.get(":status") in (None, _SWITCHING)


def _sent(headers: RawHeaders, *, response: bool, switching: bool = False) -> RawHeaders:
    """Without pseudo-headers that have no place here; responses lose what concerns the connection to the upstream."""
    line = _STATUS_LINE if response else _REQUEST_LINE
    dropped = _HOP_BY_HOP if response and not switching else ()
    sent: RawHeaders = []
    for name, value in headers:
        if name == ":authority" and response:
            sent.append(("host", value))
        elif name.startswith(":"):
            sent += [(name, b"%d" % int(value) if response else value)] if name in line else []
        elif name not in dropped:
            sent.append((name, value))
    return sent


def _framing(message: HttpMessage, status: bytes | None, *, to_head: bool) -> RawHeaders:
    """What Envoy adds to a message without a content-length."""
    if status in _BODILESS_STATUSES:
        return []
    if to_head or not message.ends_with_headers:
        return [("transfer-encoding", b"chunked")]
    if status is None and message.get(":method") in _BODILESS_METHODS:
        return []
    return [("content-length", b"0")]
