"""What a peer reads off an HTTP/2 connection on which Envoy has sent a message."""

from __future__ import annotations

from extproc.envoy.model.values import HttpMessage

__all__ = ["over_http2"]

_HOP_BY_HOP = ("connection", "keep-alive", "proxy-connection", "transfer-encoding", "upgrade")
"""What only HTTP/1.1 connections have. Envoy takes it out of responses; in requests it stays, which HTTP/2 forbids."""


def over_http2(message: HttpMessage) -> HttpMessage:
    """The message as the other end reads it out of the frames.

    Envoy sends the headers as they stand, a content-length or a ``:method`` of a response among them, true or not.
    """
    dropped = () if message.get(":status") is None else _HOP_BY_HOP
    headers = [item for item in message.headers if item[0] not in dropped]
    return HttpMessage(headers, (message.body,) if message.body else (), message.trailers or None)
