"""`When`: the condition under which a filter takes part in an exchange."""

from __future__ import annotations

import posixpath
import re
from functools import cached_property
from typing import TYPE_CHECKING, Annotated
from urllib.parse import unquote

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field

if TYPE_CHECKING:
    from extproc.http import Request

__all__ = ["When", "canonical_path"]


def _listed(value: object) -> object:
    return [value] if isinstance(value, str) else value


_OneOrMore = Annotated[tuple[str, ...], BeforeValidator(_listed)]


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

    def matches(self, request: Request) -> bool:
        """Whether `request`, as it stands, fulfils the condition."""
        return (
            (not self.method or request.method in self.method)
            and _any(self._paths, canonical_path(request.path))
            and _any(self._hosts, request.host.rpartition(":")[0] or request.host)
            and all(_any([glob], request.headers.get(name)) for name, glob in self._headers)
            and not (self.not_ is not None and self.not_.matches(request))
        )

    @cached_property
    def _paths(self) -> list[re.Pattern[str]]:
        return [_glob(pattern, "/") for pattern in self.path]

    @cached_property
    def _hosts(self) -> list[re.Pattern[str]]:
        return [_glob(pattern.lower(), ".") for pattern in self.host]

    @cached_property
    def _headers(self) -> list[tuple[str, re.Pattern[str]]]:
        return [(name, _glob(pattern, "")) for name, pattern in self.header.items()]


def canonical_path(path: str) -> str:
    """The path that an upstream would take `path` for: decoded, without ``//`` and dot segments."""
    decoded = re.sub(r"/{2,}", "/", unquote(path, errors="surrogateescape"))
    resolved = posixpath.normpath(decoded) if decoded else "/"
    return resolved + "/" if decoded.endswith("/") and resolved != "/" else resolved


def _any(patterns: list[re.Pattern[str]], value: str | None) -> bool:
    return not patterns or (value is not None and any(pattern.fullmatch(value) for pattern in patterns))


def _glob(pattern: str, separator: str) -> re.Pattern[str]:
    below = separator == "/" and pattern.endswith("/**")
    single = f"[^{re.escape(separator)}]*" if separator else ".*"
    globs = {"**": ".*", "*": single}
    parts = (globs.get(part, re.escape(part)) for part in re.split(r"(\*\*|\*)", pattern[:-3] if below else pattern))
    return re.compile("".join(parts) + ("(?:/.*)?" if below else ""), re.DOTALL)
