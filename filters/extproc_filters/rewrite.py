"""Rewriting a path by pattern."""

from __future__ import annotations

import re
from collections.abc import Callable
from functools import cached_property
from typing import Self, TypeAlias

import re2
from pydantic import BaseModel, ConfigDict, Field, model_validator

from extproc_filters.paths import percent_encoded, without_dot_segments

__all__ = ["PathRewrite"]

_LONGEST = 1024
_MAX_MEMORY = 1 << 20  # bytes a compiled pattern may take; a chain file cannot make a processor swell
_REFERENCE = re.compile(r"\\(.?)", re.DOTALL)
_LITERAL = re.compile(r"[\x21\x22\x24-\x3e\x40-\x7e]*")  # what a path may hold: see extproc's check_path; no "?"

_Rewriter: TypeAlias = Callable[[str], str | None]


class PathRewrite(BaseModel):
    r"""A pattern in the path, and what takes its place.

    For example, ``{pattern: ^/v1/(\w+), substitution: /v2/\1}``. The syntax is RE2's, which Envoy uses too: no
    look-around and no back-references in the pattern, and no pattern that takes long.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True)

    pattern: str = Field(min_length=1, max_length=_LONGEST)
    """A regular expression, found anywhere in the percent-encoded path unless it begins with ``^``; the query is not
    part of the path. The first place where it is found is rewritten."""

    substitution: str = Field(max_length=_LONGEST)
    r"""What takes its place: ``\1`` to ``\9`` are the pattern's groups, ``\0`` is all that it found."""

    @cached_property
    def _rewrite(self) -> _Rewriter:
        return _rewriter(self.pattern, self.substitution)

    @model_validator(mode="after")
    def _check(self) -> Self:
        _rewriter(self.pattern, self.substitution)
        return self

    def apply(self, target: str) -> str | None:
        """The target with its path rewritten, beginning with one slash and without dot segments; None: not found."""
        path, mark, query = percent_encoded(target).partition("?")
        rewritten = self._rewrite(path)
        if rewritten is None:
            return None
        return "/" + without_dot_segments(rewritten).lstrip("/") + mark + query


def _rewriter(pattern: str, substitution: str) -> _Rewriter:
    options = re2.Options()
    options.log_errors = False  # the error below says it
    options.max_mem = _MAX_MEMORY
    try:
        regex = re2.compile(pattern, options)
    except re2.error as error:
        raise ValueError(f"pattern {pattern!r} is no RE2 pattern: {_sentence(error)}") from None
    except UnicodeEncodeError:
        raise ValueError(f"pattern {pattern!r} is not valid text") from None
    parts = _parsed(substitution, regex.groups)

    def rewrite(path: str) -> str | None:
        found = regex.search(path)
        if found is None:
            return None
        texts = (part if isinstance(part, str) else found.group(part) or "" for part in parts)
        return path[: found.start()] + "".join(texts) + path[found.end() :]

    return rewrite


def _parsed(substitution: str, groups: int) -> list[str | int]:
    """Text and numbers of groups, in turn."""
    parts: list[str | int] = []
    end = 0
    for reference in _REFERENCE.finditer(substitution):
        parts += [_literal(substitution[end : reference.start()]), _group(reference.group(1), groups)]
        end = reference.end()
    return [*parts, _literal(substitution[end:])]


def _literal(text: str) -> str:
    if not _LITERAL.fullmatch(text):
        raise ValueError(f"substitution has {text!r} in it: percent-encode what may not stand in a path; '?' is %3F")
    return text


def _group(number: str, groups: int) -> int:
    if not (number.isascii() and number.isdigit()):
        raise ValueError(
            rf"substitution has \{number} in it: groups are \0 to \9; a backslash that means itself is %5C"
        )
    if int(number) > groups:
        raise ValueError(f"substitution wants group {number}, but the pattern has {groups}")
    return int(number)


def _sentence(error: re2.error) -> str:
    reason = error.args[0] if error.args else ""
    return reason.decode("utf-8", "replace") if isinstance(reason, bytes) else str(reason)
