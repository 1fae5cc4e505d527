"""YAML text to PyYAML's tree of nodes, by the core schema of YAML 1.2 and with a limit to its depth."""

from __future__ import annotations

import re
from typing import Any

import yaml
from yaml.composer import Composer
from yaml.parser import Parser
from yaml.reader import Reader
from yaml.resolver import BaseResolver
from yaml.scanner import Scanner

__all__ = ["DEEPEST", "SCALARS", "TAG", "compose", "convert"]

TAG = "tag:yaml.org,2002:"
DEEPEST = 60

_SCALARS: dict[str, tuple[str, str]] = {  # by tag: the pattern of plain scalars, and their first characters
    "null": ("~|null|Null|NULL", "~nN"),
    "bool": ("true|True|TRUE|false|False|FALSE", "tTfF"),
    "int": ("[-+]?(0|[1-9][0-9]*)|0o[0-7]+|0x[0-9a-fA-F]+", "-+0123456789"),
    "float": (
        r"[-+]?(\.[0-9]+|(0|[1-9][0-9]*)(\.[0-9]*)?)([eE][-+]?[0-9]+)?|[-+]?\.(inf|Inf|INF)|\.(nan|NaN|NAN)",
        "-+.0123456789",
    ),
    "merge": ("<<", "<"),
}
"""The core schema of YAML 1.2.2, section 10.3.2, and the merge key of YAML 1.1."""

SCALARS = frozenset({"str", *_SCALARS})
"""The tags that a scalar may have, without `TAG`."""


def _implicit_resolvers() -> dict[str, list[tuple[str, re.Pattern[str]]]]:
    table: dict[str, list[tuple[str, re.Pattern[str]]]] = {"": [(TAG + "null", re.compile(r"\Z"))]}
    for name, (pattern, first) in _SCALARS.items():
        for character in first:
            table.setdefault(character, []).append((TAG + name, re.compile(rf"(?:{pattern})\Z")))
    return table


_RESOLVERS = _implicit_resolvers()


class _Loader(Reader, Scanner, Parser, Composer, BaseResolver):
    """Makes nodes and nothing else, whatever tags say."""

    def __init__(self, text: str) -> None:
        Reader.__init__(self, text)
        Scanner.__init__(self)
        Parser.__init__(self)
        Composer.__init__(self)
        BaseResolver.__init__(self)
        self.yaml_implicit_resolvers = _RESOLVERS
        self._depth = 0

    def compose_node(self, parent: yaml.Node | None, index: int) -> yaml.Node | None:
        self._depth += 1
        if self._depth > DEEPEST:
            raise yaml.MarkedYAMLError(None, None, f"more than {DEEPEST} levels deep", self.get_mark())
        node = super().compose_node(parent, index)
        self._depth -= 1
        return node


def compose(text: str) -> yaml.Node | None:
    """The root of the one document in `text`; None when there is nothing in it.

    Raises:
        yaml.YAMLError: it is not YAML, more than one document, or too deep.
    """
    loader = _Loader(text)
    try:
        return loader.get_single_node()
    except (ValueError, OverflowError):  # an escape such as \UFFFFFFFF runs into the limits of Python
        raise yaml.MarkedYAMLError(None, None, "an impossible escape or number", loader.get_mark()) from None


def convert(node: yaml.ScalarNode) -> Any:
    """The value of a scalar, by its tag.

    Raises:
        ValueError: the text is not of the type that its tag says, or longer than Python takes.
    """
    kind, text = node.tag.removeprefix(TAG), node.value
    if kind == "null":
        return None
    if kind == "bool":
        return ("false", "true").index(text.lower()) == 1
    if kind == "int":
        return int(text, 0)
    if kind == "float":
        return float(re.sub(r"\.(?=inf|nan)", "", text.lower()))
    return text
