"""What content a message may carry (RFC 9110 section 6.4.1), whatever filters make of it."""

from __future__ import annotations

# What filters see (headers, http) and this are one unit: their underscore means "not for filters".
# pyright: reportPrivateUsage=false
from typing import TYPE_CHECKING

from extproc.answers import without_length
from extproc.http import Response

if TYPE_CHECKING:
    from extproc.exchange import Exchange
    from extproc.http import Request
    from extproc.lane import Stage
    from extproc.messages import RawHeaders

__all__ = ["has_no_content", "is_bodiless", "is_whole", "new_body"]

_NO_CONTENT = (b"204", b"304")


def has_no_content(exchange: Exchange, headers: RawHeaders) -> bool:
    """Whether a response with these headers carries no content."""
    return _status(headers) in _NO_CONTENT or exchange.request.method == "HEAD"


def is_bodiless(exchange: Exchange, side: Request | Response) -> bool:
    """Whether this half of an exchange carries none."""
    return isinstance(side, Response) and has_no_content(exchange, side._headers._items)


def is_whole(headers: RawHeaders, body: bytes) -> bool:
    """Whether nothing can follow these bytes: Envoy breaks off a message that is longer than its content-length."""
    return [value for name, value in headers if name == "content-length"] == [b"%d" % len(body)]


def new_body(exchange: Exchange, stage: Stage) -> bytes | None:
    """What has to take the place of the body that Envoy has; None: nothing."""
    side, had = stage.side, stage.body
    if side._body is had and side._headers._items is stage.headers:
        return None
    if isinstance(side, Response) and (side._body != had or _status(stage.headers) != _status(side._headers._items)):
        was_bodiless = has_no_content(exchange, stage.headers)
        is_bodiless = has_no_content(exchange, side._headers._items)
        if had == b"" and not exchange.request.method:
            was_bodiless = is_bodiless = True  # Envoy's own answer to we do not know what: it may have been HEAD
        if is_bodiless and was_bodiless:
            side._body = had
        elif is_bodiless:
            # Envoy would send the body all the same, and the client would take it for the next response.
            side._body = b""
            without_length(side._headers)
        elif was_bodiless:
            return side._body  # even an empty one: it makes Envoy forget a length that announces more
    return None if side._body == had else side._body


def _status(headers: RawHeaders) -> bytes:
    for name, value in headers:
        if name == ":status":
            return value
    return b""
