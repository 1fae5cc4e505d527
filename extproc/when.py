"""`When`: the condition under which a filter takes part in an exchange."""

from __future__ import annotations

import posixpath
import re
from functools import cached_property
from typing import TYPE_CHECKING, Annotated, TypeAlias
from urllib.parse import unquote

import re2
from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, field_validator

if TYPE_CHECKING:
    from collections.abc import Callable

    from extproc.http import Request

__all__ = ["When", "canonical_path"]


_METHOD = re.compile(r"[A-Z][A-Z0-9_-]*")
_PORT = re.compile(r":[0-9]*$")


_Match: TypeAlias = "Callable[[str], object]"


def _listed(value: object) -> object:
    return [value] if isinstance(value, str) else value


_OneOrMore = Annotated[tuple[str, ...], BeforeValidator(_listed, json_schema_input_type=str | tuple[str, ...])]


class When(BaseModel):
    """A condition on the request: every field that is given has to match, any of its values will do.

    Patterns are globs: ``*`` is anything within a path segment (or a host label), ``**`` is anything, and ``/api/**``
    is ``/api`` and all below it. Paths are matched decoded and with ``//``, ``.`` and ``..`` resolved, so ``/%61dmin``
    and ``/x/../admin`` are ``/admin``; the query is left out.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", populate_by_name=True)

    path: _OneOrMore = ()
    """Path globs, such as ``/api/**``."""
    method: _OneOrMore = ()
    """Methods, in capitals."""
    host: _OneOrMore = ()
    """Host globs, such as ``*.example.com``; matched without the port and in lower case."""
    header: dict[str, str] = Field(default_factory=dict[str, str])
    """Globs for header values; ``**`` is "present"."""
    not_: When | None = Field(default=None, alias="not")
    """A condition that must not hold."""

    @field_validator("path")
    @classmethod
    def _check_path(cls, globs: tuple[str, ...]) -> tuple[str, ...]:
        for glob in globs:
            if not (glob.startswith(("/", "**")) or glob == "*") or "?" in glob or canonical_path(glob) != glob:
                raise ValueError(
                    f"no path is like {glob!r}: it begins with '/', and is decoded, without '//', '..' and the query"
                )
        return globs

    @field_validator("method")
    @classmethod
    def _check_method(cls, methods: tuple[str, ...]) -> tuple[str, ...]:
        for method in methods:
            if not _METHOD.fullmatch(method):
                raise ValueError(f"no method is {method!r}: they are in capitals, such as GET")
        return methods

    @field_validator("host")
    @classmethod
    def _check_host(cls, globs: tuple[str, ...]) -> tuple[str, ...]:
        for glob in globs:
            if _without_port(glob) != glob:
                raise ValueError(f"no host is like {glob!r}: it is matched without the port")
        return globs

    @field_validator("header")
    @classmethod
    def _check_header(cls, globs: dict[str, str]) -> dict[str, str]:
        for name in globs:
            if name.startswith(":") or name.lower() == "host":
                raise ValueError(f"{name!r} is not among the headers: use path, method or host")
        return globs

    def matches(self, request: Request) -> bool:
        """Whether `request`, as it stands, fulfils the condition."""
        return (
            (not self.method or request.method in self.method)
            and _any(self._paths, canonical_path(request.path))
            and _any(self._hosts, _canonical_host(request.host))
            and all(_any([glob], request.headers.get(name)) for name, glob in self._headers)
            and not (self.not_ is not None and self.not_.matches(request))
        )

    @cached_property
    def _paths(self) -> list[_Match]:
        return [_glob(pattern, "/") for pattern in self.path]

    @cached_property
    def _hosts(self) -> list[_Match]:
        return [_glob(pattern.lower(), ".") for pattern in self.host]

    @cached_property
    def _headers(self) -> list[tuple[str, _Match]]:
        return [(name, _glob(pattern, "")) for name, pattern in self.header.items()]


def canonical_path(path: str) -> str:
    """The path that an upstream would take `path` for: decoded, without ``//`` and dot segments."""
    decoded = re.sub(r"/{2,}", "/", unquote(path, errors="surrogateescape"))
    resolved = posixpath.normpath(decoded) if decoded else "/"
    return resolved + "/" if decoded.endswith("/") and resolved != "/" else resolved


def _without_port(host: str) -> str:
    return _PORT.sub("", host)


def _canonical_host(host: str) -> str:
    """The host that an upstream would take `host` for: a dot at the end says no more than that the name is whole."""
    return _without_port(host).lower().removesuffix(".")


def _any(patterns: list[_Match], value: str | None) -> bool:
    if not patterns or value is None:
        return not patterns
    text = value if value.isascii() else value.encode("utf-8", "surrogateescape").decode("utf-8", "replace")
    return any(match(text) for match in patterns)


def _glob(pattern: str, separator: str) -> _Match:
    """RE2, because clients choose what is matched: in `re`, three asterisks take seconds over a long header."""
    below = separator == "/" and pattern.endswith("/**")
    single = f"[^{separator}]*" if separator else ".*"
    globs = {"**": ".*", "*": single}
    parts = (globs.get(part, re2.escape(part)) for part in re.split(r"(\*\*|\*)", pattern[:-3] if below else pattern))
    return re2.compile("(?s)" + "".join(parts) + ("(?:/.*)?" if below else "")).fullmatch
