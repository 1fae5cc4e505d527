"""`Fields`: headers or trailers as Envoy keeps them. Order is part of what it keeps."""

from __future__ import annotations

from enum import Enum
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from extproc.guard import Limits
    from extproc.messages import RawHeaders

__all__ = ["Fields", "Kind"]


class Kind(Enum):
    """What fields belong to; each kind has its own single-valued ("inline") names."""

    REQUEST = "request"
    RESPONSE = "response"
    REQUEST_TRAILERS = "request trailers"
    RESPONSE_TRAILERS = "response trailers"


class Fields:
    """A list of fields with Envoy's own idea of setting, appending and removing."""

    def __init__(self, kind: Kind, items: RawHeaders) -> None:
        """Takes a copy of `items`."""
        self._kind = kind
        self._inline = _INLINE[kind]
        self.items: RawHeaders = list(items)

    def __contains__(self, name: str) -> bool:
        """Whether there is a field of that name."""
        return self.get(name) is not None

    def get(self, name: str) -> bytes | None:
        """The first value; None when there is none."""
        key = self._key(name)
        return next((value for item, value in self.items if item == key), None)

    def remove(self, name: str) -> None:
        """Removes every occurrence."""
        key = self._key(name)
        self.items = [item for item in self.items if item[0] != key]

    def set(self, name: str, value: bytes) -> None:
        """Removes every occurrence and adds one, at the end."""
        self.remove(name)
        self._add(self._key(name), value)

    def append(self, name: str, value: bytes) -> None:
        """Adds an occurrence at the end; a single-valued field is joined with a comma, where it stands."""
        key = self._key(name)
        if key in self._inline:
            for index, (item, old) in enumerate(self.items):
                if item == key:
                    self.items[index] = (key, b",".join(part for part in (old, value) if part))
                    return
        self._add(key, value)

    def put(self, name: str, value: bytes) -> None:
        """Sets a single-valued field where it stands, as Envoy does with its own ones; else at the end."""
        for index, (item, _) in enumerate(self.items):
            if item == name:
                self.items[index] = (name, value)
                return
        self._add(name, value)

    def exceed(self, limits: Limits) -> bool:
        """Whether they are too many or too large; pseudo-headers count, and of sizes only names and values."""
        size = sum(len(name) + len(value) for name, value in self.items)
        return len(self.items) > limits.header_count or size > limits.header_bytes

    def _key(self, name: str) -> str:
        """The name to which `name` comes down: in a request, host is the authority."""
        return ":authority" if name == "host" and self._kind is Kind.REQUEST else name

    def _add(self, key: str, value: bytes) -> None:
        if not key.startswith(":"):
            self.items.append((key, value))
            return
        pseudo = sum(name.startswith(":") for name, _ in self.items)
        self.items.insert(pseudo, (key, value))


_BOTH = """
    cache-control connection content-encoding content-length content-type keep-alive proxy-connection proxy-status
    transfer-encoding upgrade via x-envoy-attempt-count x-envoy-decorator-operation x-request-id
"""
_REQUEST = """
    accept accept-encoding access-control-request-headers access-control-request-method
    access-control-request-private-network authorization expect grpc-accept-encoding grpc-timeout if-match
    if-modified-since if-none-match if-range if-unmodified-since origin pragma referer te user-agent x-client-trace-id
    x-envoy-downstream-service-cluster x-envoy-downstream-service-node x-envoy-expected-rq-timeout-ms
    x-envoy-external-address x-envoy-force-trace x-envoy-internal x-envoy-ip-tags x-envoy-is-timeout-retry
    x-envoy-original-host x-envoy-original-path x-envoy-original-url x-forwarded-client-cert x-forwarded-for
    x-forwarded-host x-forwarded-port x-forwarded-proto
"""
_RESPONSE = """
    access-control-allow-credentials access-control-allow-headers access-control-allow-methods
    access-control-allow-origin access-control-allow-private-network access-control-expose-headers
    access-control-max-age age date etag expires grpc-message grpc-status last-modified location server vary
    x-envoy-degraded x-envoy-immediate-health-check-fail x-envoy-ratelimited x-envoy-upstream-canary
    x-envoy-upstream-healthchecked-cluster x-envoy-upstream-service-time
"""

_INLINE = {
    Kind.REQUEST: frozenset((_BOTH + _REQUEST).split()) | {":authority", ":method", ":path", ":scheme"},
    Kind.RESPONSE: frozenset((_BOTH + _RESPONSE).split()) | {":status"},
    Kind.REQUEST_TRAILERS: frozenset[str](),
    Kind.RESPONSE_TRAILERS: frozenset({"grpc-message", "grpc-status"}),
}
"""Names of which Envoy keeps one value. Learnt from the binary: the standard build, with all its extensions."""
