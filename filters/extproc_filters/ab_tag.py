"""`AbTag`: puts every user into a variant of an experiment, the same one each time.

The variant is a pure function of the experiment's salt and the user's id, so that other processes, and other languages,
come to the same result. With H the 64-bit xxHash (XXH64, seed 0) of UTF-8 text, and NUL a zero byte::

    bucket(purpose, salt, id) = H(purpose NUL salt NUL id) mod 10000

A user takes part when ``bucket("coverage", …)`` is below 100 times `coverage`. Of those who do,
``bucket("variant", …)`` chooses: variants own consecutive ranges of buckets in the order in which they are written, 100
times their weight each. So a weight that grows from 50 to 60 takes in 10 percent of the users and leaves the others
where they were.
"""

from __future__ import annotations

import re
from bisect import bisect_right
from functools import cached_property
from itertools import accumulate
from typing import TYPE_CHECKING, Annotated, ClassVar, Self

import xxhash
from pydantic import AfterValidator, BaseModel, ConfigDict, Field, field_validator, model_validator

from extproc import Filter, Needs, Phase
from extproc_filters.fields import HeaderName
from extproc_filters.sources import CookieSource, Source, listed, parse_source

if TYPE_CHECKING:
    from extproc import Exchange, Request

__all__ = ["AbTag", "UnitCookie", "bucket"]

_BUCKETS = 10_000
_PER_PERCENT = _BUCKETS // 100
_EVERYBODY = 100
_VARIANT = re.compile(r"[A-Za-z0-9_.-]{1,64}")
_COOKIE = r"^[!#$%&'*+\-.^_`|~0-9A-Za-z]{1,128}$"  # RFC 6265 section 4.1.1: a token
_LONGEST_COOKIE_LIFE = 400 * 86400  # browsers cut it there
_ID_BITS = 128


def bucket(purpose: str, salt: str, unit_id: str) -> int:
    """The bucket of `unit_id`, 0 to 9999; see the module's docstring."""
    text = f"{purpose}\0{salt}\0{unit_id}".encode("utf-8", "surrogateescape")
    return xxhash.xxh64_intdigest(text) % _BUCKETS


def _buckets(percent: float) -> int:
    return round(percent * _PER_PERCENT)


def _percent(value: float) -> float:
    if abs(value * _PER_PERCENT - _buckets(value)) > 1e-6:  # noqa: PLR2004 (what floats make of 33.33)
        raise ValueError("a percentage has at most two decimals")
    return value


def _variant(name: str) -> str:
    if not _VARIANT.fullmatch(name):
        raise ValueError(f"{name[:40]!r} is no name for a variant: letters, digits, '_', '.' and '-', at most 64")
    return name


def _units(value: str | tuple[str, ...]) -> str | tuple[str, ...]:
    for item in listed(value) if value else ():
        parse_source(item)
    return value


Percent = Annotated[float, Field(ge=0, le=100), AfterValidator(_percent)]


