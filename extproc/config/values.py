"""PyYAML's nodes to plain values and their places."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import Any

import yaml

from extproc.config.nodes import DEEPEST, SCALARS, TAG, convert
from extproc.config.places import Place, Route, field_name
from extproc.errors import ConfigError, ConfigProblem

__all__ = ["Builder"]

_MOST_VALUES = 500_000  # an alias of aliases can stand for billions
_SURROGATE = re.compile("[\ud800-\udfff]")
_LEADING_ZERO = re.compile(r"[-+]?0[0-9]+(\.[0-9]*)?")
_OCTAL = "a leading zero is octal to some readers of YAML: leave it out, or put quotes around it if it is text"


@dataclass(slots=True)
class Builder:
    """Nodes to plain values.

    Attributes:
        source: what errors call the text.
        keys: where each key (or list item) stands.
        values: where each value begins.
        problems: what is wrong, though the rest could be read.
        open: the nodes around the one that is being read.
    """

    source: str
    keys: dict[Route, Place] = field(default_factory=dict[Route, Place])
    values: dict[Route, Place] = field(default_factory=dict[Route, Place])
    problems: list[ConfigProblem] = field(default_factory=list[ConfigProblem])
    open: list[yaml.Node] = field(default_factory=list[yaml.Node])

    def build(self, root: yaml.Node) -> Any:
        """The value of a whole text.

        Raises:
            ConfigError: it holds more values than anybody can have meant.
        """
        return self._value(root, (), _start(root))

    def _value(self, node: yaml.Node, route: Route, key: Place) -> Any:
        self.keys[route], self.values[route] = key, _start(node)
        if len(self.values) > _MOST_VALUES:
            raise ConfigError(self.source, [self._problem(f"more than {_MOST_VALUES} values", route, node)])
        if not self._enter(node, route):
            return None
        try:
            if isinstance(node, yaml.MappingNode) and node.tag == TAG + "map":
                return self._mapping(node, route)
            if isinstance(node, yaml.SequenceNode) and node.tag == TAG + "seq":
                return [self._value(item, (*route, i), _start(item)) for i, item in enumerate(node.value)]
            return self._scalar(node, route)
        finally:
            self.open.pop()

    def _enter(self, node: yaml.Node, route: Route) -> bool:
        if node in self.open:
            self._refuse("an alias of what it stands in: there is no end to it", route, node)
        elif len(self.open) >= DEEPEST:
            self._refuse(f"more than {DEEPEST} levels deep", route, node)
        else:
            self.open.append(node)
            return True
        return False

    def _mapping(self, node: yaml.MappingNode, route: Route) -> dict[str, Any]:
        result: dict[str, Any] = {}
        for key, item in self._own_keys(node, route):
            if key.value in result:
                first = self.keys[*route, key.value].line
                self._refuse(f"occurs twice, first in line {first}: remove one", (*route, key.value), key)
            else:
                result[key.value] = self._value(item, (*route, key.value), _start(key))
        self._merge_into(result, node, route)
        return result

    def _own_keys(self, node: yaml.MappingNode, route: Route) -> list[tuple[yaml.ScalarNode, yaml.Node]]:
        kept: list[tuple[yaml.ScalarNode, yaml.Node]] = []
        for key, item in node.value:
            if not isinstance(key, yaml.ScalarNode):
                self._refuse("a key is text, not a list or a mapping", route, key)
            elif _SURROGATE.search(key.value):
                self._refuse("a key holds half of a surrogate pair, which is no character", route, key)
            elif key.tag != TAG + "merge":
                kept.append((key, item))
        return kept

    def _merge_into(self, result: dict[str, Any], node: yaml.MappingNode, route: Route) -> None:
        """Adds what the ``<<`` of a mapping bring: keys that are there already win, and so do earlier ones."""
        for key, item in node.value:
            if key.tag == TAG + "merge":
                for source in item.value if isinstance(item, yaml.SequenceNode) else [item]:
                    self._merge(source, route, result)

    def _merge(self, node: yaml.Node, route: Route, result: dict[str, Any]) -> None:
        if not isinstance(node, yaml.MappingNode):
            self._refuse("'<<' takes a mapping: an alias such as *name", route, node)
        elif self._enter(node, route):
            for key, item in self._own_keys(node, route):
                if key.value not in result:
                    result[key.value] = self._value(item, (*route, key.value), _start(key))
            self._merge_into(result, node, route)
            self.open.pop()

    def _scalar(self, node: yaml.Node, route: Route) -> Any:
        if not isinstance(node, yaml.ScalarNode) or node.tag.removeprefix(TAG) not in SCALARS:
            return self._refuse(f"the tag {node.tag.replace(TAG, '!!')} has no meaning here: remove it", route, node)
        if _SURROGATE.search(node.value):
            return self._refuse("holds half of a surrogate pair, which is no character", route, node)
        if node.style is None and _LEADING_ZERO.fullmatch(node.value):
            return self._refuse(_OCTAL, route, node)
        try:
            return convert(node)
        except ValueError:
            return self._refuse("is not what its tag says, or too long a number", route, node)

    def _refuse(self, message: str, route: Route, node: yaml.Node) -> None:
        self.problems.append(self._problem(message, route, node))

    def _problem(self, message: str, route: Route, node: yaml.Node) -> ConfigProblem:
        place = _start(node)
        return ConfigProblem(message, field_name(route), place.line, place.column)


def _start(node: yaml.Node) -> Place:
    return Place(node.start_mark.line + 1, node.start_mark.column + 1)
