"""A YAML text as plain values, each of which knows its line and column.

Values are read by the core schema of YAML 1.2: only ``true`` and ``false`` are booleans, so ``on``, ``yes`` and ``no``
are text, and so are ``1:30`` and ``2026-01-01``. A plain number with a leading zero is refused: YAML 1.1 takes it for
octal. Keys are text, as they are written. Anchors, aliases and ``<<`` work.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeGuard

import yaml
from yaml.reader import ReaderError

from extproc.config.nodes import compose
from extproc.config.places import Place, Route, field_name, printable
from extproc.config.values import Builder
from extproc.errors import ConfigError, ConfigProblem

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["Document", "is_list", "is_mapping", "parse_document", "read_document"]


_PLAINER = {
    "found character '\\t' that cannot start any token": "a tab cannot indent YAML: use spaces",
    "mapping values are not allowed here": "a ':' where none can be: check the indentation, or quote the text with it",
    "could not find expected ':'": "no ':' after this key: add it, or check the indentation",
    "but found another document": "a second document: remove what follows this '---'",
}
"""What PyYAML says, and what it means."""


@dataclass(frozen=True, slots=True)
class Document:
    """A YAML text, read.

    Attributes:
        source: what errors call it.
        value: the text as dicts with string keys, lists, str, int, float, bool and None.
        keys: where each key (or list item) stands.
        values: where each value begins.
        problems: what is wrong with it as YAML, though it could be read.
    """

    source: str
    value: Any
    keys: dict[Route, Place]
    values: dict[Route, Place]
    problems: list[ConfigProblem]

    def at(self, route: Route) -> Any:
        """The value at `route`; None when there is none."""
        value = self.value
        for step in route:
            if is_mapping(value):
                value = value.get(str(step))
            elif is_list(value) and isinstance(step, int):
                value = value[step]
            else:
                return None
        return value

    def problem(self, message: str, route: Route, *, key: bool = False) -> ConfigProblem:
        """A problem with the value at `route`, or with its key; with what is around it when there is no such value."""
        places = self.keys if key else self.values
        nearest = route
        while nearest not in places:
            nearest, places = nearest[:-1], self.keys
        place = places[nearest]
        return ConfigProblem(printable(message), field_name(route), place.line, place.column)

    def error(self, problems: list[ConfigProblem]) -> ConfigError:
        """The error that tells of `problems` and the document's own, in the order of the text."""
        found: dict[tuple[int, int, str], ConfigProblem] = {}
        for problem in self.problems + problems:  # what is wrong as YAML is wrong as a value too: once is enough
            found.setdefault((problem.line or 0, problem.column or 0, problem.field), problem)
        return ConfigError(self.source, [found[place] for place in sorted(found)])

    def check(self, problems: list[ConfigProblem]) -> None:
        """Refuses the document if there are `problems`, or any of its own.

        Raises:
            ConfigError: with all of them.
        """
        if self.problems or problems:
            raise self.error(problems)


def is_mapping(value: object) -> TypeGuard[dict[str, Any]]:
    """Whether a value of a document is a mapping."""
    return isinstance(value, dict)


def is_list(value: object) -> TypeGuard[list[Any]]:
    """Whether a value of a document is a list."""
    return isinstance(value, list)


def read_document(path: Path) -> Document:
    """Reads a file.

    Raises:
        ConfigError: it cannot be read, or is not YAML.
    """
    try:
        data = path.read_bytes()
    except FileNotFoundError:
        raise ConfigError(path, [ConfigProblem("there is no such file")]) from None
    except OSError as error:
        raise ConfigError(path, [ConfigProblem(f"cannot be read: {error.strerror}")]) from None
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise _unreadable(str(path), "is not UTF-8: save it as UTF-8", data[: error.start].decode()) from None
    return parse_document(text, str(path))


def parse_document(text: str, source: str) -> Document:
    """Reads a text.

    Raises:
        ConfigError: it is not YAML.
    """
    try:
        root = compose(text)
    except ReaderError as error:
        message = "a character that YAML does not take: remove it, or escape it in double quotes"
        raise _unreadable(source, message, text[: error.position]) from None
    except yaml.MarkedYAMLError as error:
        raise ConfigError(source, [_syntax(error)]) from None
    if root is None:
        raise _unreadable(source, "is empty", "")
    builder = Builder(source)
    return Document(source, builder.build(root), builder.keys, builder.values, builder.problems)


def _syntax(error: yaml.MarkedYAMLError) -> ConfigProblem:
    """What is wrong, where; something that never ends is shown where it begins."""
    said = error.problem or ""
    endless = said == "found unexpected end of stream" or said.endswith("'<stream end>'")
    message = "is opened here and never closed" if endless else _PLAINER.get(said, f"is not YAML: {said}")
    mark = (error.context_mark if endless else None) or error.problem_mark
    return ConfigProblem(message, "", mark.line + 1 if mark else 1, mark.column + 1 if mark else 1)


def _unreadable(source: str, message: str, before: str) -> ConfigError:
    """What is said when reading ends after `before`."""
    lines = re.split(r"\r\n|[\r\n]", before)
    return ConfigError(source, [ConfigProblem(message, "", len(lines), len(lines[-1]) + 1)])
