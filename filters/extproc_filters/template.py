"""Header values with places to be filled in: ``{request.header.x-user}``."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, TypeAlias

from extproc_filters.fields import header_name

if TYPE_CHECKING:
    from extproc import Exchange, Request, Response

__all__ = ["Reference", "Template"]

_Subject: TypeAlias = Literal["request", "response", "attribute"]

_SUBJECTS: dict[str, _Subject] = {"request": "request", "response": "response", "attribute": "attribute"}
_TOKEN = re.compile(r"\{\{|\}\}|\{([^{}]*)\}|[{}]")
_PARTS: dict[_Subject, tuple[str, ...]] = {
    "request": ("method", "scheme", "host", "path", "query"),
    "response": ("status",),
}
_ATTRIBUTE = re.compile(r"(?:request|response|source|destination|connection|upstream|xds)\.[a-z_]+(?:\.[a-z_]+)*")
_KNOWN = (
    "request.method, .scheme, .host, .path or .query, request.header.NAME, response.status, response.header.NAME, "
    "attribute.NAME such as attribute.source.address"
)


@dataclass(frozen=True, slots=True)
class Reference:
    """One place to be filled in.

    Attributes:
        subject: what it is about.
        header: whether `name` is that of a header.
        name: a header, an Envoy attribute, or a part of the subject such as ``path``.
    """

    subject: _Subject
    header: bool
    name: str

    @classmethod
    def parse(cls, text: str) -> Reference:
        """Reads what stands between the braces.

        Raises:
            ValueError: there is no such thing.
        """
        first, _, name = text.partition(".")
        subject, (kind, _, header) = _SUBJECTS.get(first), name.partition(".")
        if subject == "attribute" and _ATTRIBUTE.fullmatch(name):
            return cls(subject, header=False, name=name)
        if subject in _PARTS and kind == "header" and header:
            return cls(subject, header=True, name=header_name(header, removing=True))
        if subject in _PARTS and name in _PARTS[subject]:
            return cls(subject, header=False, name=name)
        raise ValueError(f"{{{text}}} stands for nothing: there is {_KNOWN}; a brace that means itself is doubled")

    def read(self, exchange: Exchange) -> str:
        """What it stands for in `exchange`; empty when that is not there."""
        if self.subject == "attribute":
            return _text(exchange.attributes.get(self.name))
        side: Request | Response = exchange.request if self.subject == "request" else exchange.response
        return side.headers.get(self.name, "") if self.header else _text(getattr(side, self.name))


@dataclass(frozen=True, slots=True)
class Template:
    """A value, with or without places to be filled in.

    Attributes:
        parts: what it is made of, in order.
        fixed: the value, if there is no place to be filled in.
    """

    parts: tuple[str | Reference, ...]
    fixed: str | None = None

    @classmethod
    def parse(cls, text: str) -> Template:
        """Reads a value as it is written in a configuration.

        Raises:
            ValueError: a brace is alone, or something between braces is unknown.
        """
        parts: list[str | Reference] = []
        end = 0
        for token in _TOKEN.finditer(text):
            parts += [text[end : token.start()], _part(token)]
            end = token.end()
        parts = [part for part in [*parts, text[end:]] if part != ""]
        texts = [part for part in parts if isinstance(part, str)]
        return cls(tuple(parts), "".join(texts) if len(texts) == len(parts) else None)

    @property
    def references(self) -> tuple[Reference, ...]:
        """The places to be filled in."""
        return tuple(part for part in self.parts if isinstance(part, Reference))

    @property
    def literal(self) -> str:
        """What is there before anything is filled in."""
        return "".join(part for part in self.parts if isinstance(part, str))

    def render(self, exchange: Exchange) -> str | None:
        """The value for `exchange`; None when something it needs is not there, or empty."""
        texts = [part if isinstance(part, str) else part.read(exchange) for part in self.parts]
        return "".join(texts) if all(texts) else None


def _part(token: re.Match[str]) -> str | Reference:
    if token.group() in ("{{", "}}"):
        return token.group()[0]
    if token.group(1) is None:
        raise ValueError(f"a lone {token.group()!r}: a brace that means itself is doubled")
    return Reference.parse(token.group(1))


def _text(value: object) -> str:
    """An attribute as text; what is neither text nor number has none."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, float) and value.is_integer():
        return str(int(value))
    return str(value) if isinstance(value, str | int | float) else ""
