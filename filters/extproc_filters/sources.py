"""Where in a request a value stands: ``header:x-api-key``, ``bearer``, ``query:key`` or ``cookie:session``."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeAlias
from urllib.parse import unquote_plus

from extproc_filters.fields import can_stand, header_name
from extproc_filters.paths import percent_encoded

if TYPE_CHECKING:
    from extproc import Request

__all__ = ["BearerSource", "CookieSource", "HeaderSource", "QuerySource", "Source", "listed", "parse_source"]

_COOKIE_NAME = re.compile(r"[!#$%&'*+\-.^_`|~0-9A-Za-z]+")  # RFC 6265 section 4.1.1: a token


@dataclass(frozen=True, slots=True)
class HeaderSource:
    """The whole value of a header."""

    name: str

    def read(self, request: Request) -> list[str]:
        """Each occurrence."""
        return request.headers.get_all(self.name)

    def remove(self, request: Request) -> None:
        """Removes every occurrence."""
        request.headers.discard(self.name)


@dataclass(frozen=True, slots=True)
class BearerSource:
    """The token of ``authorization: Bearer`` (RFC 6750 section 2.1); other schemes are left alone."""

    def read(self, request: Request) -> list[str]:
        """The token; when there are several authorization headers, which no client may send, all of them."""
        values = request.headers.get_all("authorization")
        if len(values) != 1:
            return values
        token = _bearer_token(values[0])
        return [] if token is None else [token]

    def remove(self, request: Request) -> None:
        """Removes the header if it holds a bearer token."""
        if any(_bearer_token(value) is not None for value in request.headers.get_all("authorization")):
            del request.headers["authorization"]


@dataclass(frozen=True, slots=True)
class QuerySource:
    """A parameter of the query."""

    name: str

    def read(self, request: Request) -> list[str]:
        """Each occurrence, decoded."""
        pieces = (piece.partition("=") for piece in request.query.split("&"))
        return [unquote_plus(value) for name, _, value in pieces if unquote_plus(name) == self.name]

    def remove(self, request: Request) -> None:
        """Removes every occurrence and keeps the rest of the query as it is."""
        if not self.read(request):
            return
        kept = (item for item in request.query.split("&") if unquote_plus(item.partition("=")[0]) != self.name)
        query = "&".join(kept)
        request.target = percent_encoded(f"{request.path}?{query}" if query else request.path)


@dataclass(frozen=True, slots=True)
class CookieSource:
    """A cookie."""

    name: str

    def read(self, request: Request) -> list[str]:
        """Each occurrence."""
        pieces = (piece.partition("=") for piece in request.headers.get("cookie", "").split(";"))
        return [value.strip() for name, _, value in pieces if name.strip() == self.name]

    def remove(self, request: Request) -> None:
        """Removes every occurrence and keeps the other cookies."""
        if not self.read(request):
            return
        pieces = (piece.strip() for piece in request.headers["cookie"].split(";"))
        kept = [item for item in pieces if item.partition("=")[0].strip() != self.name and can_stand(item)]
        if kept:
            request.headers["cookie"] = "; ".join(kept)
        else:
            del request.headers["cookie"]


Source: TypeAlias = HeaderSource | BearerSource | QuerySource | CookieSource


def parse_source(text: str) -> Source:
    """Reads ``header:NAME``, ``bearer``, ``query:NAME`` or ``cookie:NAME``.

    Raises:
        ValueError: it is none of these.
    """
    kind, _, name = text.partition(":")
    if text == "bearer":
        return BearerSource()
    if kind == "header" and name:
        return HeaderSource(header_name(name, removing=True))
    if kind == "query" and name:
        return QuerySource(name)
    if kind == "cookie" and _COOKIE_NAME.fullmatch(name):
        return CookieSource(name)
    raise ValueError(f"{text!r} is no source: write header:NAME, bearer, query:NAME or cookie:NAME")


def listed(value: str | tuple[str, ...]) -> tuple[str, ...]:
    """One or more, as a tuple.

    Raises:
        ValueError: there is none, or one stands there twice.
    """
    items = (value,) if isinstance(value, str) else value
    if not items:
        raise ValueError("give at least one")
    if len(set(items)) < len(items):
        raise ValueError("one of them stands there twice")
    return items


def _bearer_token(value: str) -> str | None:
    scheme, _, token = value.partition(" ")
    return token.strip() if scheme.lower() == "bearer" else None
