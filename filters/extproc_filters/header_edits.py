"""`HeaderEdits`: edits of one message's headers, as they are configured."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from functools import cached_property
from typing import TYPE_CHECKING, TypeAlias, TypeVar

from pydantic import BaseModel, ConfigDict, Field, field_validator

from extproc import HeaderError, Headers
from extproc_filters.fields import can_stand, header_name
from extproc_filters.template import Reference, Template

if TYPE_CHECKING:
    from extproc import Exchange

__all__ = ["HeaderEdits"]

_Matcher: TypeAlias = Callable[[str], bool]
_V = TypeVar("_V")

_RESERVED = "x-envoy-"
_GLOB = re.compile(r"[!#$%&'*+\-.^_`|~0-9a-z]{1,256}")  # a token of RFC 9110, in which `*` is a wildcard


class HeaderEdits(BaseModel):
    """Edits of one message's headers.

    They are made in this order: `remove`, `rename`, `set`, `append`, `add_if_absent`. Within one of them their order
    does not matter.

    Values may have places to be filled in, from the exchange as it was before any of these edits:
    ``{request.method}``, ``.scheme``, ``.host``, ``.path``, ``.query``; ``{request.header.NAME}``; in a response
    ``{response.status}`` and ``{response.header.NAME}``; ``{attribute.NAME}``, an attribute of Envoy such as
    ``source.address``. A brace that means itself is doubled. When what is to be filled in is not there, is empty or
    must not stand in a header, then the whole value counts as not there.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True)

    remove: tuple[str, ...] = ()
    """Names of headers to remove, or globs such as ``x-internal-*``. A glob passes over what frames the message, and
    over ``x-envoy-…`` unless it begins so itself."""

    rename: dict[str, str] = Field(default_factory=dict[str, str])
    """New names by old ones. All values move, and replace what had the new name; a header that is not there changes
    nothing (to be rid of what a client sent under the new name, `remove` that too)."""

    set: dict[str, str] = Field(default_factory=dict[str, str])
    """Values by name, in place of all there are. If the value is not there, the header goes."""

    append: dict[str, str | tuple[str, ...]] = Field(default_factory=dict[str, str | tuple[str, ...]])
    """Values by name, one or several, beside those there are. A value that is not there is left out."""

    add_if_absent: dict[str, str] = Field(default_factory=dict[str, str])
    """Values by name, for headers that are still absent after all the other edits."""

    @field_validator("remove")
    @classmethod
    def _check_remove(cls, names: tuple[str, ...]) -> tuple[str, ...]:
        return tuple(_checked_glob(name) if "*" in name else header_name(name, removing=True) for name in names)

    @field_validator("rename")
    @classmethod
    def _check_rename(cls, names: dict[str, str]) -> dict[str, str]:
        renamed = [(header_name(old, removing=True), header_name(new)) for old, new in names.items()]
        if any(old == new for old, new in renamed):
            raise ValueError("a header is renamed to itself")
        _by_name((new, old) for old, new in renamed)
        return _by_name(renamed)

    @field_validator("set", "add_if_absent")
    @classmethod
    def _check_values(cls, values: dict[str, str]) -> dict[str, str]:
        for name, value in values.items():
            _check_value(name, value)
        return _by_name(values.items())

    @field_validator("append")
    @classmethod
    def _check_append(cls, values: dict[str, str | tuple[str, ...]]) -> dict[str, str | tuple[str, ...]]:
        for name, value in values.items():
            for item in _each(value):
                _check_value(name, item)
        return _by_name(values.items())

    @property
    def is_empty(self) -> bool:
        """Whether there is nothing to do."""
        return not (self.remove or self.rename or self.set or self.append or self.add_if_absent)

    @property
    def references(self) -> tuple[Reference, ...]:
        """All places to be filled in."""
        templates = [*self._to_set, *self._to_append, *self._to_add]
        return tuple(reference for _, template in templates for reference in template.references)

    @property
    def reserved(self) -> bool:
        """Whether it touches headers that Envoy keeps to itself unless its mutation rules say otherwise."""
        names = [*self.remove, *self.rename, *self.rename.values(), *self.set, *self.append, *self.add_if_absent]
        return any(name.lower().startswith(_RESERVED) for name in names)

    def edit(self, headers: Headers, exchange: Exchange) -> None:
        """Makes the edits."""
        fixed = self._fixed
        if fixed is not None:
            for name, text in fixed:
                headers[name] = text
            return
        to_set = _rendered(self._to_set, exchange)
        to_append = _rendered(self._to_append, exchange) if self.append else ()
        to_add = _rendered(self._to_add, exchange) if self.add_if_absent else ()
        if self.remove:
            self._remove(headers)
        if self.rename:
            _rename(headers, self.rename)
        for name, value in to_set:
            if value is None:
                headers.discard(name)
            else:
                headers[name] = value
        for name, value in to_append:
            if value is not None:
                headers.add(name, value)
        for name, value in to_add:
            if value is not None and name not in headers:
                headers[name] = value

    def _remove(self, headers: Headers) -> None:
        for name in self.remove:
            if "*" not in name:
                headers.discard(name)
        for matches in self._globs:
            for name in [name for name in headers if matches(name)]:
                with suppress(HeaderError):  # a glob cannot know what frames the message: that stays
                    del headers[name]

    @cached_property
    def _globs(self) -> tuple[_Matcher, ...]:
        return tuple(_matcher(name) for name in self.remove if "*" in name)

    @cached_property
    def _fixed(self) -> tuple[tuple[str, str], ...] | None:
        """What to set, when that is all there is to do and nothing is to be filled in; else None."""
        if self.remove or self.rename or self.append or self.add_if_absent:
            return None
        fixed = [(name, template.fixed) for name, template in self._to_set if template.fixed is not None]
        return tuple(fixed) if len(fixed) == len(self.set) else None

    @cached_property
    def _to_set(self) -> tuple[tuple[str, Template], ...]:
        return _templates(self.set)

    @cached_property
    def _to_append(self) -> tuple[tuple[str, Template], ...]:
        return _templates(self.append)

    @cached_property
    def _to_add(self) -> tuple[tuple[str, Template], ...]:
        return _templates(self.add_if_absent)


