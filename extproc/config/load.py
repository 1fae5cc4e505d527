"""`load_chain`: a chain from wherever the command line names one."""

from __future__ import annotations

import inspect
from pathlib import Path
from typing import Any

from extproc.chain import Chain
from extproc.config.chainfile import build_chain
from extproc.config.document import read_document
from extproc.config.importing import ImportFailure, import_attribute, is_reference, last_line
from extproc.errors import ConfigError, ConfigProblem
from extproc.filter import Filter

__all__ = ["load_chain"]


def load_chain(source: str | Path) -> Chain:
    """The chain in a chain file, or the one that ``module:attribute`` names.

    Args:
        source: the path of a YAML file; or ``module:attribute``, where the attribute is a `Chain` or a function that
            takes nothing and gives one, and the module may lie in the current directory.

    Raises:
        ConfigError: there is no such chain, or it is wrong; holds everything that is.
    """
    if isinstance(source, str) and is_reference(source) and not Path(source).exists():
        return _imported(source)
    path = Path(source)
    if not path.exists():
        raise ConfigError(source, [ConfigProblem("there is no such file; a chain in code is written module:attribute")])
    return build_chain(read_document(path), path.resolve().parent)


def _imported(source: str) -> Chain:
    try:
        return _chain(import_attribute(source, Path.cwd()))
    except ImportFailure as error:
        raise ConfigError(source, [ConfigProblem(str(error))]) from None


def _chain(found: Any) -> Chain:
    if isinstance(found, Chain):
        return found
    if isinstance(found, Filter) or (inspect.isclass(found) and issubclass(found, Filter)):
        raise ImportFailure("is a filter, not a chain: put it into one, Chain([...])")
    if not callable(found) or inspect.iscoroutinefunction(found):
        raise ImportFailure(f"is {_kind(found)}, not a Chain or a function that gives one")
    try:
        made = found()
    except Exception as error:  # noqa: BLE001 (users' code)
        raise ImportFailure(f"fails: {last_line(error, Path.cwd())}") from None
    if not isinstance(made, Chain):
        raise ImportFailure(f"gives {_kind(made)}, not a Chain")
    return made


def _kind(value: object) -> str:
    if inspect.iscoroutinefunction(value):
        return "an async function"
    return "None" if value is None else f"of type {type(value).__name__}"
