"""Filters made of functions, so that a test can say in one line what a filter does."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import cache
from typing import Any

from pydantic import ConfigDict

from extproc import Exchange, Filter, Phase, Use

__all__ = ["Do", "acting", "acting_in", "acting_with", "with_every_hook"]

Do = Callable[..., Any]


class Acting(Filter):
    """Has the hooks that `acting` gives it."""

    model_config = ConfigDict(use_attribute_docstrings=False)  # it would look for the source of every class made here

    hooks_by_name: dict[str, Do]


def acting(
    *, requires: frozenset[str] = frozenset(), metadata_out: frozenset[str] = frozenset(), **hooks: Do
) -> Filter:
    """A filter whose hooks are these functions of the exchange (and the chunk)."""
    return acting_with(hooks, requires=requires, metadata_out=metadata_out)


def acting_with(
    hooks: Mapping[str, Do], *, requires: frozenset[str] = frozenset(), metadata_out: frozenset[str] = frozenset()
) -> Filter:
    """A filter with these hooks, by name."""
    return _kind(frozenset(hooks), requires, metadata_out)(hooks_by_name=dict(hooks))


def acting_in(phase: Phase, do: Do, *, metadata_out: frozenset[str] = frozenset()) -> Filter:
    """A filter with one hook, for a phase; it takes bodies whole."""
    return acting_with({f"on_{phase.value}": do}, metadata_out=metadata_out)


def with_every_hook(name: str, log: list[str]) -> Use:
    """A filter that notes each of its hooks."""

    def note(hook: str) -> Do:
        return lambda exchange: log.append(f"{name} {hook}")

    hooks = {f"on_{phase.value}": note(phase.value) for phase in Phase}
    return Use(acting_with({**hooks, "on_complete": note("end")}), name=name)


@cache
def _kind(names: frozenset[str], requires: frozenset[str], metadata_out: frozenset[str]) -> type[Acting]:
    members = {name: _chunk_hook(name) if name.endswith("_chunk") else _hook(name) for name in names}
    settings = {"__module__": __name__, "requires": requires, "metadata_out": metadata_out}
    kind: type[Acting] = type("Acting", (Acting,), {**members, **settings})
    return kind


def _hook(name: str) -> Do:
    def hook(self: Acting, exchange: Exchange) -> Any:
        return self.hooks_by_name[name](exchange)

    return hook


def _chunk_hook(name: str) -> Do:
    def hook(self: Acting, exchange: Exchange, chunk: bytes) -> Any:
        return self.hooks_by_name[name](exchange, chunk)

    return hook
