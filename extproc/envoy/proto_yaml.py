"""Reading Envoy's YAML and JSON as protobuf does, without the types of `envoy-data-plane`, and with places."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from extproc.config.document import is_list, is_mapping

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from extproc.config.document import Document
    from extproc.config.places import Route
    from extproc.errors import ConfigProblem

__all__ = ["ProtoNode"]


@dataclass(frozen=True, slots=True)
class ProtoNode:
    """A value in a document that protobuf would read.

    Attributes:
        document: the document.
        route: where in it.
    """

    document: Document
    route: Route = ()

    @property
    def value(self) -> Any:
        """The value as it is written."""
        return self.document.at(self.route)

    def below(self) -> Iterator[ProtoNode]:
        """This node and all under it that are mappings."""
        value = self.value
        if is_mapping(value):
            yield self
        steps = value if is_mapping(value) else range(len(value)) if is_list(value) else ()
        for step in steps:
            yield from ProtoNode(self.document, (*self.route, step)).below()

    def is_a(self, message: str) -> bool:
        """Whether it is a mapping of that type, given by its full name."""
        return is_mapping(self.value) and str(self.value.get("@type", "")).endswith(f"/{message}")

    def child(self, *path: str) -> ProtoNode | None:
        """What stands at `path`, or None."""
        node = self
        for name in path:
            value = node.value
            written = name if is_mapping(value) and name in value else _camel(name)
            if not is_mapping(value) or written not in value:
                return None
            node = ProtoNode(self.document, (*node.route, written))
        return node

    def read(self, *path: str, default: Any = None) -> Any:
        """The value at `path`, as it is written."""
        found = self.child(*path)
        return default if found is None else found.value

    def has_any(self, names: Iterable[str]) -> bool:
        """Whether one of these fields is there."""
        return any(self.child(name) is not None for name in names)

    def names(self, *path: str) -> list[str]:
        """The items of the list at `path`; none when there is no list."""
        value = self.read(*path)
        return [str(item) for item in value] if is_list(value) else []

    def is_true(self, *path: str) -> bool:
        """Whether a boolean is set; Envoy's YAML takes ``yes`` and ``on`` for true as well."""
        value = self.read(*path, default=False)
        if is_mapping(value):  # BoolValue, as some write it
            value = value.get("value")
        return str(value).lower() in ("true", "yes", "on", "y")

    def problem(self, message: str, *path: str) -> ConfigProblem:
        """A problem at `path`, placed where the innermost part of it stands that is there."""
        found = next((node for end in range(len(path), 0, -1) if (node := self.child(*path[:end]))), self)
        return replace(self.document.problem(message, found.route, key=True), field=".".join(path))


def _camel(name: str) -> str:
    return re.sub(r"_([a-z])", lambda match: match[1].upper(), name)
