"""What must never go out in a header: RFC 9110 syntax, framing, hop-by-hop, and what Envoy silently drops.

Envoy's ext_proc refuses only CR, LF, NUL and illegal name characters, and with a 500 even when it is told to fail open.
Framing headers, a path with a space and an empty name it sends as they are, which is request smuggling. So the rules
stand here, and an illegal edit fails in the filter that made it.
"""

from __future__ import annotations

import re
import sys
from dataclasses import dataclass
from functools import lru_cache
from itertools import chain
from typing import TYPE_CHECKING

from extproc.errors import HeaderError, LimitError

if TYPE_CHECKING:
    from extproc.messages import RawHeaders

__all__ = [
    "FRAMING",
    "MAX_NAME",
    "Limits",
    "check_authority",
    "check_method",
    "check_name",
    "check_path",
    "check_value",
]

FRAMING = frozenset(
    {
        "connection",
        "content-length",
        "http2-settings",
        "keep-alive",
        "proxy-authenticate",
        "proxy-authorization",
        "proxy-connection",
        "te",
        "trailer",
        "transfer-encoding",
        "upgrade",
    }
)
"""Headers that belong to a connection or frame a message (RFC 9110 section 7.6.1): Envoy owns them."""

_TOKEN = re.compile(r"[!#$%&'*+\-.^_`|~0-9a-z]+")  # RFC 9110 section 5.6.2, lower-case as HTTP/2 wants it
_METHOD = re.compile(r"[!#$%&'*+\-.^_`|~0-9A-Za-z]+")
_BAD_VALUE = re.compile(rb"[\x00-\x08\x0a-\x1f\x7f]")  # RFC 9110 section 5.5: controls, all but HTAB
_PATH = re.compile(rb"/[\x21\x22\x24-\x7e]*")  # visible ASCII without "#"; RFC 3986 leaves the rest to percent-encoding
_AUTHORITY = re.compile(rb"[A-Za-z0-9\-._~%!$&'()*+,;=:\[\]]+")  # RFC 3986 section 3.2, without userinfo
MAX_NAME = 256
"""Characters that the name of a header may have."""
_ADDED_BY_ENVOY = 10
_BYTES_ADDED_BY_ENVOY = 2048


@dataclass(frozen=True, slots=True)
class Limits:
    """How much Envoy's HTTP connection manager takes; over it, Envoy answers 500 even when told to fail open."""

    header_count: int = 100
    """``common_http_protocol_options.max_headers_count``, pseudo-headers included."""
    header_bytes: int = 60 * 1024
    """Names and values together, in bytes: ``max_request_headers_kb``, or for responses ``max_response_headers_kb``."""

    def check(self, headers: RawHeaders, before: RawHeaders, at_most: int = sys.maxsize) -> None:
        """Refuses edited headers over a limit.

        What came over a limit may be Envoy's own doing: it adds a few headers after it has counted the client's, and
        then fails at any edit. What came far over it came from an Envoy with a larger limit, and may stay, but not
        grow.

        Args:
            headers: as they are now.
            before: as they were.
            at_most: more bytes than `headers` take, where that is known; spares counting them.

        Raises:
            LimitError: the headers are too many or too large for an edit.
        """
        if len(headers) > self.header_count:
            received = len(before)
            if received <= self.header_count + _ADDED_BY_ENVOY or len(headers) > received:
                raise LimitError("the number of headers", len(headers), self.header_count)
        if at_most <= self.header_bytes:
            return
        size = header_bytes(headers)
        if size > self.header_bytes:
            received = header_bytes(before)
            if received <= self.header_bytes + _BYTES_ADDED_BY_ENVOY or size > received:
                raise LimitError("the size of the headers in bytes", size, self.header_bytes)


def header_bytes(headers: RawHeaders) -> int:
    """Size of headers as Envoy counts it: names and values, in bytes."""
    return sum(map(len, chain.from_iterable(headers)))


@lru_cache(maxsize=1024)  # filters use the same few names over and over
def check_name(name: str, *, removing: bool = False) -> str:
    """The name in lower case, when a filter may set (or remove) a header of that name.

    Raises:
        HeaderError: it may not.
    """
    lower = name.lower()
    if lower.startswith(":"):
        raise HeaderError(name, "is a pseudo-header: use request.method, .scheme, .host, .path or response.status")
    if lower == "host":
        raise HeaderError(name, "is kept as the authority: use request.host")
    if not _TOKEN.fullmatch(lower) or len(lower) > MAX_NAME:
        raise HeaderError(name, f"is no legal name: a token of RFC 9110, at most {MAX_NAME} characters")
    if lower in FRAMING and not (removing and lower.startswith("proxy-")):
        raise HeaderError(name, "frames the message or belongs to a connection: Envoy sets it, a filter may not")
    return lower


def check_value(name: str, value: str | bytes) -> bytes:
    """The value as bytes, without white space around it (RFC 9110 section 5.5: that is not part of it).

    Raises:
        HeaderError: it holds a control character; CR, LF or NUL would be header injection.
        TypeError: it is neither text nor bytes.
    """
    if isinstance(value, str):
        if value.isprintable():
            return value.encode().strip()
        value = value.encode("utf-8", "surrogateescape")
    elif not isinstance(value, bytes):  # pyright: ignore[reportUnnecessaryIsInstance] (filters need not be typed)
        raise TypeError(f"header {name!r} takes str or bytes, not {type(value).__name__}")
    raw = value.strip(b" \t")
    if bad := _BAD_VALUE.search(raw):
        # Not the value itself: it may be a secret, and this goes into logs and captures.
        raise HeaderError(name, f"has the control character {bad[0]!r} in its value: remove or encode it")
    return raw


def check_path(path: str) -> bytes:
    """A ``:path``: origin form, or ``*`` for OPTIONS (RFC 9112 section 3.2).

    Raises:
        HeaderError: it would break the request line or reach the upstream as something else.
    """
    raw = path.encode("utf-8", "surrogateescape")
    if raw != b"*" and not _PATH.fullmatch(raw):
        raise HeaderError(
            ":path", f"cannot be {path[:80]!r}: begin with '/', percent-encode (urllib.parse.quote), leave out '#...'"
        )
    return raw


def check_authority(host: str) -> bytes:
    """An ``:authority``: host and optional port.

    Raises:
        HeaderError: it is empty or holds a character that no host has.
    """
    raw = host.encode("utf-8", "surrogateescape")
    if not _AUTHORITY.fullmatch(raw):
        raise HeaderError(":authority", f"cannot be {host[:80]!r}: it is a host, or host:port")
    return raw


def check_method(method: str) -> bytes:
    """A ``:method``.

    Raises:
        HeaderError: it is no token, or CONNECT, which would turn the request into a tunnel.
    """
    if not _METHOD.fullmatch(method) or method.upper() == "CONNECT":
        raise HeaderError(":method", f"cannot be {method[:80]!r}: it is a token such as GET, and not CONNECT")
    return method.encode()