def _rename(headers: Headers, names: Mapping[str, str]) -> None:
    """All at once, so that two headers can change places."""
    moved = {new: headers.get_all(old) for old, new in names.items() if old in headers}
    for old in names:
        headers.discard(old)
    for new, values in moved.items():
        headers.discard(new)
        for value in filter(can_stand, values):
            headers.add(new, value)


def _templates(values: Mapping[str, str | tuple[str, ...]]) -> tuple[tuple[str, Template], ...]:
    return tuple((name, Template.parse(item)) for name, value in values.items() for item in _each(value))


def _rendered(templates: tuple[tuple[str, Template], ...], exchange: Exchange) -> list[tuple[str, str | None]]:
    """By name, the value; None where it is not there, or must not stand in a header."""
    return [(name, _value(template, exchange)) for name, template in templates]


def _value(template: Template, exchange: Exchange) -> str | None:
    if template.fixed is not None:  # checked when the configuration was read
        return template.fixed
    value = template.render(exchange)
    return value if value is not None and can_stand(value) else None


def _each(value: str | tuple[str, ...]) -> tuple[str, ...]:
    return (value,) if isinstance(value, str) else value


def _by_name(items: Iterable[tuple[str, _V]]) -> dict[str, _V]:
    """The items by header name in lower case.

    Raises:
        ValueError: a name is illegal, or there twice.
    """
    named: dict[str, _V] = {}
    for name, value in items:
        key = header_name(name)
        if key in named:
            raise ValueError(f"header {key!r} is there twice")
        named[key] = value
    return named


def _check_value(name: str, value: str) -> None:
    if not can_stand(Template.parse(value).literal):
        raise ValueError(f"the value of {name!r} has a control character in it, such as a line break: take it out")


def _checked_glob(text: str) -> str:
    if not _GLOB.fullmatch(text.lower()):
        raise ValueError(f"{text!r} is no glob for header names: letters, digits, '-' and '*'")
    return text.lower()


def _matcher(glob: str) -> _Matcher:
    """Whether a name matches. Taking each piece where it is found first never has to go back, so no name takes long."""
    begin, *middle, end = glob.split("*")
    shortest = len(begin) + len(end)
    reaches_reserved = glob.startswith(_RESERVED)

    def matches(name: str) -> bool:
        if not (name.startswith(begin) and name.endswith(end) and len(name) >= shortest):
            return False
        if name.startswith(_RESERVED) and not reaches_reserved:
            return False
        at, last = len(begin), len(name) - len(end)
        for piece in middle:
            found = name.find(piece, at, last)
            if found < 0:
                return False
            at = found + len(piece)
        return True

    return matches
