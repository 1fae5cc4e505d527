"""Importing what a configuration names as ``package.module:attribute``, also from beside the configuration."""

from __future__ import annotations

import importlib
import sys
import traceback
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pydantic import ValidationError

from extproc.config.names import nearest

if TYPE_CHECKING:
    from types import ModuleType

__all__ = ["ImportFailure", "import_attribute", "is_reference", "last_line", "without_input"]

_NEVER_LOCAL = sys.stdlib_module_names | {"extproc", "extproc_filters"}


class ImportFailure(Exception):  # noqa: N818 (not for users, who get a ConfigError)
    """What cannot be imported, and why, in a sentence."""


def is_reference(text: str) -> bool:
    """Whether `text` has the form ``package.module:attribute``."""
    module, colon, attribute = text.partition(":")
    return colon == ":" and all(part.isidentifier() for part in f"{module}.{attribute}".split("."))


def import_attribute(reference: str, directory: Path) -> Any:
    """What ``package.module:attribute`` names; modules in `directory` come before those on Python's path.

    Raises:
        ImportFailure: the module cannot be imported, or has no such attribute.
    """
    name, _, attribute = reference.partition(":")
    module = _import(name, directory)
    value: Any = module
    for part in attribute.split("."):
        try:
            value = getattr(value, part)
        except AttributeError:
            public = [item for item in dir(value) if not item.startswith("_")]
            raise ImportFailure(f"{name} has no '{part}'{nearest(part, public)}") from None
    return value


def last_line(error: BaseException, directory: Path) -> str:
    """What went wrong, and where, if that was in a file below `directory`: ``file.py:3: NameError: ...``."""
    sentence = " ".join(_said(error).split())
    if isinstance(error, SyntaxError) and error.filename:
        return f"{error.filename}:{error.lineno}: {sentence}"
    frames = [frame for frame in traceback.extract_tb(error.__traceback__) if _within(frame.filename, directory)]
    return f"{frames[-1].filename}:{frames[-1].lineno}: {sentence}" if frames else sentence


def _said(error: BaseException) -> str:
    if isinstance(error, ValidationError):  # its own text repeats the input, which may be a secret
        return f"{error.title}: {without_input(error)}"
    return traceback.format_exception_only(error)[-1]


def without_input(error: ValidationError) -> str:
    """What pydantic found wrong, without the values that it found."""
    return "; ".join(
        f"{'.'.join(map(str, details['loc'])) or error.title}: {details['msg']}"
        for details in error.errors(include_url=False, include_input=False)
    )


def _import(name: str, directory: Path) -> ModuleType:
    local = _local_modules(directory)
    top = name.partition(".")[0]
    if top in local:
        _forget_namesakes(local, directory)
        _put_first(str(directory))
    try:
        return importlib.import_module(name)
    except ModuleNotFoundError as error:
        if error.name is not None and f"{name}.".startswith(f"{error.name}."):
            raise ImportFailure(f"there is no module '{error.name}'{nearest(error.name, local)}") from None
        raise ImportFailure(f"{name} cannot be imported: {last_line(error, directory)}") from None
    except (Exception, SystemExit) as error:  # noqa: BLE001 (a module may do anything when it is imported)
        raise ImportFailure(f"{name} cannot be imported: {last_line(error, directory)}") from None


def _local_modules(directory: Path) -> set[str]:
    """Top-level modules and packages in a directory, those aside that only a madman would replace."""
    names = {path.stem if path.is_file() else path.name for path in directory.glob("*") if _is_module(path)}
    return {name for name in names if name.isidentifier() and not name.startswith("__")} - _NEVER_LOCAL


def _is_module(path: Path) -> bool:
    return path.suffix == ".py" or any(path.glob("*.py"))


def _forget_namesakes(local: set[str], directory: Path) -> None:
    """Drops modules of the same names that came from elsewhere, such as from beside another chain file.

    Two versions of a project can so be loaded and compared in one process; classes of the first go on working.
    """
    strangers = {name for name in local if name in sys.modules and not _lies_in(sys.modules[name], directory)}
    for name in list(sys.modules):
        if name.partition(".")[0] in strangers:
            del sys.modules[name]


def _lies_in(module: ModuleType, directory: Path) -> bool:
    files = [module.__file__] if getattr(module, "__file__", None) else list(getattr(module, "__path__", []))
    return any(_within(file, directory) for file in files if file)


def _within(file: str, directory: Path) -> bool:
    return Path(file).resolve().is_relative_to(directory.resolve())


def _put_first(directory: str) -> None:
    """Puts `directory` first on Python's path, for good: a filter may import its neighbours as late as it likes."""
    if directory in sys.path:
        sys.path.remove(directory)
    sys.path.insert(0, directory)
    importlib.invalidate_caches()
