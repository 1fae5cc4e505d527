"""`RateLimit`: so many requests in so much time, counted by client, path or whatever tells callers apart."""

from __future__ import annotations

import json
from functools import cached_property
from hashlib import blake2s
from typing import TYPE_CHECKING, Annotated, ClassVar, Literal, TypeAlias

from pydantic import AfterValidator, Field, PrivateAttr

from extproc import Filter, Needs, Phase, Response, canonical_path
from extproc_filters.address import client_of
from extproc_filters.gcra import Decision, Gcra
from extproc_filters.memory import Memory
from extproc_filters.rate import Rate, RateText
from extproc_filters.sources import listed, parse_source

if TYPE_CHECKING:
    from collections.abc import Callable

    from extproc import Exchange

__all__ = ["RateLimit"]

_Part: TypeAlias = "Callable[[Exchange], str | None]"
"""Reads one part of a key; None when an exchange has none."""

_GRPC_RESOURCE_EXHAUSTED = 8
_PROBLEM = "https://iana.org/assignments/http-problem-types#quota-exceeded"


def _ip(exchange: Exchange) -> str | None:
    return client_of(str(exchange.attributes.get("source.address", "")))


def _path(exchange: Exchange) -> str | None:
    return canonical_path(exchange.request.path) or None


def _method(exchange: Exchange) -> str | None:
    return exchange.request.method or None


def _host(exchange: Exchange) -> str | None:
    return exchange.request.host.lower() or None


_PARTS: dict[str, _Part] = {"ip": _ip, "path": _path, "method": _method, "host": _host}


def _from_request(text: str) -> _Part:
    source = parse_source(text)

    def read(exchange: Exchange) -> str | None:
        return "\n".join(source.read(exchange.request)) or None

    return read


def _parts(value: str | tuple[str, ...]) -> tuple[_Part, ...]:
    """What a key is made of.

    Raises:
        ValueError: a part is unknown, or ``global`` does not stand alone.
    """
    names = listed(value)
    if names == ("global",):
        return ()
    try:
        return tuple(_PARTS.get(name) or _from_request(name) for name in names)
    except ValueError as error:
        raise ValueError(f"{error}; or {', '.join(_PARTS)}; or global, which stands alone") from None


def _key(value: str | tuple[str, ...]) -> str | tuple[str, ...]:
    _parts(value)
    return value


class RateLimit(Filter):
    """Admits so many requests in so much time, and answers the others with 429.

    Counts with GCRA, in this process: each worker has its own count. In any period at most `limit` + `burst` requests
    get through. To have several limits, use the filter several times, each with its own `name`.
    """

    on_error: ClassVar = "deny"

    limit: RateText
    """How many requests in how much time: ``100/minute``, ``5/10s``; units are second, minute, hour and day."""

    burst: int | None = Field(default=None, ge=1, le=10**9)
    """How many requests may come at once, after a pause. By default as many as `limit` says; 1 spaces them out."""

    key: Annotated[str | tuple[str, ...], AfterValidator(_key)] = "ip"
    """What has a count of its own: ``ip`` (the client's address; for IPv6 its /64 network), ``path``, ``method``,
    ``host``, ``header:NAME``, ``cookie:NAME``, ``query:NAME``, ``bearer``; several of them together; or ``global``,
    one count for all. Keys are kept as hashes."""

    on_missing: Literal["share", "skip", "deny"] = "share"
    """What to do with a request that lacks a part of the key (no such header): count all of those together, let it
    through uncounted, or refuse it with 403."""

    enforce: bool = True
    """False counts and logs what would have been refused, but refuses nothing and adds no headers."""

    headers: bool = True
    """Tells the client where it stands: ``RateLimit`` and ``RateLimit-Policy`` in every response."""

    name: str = Field(default="default", pattern=r"^[A-Za-z0-9_.:-]{1,64}$")
    """What the policy is called in these headers and in a refusal."""

    max_keys: int = Field(default=100_000, ge=1)
    """How many keys are remembered, about 200 bytes each; over that, the ones used least recently start afresh."""

    _memory: Memory = PrivateAttr()

    async def start(self) -> None:
        """Begins with nothing counted."""
        rate = Rate.parse(self.limit)
        self._memory = Memory(Gcra(rate, self.burst or rate.count), self.max_keys)

    def needs(self) -> Needs:
        """The response only for the headers, and the client's address only for a key that has it."""
        needs = super().needs()
        return Needs(
            phases=needs.phases if self._announces else frozenset({Phase.REQUEST_HEADERS}),
            request_attributes=frozenset({"source.address"}) if _ip in self._key_parts else frozenset(),
        )

    def on_request_headers(self, exchange: Exchange) -> Response | None:
        """Counts the request, and refuses it when it is over the limit."""
        parts = [part(exchange) for part in self._key_parts]
        if None in parts and self.on_missing != "share":
            return self._without_key() if self.on_missing == "deny" and self.enforce else None
        decision = self._memory.hit(_hashed(parts), exchange.now)
        if self._announces:
            exchange.state[self._state_key] = decision
        if decision.allowed:
            return None
        if not self.enforce:
            exchange.log.info("over the limit %s (%s), not enforced", self.limit, self.name)
            return None
        return self._over(decision)

    def on_response_headers(self, exchange: Exchange) -> None:
        """Tells the client where it stands."""
        decision: Decision | None = exchange.state.get(self._state_key)
        if decision is not None:
            self._announce(exchange.response, decision)

    @cached_property
    def _key_parts(self) -> tuple[_Part, ...]:
        return _parts(self.key)

    @cached_property
    def _policy(self) -> str:
        rate = Rate.parse(self.limit)
        return f'"{self.name}";q={rate.count};w={rate.seconds}'

    @cached_property
    def _state_key(self) -> str:
        return f"extproc_filters.rate_limit.{id(self)}"  # a chain may hold several of us

    @cached_property
    def _announces(self) -> bool:
        return self.headers and self.enforce

    def _announce(self, response: Response, decision: Decision) -> None:
        """draft-ietf-httpapi-ratelimit-headers: lists (RFC 9651), so other limits' members stay beside ours."""
        response.headers.add("ratelimit-policy", self._policy)
        response.headers.add("ratelimit", f'"{self.name}";r={decision.remaining};t={decision.wait}')

    def _over(self, decision: Decision) -> Response:
        problem = {
            "type": _PROBLEM,
            "title": "over the rate limit",
            "status": 429,
            "violated-policies": [self.name],
        }
        response = Response(
            429,
            json.dumps(problem),
            {"content-type": "application/problem+json", "retry-after": str(decision.wait)},
            details="extproc.rate_limit.over",
            grpc_status=_GRPC_RESOURCE_EXHAUSTED,
        )
        if self.headers:
            self._announce(response, decision)
        return response

    def _without_key(self) -> Response:
        return Response(
            403,
            "this request cannot be told apart from others, and so not counted\n",
            {"content-type": "text/plain; charset=utf-8"},
            details="extproc.rate_limit.no_key",
        )


def _hashed(parts: list[str | None]) -> bytes:
    """A key of fixed length that holds no secret; quotes keep ``a, bc`` apart from ``ab, c``, and no part from None."""
    return blake2s(repr(parts).encode()).digest()
