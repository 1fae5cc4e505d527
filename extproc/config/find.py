"""Finding filter classes: by the name of an entry point, as the catalogue's are, or by ``package.module:Class``."""

from __future__ import annotations

import inspect
from importlib.metadata import entry_points
from pathlib import Path
from typing import TYPE_CHECKING

from extproc.config.importing import ImportFailure, import_attribute, is_reference
from extproc.config.names import nearest
from extproc.errors import ConfigError, ConfigProblem
from extproc.filter import Filter

if TYPE_CHECKING:
    from importlib.metadata import EntryPoint

__all__ = ["GROUP", "catalogue", "find_filter"]

GROUP = "extproc.filters"
"""The entry point group under which packages offer filters by name."""


def catalogue() -> list[str]:
    """The names of all filters that installed packages offer."""
    return sorted(entry_points(group=GROUP).names)


def find_filter(use: str, directory: Path | None = None) -> type[Filter]:
    """The filter class that `use` names.

    Args:
        use: a catalogue name, or ``package.module:Class``.
        directory: where modules are looked for before Python's path; by default the current directory.

    Raises:
        ConfigError: there is no such filter, or it cannot be used.
    """
    try:
        return _filter_class(import_attribute(_reference(use), directory or Path.cwd()), use)
    except ImportFailure as error:
        raise ConfigError(use, [ConfigProblem(str(error))]) from None


def _reference(use: str) -> str:
    if is_reference(use):
        return use
    found = {point.value: point for point in entry_points(group=GROUP, name=use)}
    if len(found) > 1:
        offers = " and ".join(_offer(point) for point in found.values())
        raise ImportFailure(f"'{use}' is offered by {offers}: say which, as package.module:Class")
    if not found:
        raise ImportFailure(_unknown(use))
    return next(iter(found))


def _offer(point: EntryPoint) -> str:
    return f"{point.dist.name} ({point.value})" if point.dist else point.value


def _unknown(use: str) -> str:
    module, dot, name = use.rpartition(".")
    if dot and is_reference(f"{module}:{name}"):
        return f"unknown filter '{use}': a class is written module:Class, so '{module}:{name}'"
    names = catalogue()
    said = nearest(use, names) or f": the filters are {', '.join(names)}; write your own module:Class"
    return f"unknown filter {use!r}{said}"


def _filter_class(found: object, use: str) -> type[Filter]:
    if not (inspect.isclass(found) and issubclass(found, Filter)):
        raise ImportFailure(f"{use} is not a filter: a filter is a class derived from extproc.Filter")
    if inspect.isabstract(found):
        missing = ", ".join(sorted(found.__abstractmethods__))
        raise ImportFailure(f"{use} is abstract: it has no {missing}")
    return found
