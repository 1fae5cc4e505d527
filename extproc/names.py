"""Names of headers: how a filter spells them, how they are kept, and which of them it may edit."""

from __future__ import annotations

import re
from functools import lru_cache
from itertools import product
from typing import TYPE_CHECKING

from extproc.guard import check_name

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["is_hidden", "readable", "removable", "settable", "spellings"]

_ENVOYS = "x-envoy-"
_MOST_NAMES = 1024
_MOST_WORDS = 4


def is_hidden(key: str) -> bool:
    """Whether it is no header to a filter: a pseudo-header, or the ``host`` that Envoy keeps as the authority."""
    return key[:1] == ":" or key == "host"


@lru_cache(maxsize=_MOST_NAMES)
def spellings(key: str) -> tuple[str, ...]:
    """All that differ from a name in ``-`` and ``_`` only, if they are few; it is one of them."""
    words = re.split("[-_]", key)
    if len(words) > _MOST_WORDS:
        return ()
    return tuple(map("".join, product(*((f"{word}-", f"{word}_") for word in words[:-1]), words[-1:])))


class _Names(dict[str, str]):
    """What becomes of names, remembered for a while: filters use the same few, and a call takes twice as long."""

    def __init__(self, becomes: Callable[[str], str]) -> None:
        super().__init__()
        self._becomes = becomes

    def __missing__(self, name: str) -> str:
        key = self._becomes(name)
        if len(self) >= _MOST_NAMES:
            self.clear()
        self[name] = key
        return key


def _to_read(name: str) -> str:
    """The name in lower case."""
    key = name.lower()
    if is_hidden(key):
        check_name(name)  # says which attribute to use instead
    return key


def _to_set(name: str) -> str:
    """The name in lower case, when any filter may set it; empty: Envoy keeps it for those that are allowed to."""
    key = check_name(name)
    return "" if key.startswith(_ENVOYS) else key


def _to_remove(name: str) -> str:
    """The same for a name to remove."""
    key = check_name(name, removing=True)
    return "" if key.startswith(_ENVOYS) else key


readable, settable, removable = _Names(_to_read), _Names(_to_set), _Names(_to_remove)
"""By a name as a filter spells it: the name to read, to set or to remove it by. Each raises `HeaderError` where that
must not be, and the latter two have an empty one where only those may that are allowed to."""
