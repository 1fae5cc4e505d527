"""What is public: the root's names, and every module's `__all__`."""

from __future__ import annotations

import ast
import importlib
import inspect
import pkgutil
import types
from pathlib import Path

import pytest

import extproc

ROOT = Path(extproc.__file__).parent
CORE = sorted(
    name for _, name, is_package in pkgutil.iter_modules([str(ROOT)]) if not is_package and not name.startswith("_")
)


def exported(path: Path) -> list[str] | None:
    """A module's `__all__`, without importing it."""
    for node in ast.parse(path.read_text()).body:
        if isinstance(node, ast.Assign) and any(isinstance(t, ast.Name) and t.id == "__all__" for t in node.targets):
            names: list[str] = ast.literal_eval(node.value)
            return names
    return None


def modules() -> list[Path]:
    return [path for path in ROOT.rglob("*.py") if not path.stem.endswith("_pb2") and path.stem != "__main__"]


@pytest.mark.parametrize("path", modules(), ids=lambda path: str(path.relative_to(ROOT)))
def test_every_module_says_what_is_public(path: Path) -> None:
    names = exported(path)
    assert names is not None or not path.read_text().split('"""')[2].strip().removeprefix(
        "from __future__ import annotations"
    )
    assert len(set(names or [])) == len(names or [])


@pytest.mark.parametrize("name", extproc.__all__)
def test_a_public_name_of_the_root_exists_and_is_public_where_it_is_defined(name: str) -> None:
    value = getattr(extproc, name)
    homes = [module for module in CORE if name in (exported(ROOT / f"{module}.py") or [])]
    assert homes
    assert all(getattr(importlib.import_module(f"extproc.{home}"), name) is value for home in homes)


def test_the_root_imports_its_public_names_and_nothing_else() -> None:
    public = {
        name
        for name, value in vars(extproc).items()
        if not name.startswith("_") and not isinstance(value, types.ModuleType) and name != "annotations"
    }
    assert public == set(extproc.__all__)


def test_a_name_means_one_thing_across_the_core() -> None:
    meanings: dict[str, set[int]] = {}
    for module in CORE:
        for name in exported(ROOT / f"{module}.py") or []:
            meanings.setdefault(name, set()).add(id(getattr(importlib.import_module(f"extproc.{module}"), name)))
    assert [name for name, ids in meanings.items() if len(ids) > 1] == []


@pytest.mark.parametrize("name", [n for n in extproc.__all__ if inspect.isclass(getattr(extproc, n))])
def test_a_public_class_says_what_it_is(name: str) -> None:
    assert inspect.getdoc(getattr(extproc, name))


def test_the_package_is_typed() -> None:
    assert (ROOT / "py.typed").exists()