class UnitCookie(BaseModel):
    """The cookie that keeps a user who brought no id of their own in one variant.

    It holds a random id and nothing else: HttpOnly, SameSite=Lax, for the whole site. A response that sets it is one
    user's: let no shared cache store it.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True)

    name: str = Field(default="ab-id", pattern=_COOKIE)
    """Its name. Experiments may share a cookie: their salts keep them apart."""

    max_age: int = Field(default=180 * 86400, ge=1, le=_LONGEST_COOKIE_LIFE)
    """How long the user stays in the variant, in seconds."""

    secure: bool = True
    """False sends it over plain HTTP too; for development."""

    @model_validator(mode="after")
    def _prefix_holds(self) -> Self:
        if self.name.lower().startswith(("__secure-", "__host-")) and not self.secure:
            raise ValueError(f"browsers refuse a cookie named {self.name!r} unless it is secure")
        return self

    def set_cookie(self, unit_id: str) -> str:
        """The value of the ``set-cookie`` header that makes a browser keep `unit_id`."""
        secure = "; Secure" if self.secure else ""
        return f"{self.name}={unit_id}; Path=/; Max-Age={self.max_age}; HttpOnly; SameSite=Lax{secure}"


class AbTag(Filter):
    """Puts every user into a variant of an experiment and says which in a request header.

    Routes can match on that header: Envoy is made to choose the route again whenever it changed. What a client sends
    under its name never gets through.
    """

    on_error: ClassVar = "skip"

    salt: str = Field(pattern=r"^[!-~]{1,128}$")
    """The experiment: users are spread independently for each salt. Changing it spreads all of them anew."""

    variants: dict[Annotated[str, AfterValidator(_variant)], Percent]
    """Each variant and its weight in percent, at most two decimals; together 100. Their order counts: keep it."""

    coverage: Percent = 100
    """How many percent of the users take part; the others get no tag. Raising it moves nobody who took part before."""

    unit: Annotated[str | tuple[str, ...], AfterValidator(_units)] = ()
    """Where the user's id stands: ``header:NAME``, ``cookie:NAME`` or ``query:NAME``; one, or several of which the
    first that is there counts. Without any of them it is `cookie`."""

    cookie: UnitCookie | None = UnitCookie()
    """Identifies users without an id: the cookie is set with the response to the first request. None: no id, no tag."""

    header: HeaderName = "x-variant"
    """The request header that holds the variant."""

    mirror: bool = False
    """Puts the same header on the response, for the client to see."""

    @field_validator("variants")
    @classmethod
    def _check_variants(cls, variants: dict[str, float]) -> dict[str, float]:
        total = sum(_buckets(weight) for weight in variants.values())
        if total != _BUCKETS:
            raise ValueError(f"the weights come to {total / _PER_PERCENT:g}: they are percentages and come to 100")
        return variants

    @model_validator(mode="after")
    def _check(self) -> Self:
        if not self._sources:
            raise ValueError("nothing identifies a user: give a unit or a cookie")
        return self

    def needs(self) -> Needs:
        """The response only when something may be put on it."""
        if self._answers:
            return super().needs()
        return Needs(phases=frozenset({Phase.REQUEST_HEADERS}))

    def variant(self, unit_id: str) -> str | None:
        """The variant of a user; None for one who takes no part."""
        if self.coverage < _EVERYBODY and bucket("coverage", self.salt, unit_id) >= _buckets(self.coverage):
            return None
        return self._names[bisect_right(self._bounds, bucket("variant", self.salt, unit_id))]

    @cached_property
    def _names(self) -> tuple[str, ...]:
        return tuple(self.variants)

    @cached_property
    def _bounds(self) -> tuple[int, ...]:
        """Where each variant's range of buckets ends."""
        return tuple(accumulate(_buckets(weight) for weight in self.variants.values()))

    @cached_property
    def _sources(self) -> tuple[Source, ...]:
        named = tuple(parse_source(item) for item in listed(self.unit)) if self.unit else ()
        return named if self.cookie is None else (*named, CookieSource(self.cookie.name))

    @cached_property
    def _answers(self) -> bool:
        """Something may be put on the response."""
        return self.mirror or self.cookie is not None

    @cached_property
    def _state_key(self) -> str:
        return f"extproc_filters.ab_tag.{id(self)}"  # a chain may hold several of us

    def on_request_headers(self, exchange: Exchange) -> None:
        """Tags the request."""
        request = exchange.request
        headers = request.headers
        before = headers.get_raw(self.header)
        headers.discard_lookalikes(self.header)
        unit_id, set_cookie = self._unit_of(request), ""
        if unit_id is None and self.cookie is not None:
            unit_id, set_cookie = _minted(exchange, self.cookie)
        variant = None if unit_id is None else self.variant(unit_id)
        if variant is not None:
            headers[self.header] = variant
        if before != ([] if variant is None else [variant.encode()]):  # or a client's copy has gone: it chose the route
            exchange.clear_route_cache()
        if self._answers:
            exchange.state[self._state_key] = variant, set_cookie

    def on_response_headers(self, exchange: Exchange) -> None:
        """Sets the cookie for a user who had no id, and shows the variant if it is to be seen."""
        tagged: tuple[str | None, str] | None = exchange.state.get(self._state_key)
        if tagged is None:
            return
        variant, set_cookie = tagged
        headers = exchange.response.headers
        if set_cookie:
            headers.add("set-cookie", set_cookie)
        if self.mirror:
            headers.discard_lookalikes(self.header)
            if variant is not None:
                headers[self.header] = variant

    def _unit_of(self, request: Request) -> str | None:
        for source in self._sources:
            for value in source.read(request):
                if value:
                    return value
        return None


def _minted(exchange: Exchange, cookie: UnitCookie) -> tuple[str, str]:
    """A new id, and the ``set-cookie`` for it; the latter only once for experiments that share a cookie."""
    key = f"extproc_filters.ab_tag.minted.{cookie.name}"
    known: str | None = exchange.state.get(key)
    if known is not None:
        return known, ""
    unit_id = exchange.state[key] = f"{exchange.random.getrandbits(_ID_BITS):032x}"
    return unit_id, cookie.set_cookie(unit_id)
