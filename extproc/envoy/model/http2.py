"""What a peer reads off an HTTP/2 connection on which Envoy has sent a message."""

from __future__ import annotations

from typing import TYPE_CHECKING

from extproc.envoy.model.values import HttpMessage

if TYPE_CHECKING:
    from extproc.messages import RawHeaders

__all__ = ["over_http2"]

_CONNECTION = ("connection", "keep-alive", "proxy-connection", "transfer-encoding", "upgrade")
"""Headers of HTTP/1.1 connections, which HTTP/2 has no place for."""
_REQUEST_LINE = (":authority", ":method", ":path", ":scheme")


def over_http2(message: HttpMessage, answering: HttpMessage | None = None) -> HttpMessage:
    """The message as the other end reads it out of the frames: a content-length is a header among others.

    Args:
        message: what left the filter.
        answering: the request to which it is the response; None: it is a request itself.
    """
    bodiless = answering is not None and answering.get(":method") == b"HEAD"
    body, trailers = message.body, message.trailers or None
    return HttpMessage(
        _sent(message.headers, response=answering is not None),
        () if bodiless or not body else (body,),
        None if bodiless else trailers,
    )


def _sent(headers: RawHeaders, *, response: bool) -> RawHeaders:
    line = (":status",) if response else _REQUEST_LINE
    sent: RawHeaders = []
    for name, value in headers:
        if name.startswith(":"):
            sent += [(name, b"%d" % int(value) if response else value)] if name in line else []
        elif name not in _CONNECTION:
            sent.append((name, value))
    return sent
