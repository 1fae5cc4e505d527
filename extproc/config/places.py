"""Where a value stands: in its document, and in the text of it."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from typing import TypeAlias

__all__ = ["Place", "Route", "field_name", "printable"]

Route: TypeAlias = tuple[str | int, ...]
"""The way to a value from the top: keys and indices."""

_PLAIN_KEY = re.compile(r"[A-Za-z_][A-Za-z0-9_-]*")


@dataclass(frozen=True, slots=True)
class Place:
    """A place in a text, as editors count: both from 1."""

    line: int
    column: int


def field_name(route: Route) -> str:
    """A route as people write it: ``filters[1].with.callers["a b"]``."""
    name = ""
    for step in route:
        if isinstance(step, int):
            name += f"[{step}]"
        elif _PLAIN_KEY.fullmatch(step):
            name += f".{step}" if name else step
        else:
            name += f"[{json.dumps(step, ensure_ascii=False)}]"
    return printable(name)


def printable(text: str) -> str:
    """The text on one line, with escapes for what a terminal would not show as it is."""
    return "".join(part if part.isprintable() else repr(part)[1:-1] for part in text)
