"""`ApiKey`: admits requests that carry a known key."""

from __future__ import annotations

import json
import re
from functools import cached_property
from hashlib import blake2s
from typing import TYPE_CHECKING, Annotated, ClassVar, Literal, Self

from pydantic import AfterValidator, ConfigDict, Field, SecretStr, field_validator, model_validator

from extproc import Filter, Needs, Response
from extproc_filters.fields import HeaderName
from extproc_filters.sources import BearerSource, CookieSource, HeaderSource, Source, listed, parse_source

if TYPE_CHECKING:
    from extproc import Exchange, Request

__all__ = ["ApiKey"]

_CALLER = re.compile(r"[!-~](?:[ -~]{0,126}[!-~])?")
_KEY = re.compile(r"[!-~]+")
_GRPC_UNAUTHENTICATED = 16
_REFUSALS = {
    "missing": "an API key is required",
    "unknown": "this API key is not known",
    "duplicate": "more than one API key was sent",
}


def _caller(name: str) -> str:
    if not _CALLER.fullmatch(name):
        raise ValueError(f"{name[:40]!r} is no name for a caller: 1 to 128 printable ASCII characters, no outer spaces")
    return name


def _sources(value: str | tuple[str, ...]) -> str | tuple[str, ...]:
    for item in listed(value):
        parse_source(item)
    return value


class ApiKey(Filter):
    """Admits requests that carry a known API key, and names the caller to the upstream.

    A key is looked up by its hash (BLAKE2s), so neither the time it takes nor what is kept in the table tells anything
    about another key. Keys never appear in logs, errors or captures.
    """

    model_config = ConfigDict(hide_input_in_errors=True)  # a key must not show up in an error about its neighbour
    on_error: ClassVar = "deny"

    callers: dict[Annotated[str, AfterValidator(_caller)], SecretStr]
    """Each caller's name and its key: visible ASCII, no two alike."""

    sources: Annotated[str | tuple[str, ...], AfterValidator(_sources)] = "header:x-api-key"
    """Where a key may stand: ``header:NAME``, ``bearer`` (``authorization: Bearer …``), ``query:NAME`` or
    ``cookie:NAME``; one, or several in order. The first place that holds a key decides; a place that holds two
    (a repeated header, parameter or cookie) is refused."""

    caller_header: HeaderName = "x-caller"
    """The header that tells the upstream who called. What a client sends under this name never gets through."""

    hide_credentials: bool = True
    """Removes the key, from every one of `sources`, before the request goes to the upstream."""

    allow_anonymous: bool = False
    """Lets requests without a key through, without a caller's name. A wrong key is refused all the same."""

    clear_route_cache: bool = False
    """Makes Envoy choose the route again once the caller is known. Needed when routes match on `caller_header`."""

    realm: str = Field(default="api", pattern=r"^[ -~]*$")
    """The realm in the ``www-authenticate`` of a refusal."""

    body: Literal["json", "text", "none"] = "json"
    """What a refusal holds: ``{"error": …}``, one line of text, or nothing."""

    @field_validator("callers")
    @classmethod
    def _check_callers(cls, callers: dict[str, SecretStr]) -> dict[str, SecretStr]:
        if not _by_digest(callers):
            raise ValueError("there is no caller: nobody could be admitted")
        return callers

    @model_validator(mode="after")
    def _check(self) -> Self:
        if HeaderSource(self.caller_header) in self._places:
            raise ValueError(f"caller_header {self.caller_header!r} is one of the sources: it cannot be both")
        return self

    def needs(self) -> Needs:
        """Captures must not hold the headers that carry a key."""
        return super().needs() | Needs(secret_headers=frozenset(_header_of(place) for place in self._places) - {""})

    def on_request_headers(self, exchange: Exchange) -> Response | None:
        """Admits or refuses."""
        request = exchange.request
        headers = request.headers
        spoofed = headers.discard_lookalikes(self.caller_header)
        if spoofed or self.clear_route_cache:  # Envoy chose the route when the client's copy was still there
            exchange.clear_route_cache()
        keys = self._presented(request)
        if not keys:
            return None if self.allow_anonymous else self._refusals["missing"]
        if len(keys) > 1:
            return self._refusals["duplicate"]
        caller = self._callers.get(_digest(keys[0]))
        if caller is None:
            return self._refusals["unknown"]
        headers[self.caller_header] = caller
        if self.hide_credentials:
            for place in self._places:
                place.remove(request)
        return None

    def _presented(self, request: Request) -> list[str]:
        """What stands in the first place that holds anything."""
        for place in self._places:
            keys = place.read(request)
            if keys and keys != [""]:
                return keys
        return []

    @cached_property
    def _places(self) -> tuple[Source, ...]:
        return tuple(parse_source(item) for item in listed(self.sources))

    @cached_property
    def _callers(self) -> dict[bytes, str]:
        return _by_digest(self.callers)

    @cached_property
    def _refusals(self) -> dict[str, Response]:
        return {reason: self._refusal(reason) for reason in _REFUSALS}

    def _refusal(self, reason: str) -> Response:
        sentence = _REFUSALS[reason]
        response = Response(
            401,
            {"json": json.dumps({"error": sentence}), "text": sentence + "\n", "none": ""}[self.body],
            details=f"extproc.api_key.{reason}",
            grpc_status=_GRPC_UNAUTHENTICATED,
        )
        if self.body != "none":
            kind = "application/json" if self.body == "json" else "text/plain; charset=utf-8"
            response.headers["content-type"] = kind
        response.headers["www-authenticate"] = self._challenge()
        return response

    def _challenge(self) -> str:
        """RFC 9110 section 11.6.1 wants at least one; only Bearer is a registered scheme."""
        escaped = re.sub(r'(["\\])', r"\\\1", self.realm)
        schemes = dict.fromkeys("Bearer" if isinstance(place, BearerSource) else "ApiKey" for place in self._places)
        return ", ".join(f'{scheme} realm="{escaped}"' for scheme in schemes)


def _digest(key: str) -> bytes:
    return blake2s(key.encode("utf-8", "surrogatepass")).digest()


def _by_digest(callers: dict[str, SecretStr]) -> dict[bytes, str]:
    table: dict[bytes, str] = {}
    for caller, secret in callers.items():
        key = secret.get_secret_value()
        if not _KEY.fullmatch(key):
            raise ValueError(f"the key of {caller!r} is empty or has a character in it that is not visible ASCII")
        other = table.setdefault(_digest(key), caller)
        if other != caller:
            raise ValueError(f"callers {other!r} and {caller!r} have the same key: give each its own")
    return table


def _header_of(place: Source) -> str:
    """The header that a credential stands in; a query stands in none."""
    if isinstance(place, HeaderSource):
        return place.name
    if isinstance(place, BearerSource):
        return "authorization"
    return "cookie" if isinstance(place, CookieSource) else ""
