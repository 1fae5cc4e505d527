"""`Headers`: what a filter reads and edits; order, duplicates and bytes are kept."""

from __future__ import annotations

import sys
from collections.abc import Iterator, MutableMapping
from functools import lru_cache
from typing import TYPE_CHECKING

from extproc.errors import HeaderError, PhaseError
from extproc.guard import check_name, check_value

if TYPE_CHECKING:
    from extproc.messages import RawHeaders

__all__ = ["Headers"]

_JOINERS = {"cookie": b"; ", "set-cookie": b"\n"}
"""RFC 9113 section 8.2.3 for cookie; set-cookie is no list (RFC 6265 section 3), so only `get_all` is right for it."""


class Headers(MutableMapping[str, str]):
    """Case-insensitive headers that keep their order, their duplicates and their bytes.

    Reading joins duplicates, as RFC 9110 section 5.3 defines their meaning: a second ``x-api-key`` cannot hide behind
    the first one. Text is UTF-8; bytes that are not UTF-8 survive a round trip (``surrogateescape``).

    Assignment replaces every occurrence, `add` adds one, ``del`` removes all. An edit that must not go out raises
    `HeaderError` at once; an edit that comes too late raises `PhaseError`.

    Pseudo-headers are not in here: they are attributes of `Request` and `Response`.
    """

    __slots__ = ("_allowed", "_at_most", "_grown", "_items", "_owned", "_repeats", "_sealed", "_values")

    def __init__(self, items: RawHeaders | None = None, size: int = 0) -> None:
        """Takes headers as they came, unchecked: `items` is not copied before the first edit.

        Args:
            items: the headers.
            size: more bytes than they take, where that is known; spares counting them after each edit.
        """
        self._at_most = size or sys.maxsize
        self._items: RawHeaders = [] if items is None else items
        self._owned = items is None
        self._sealed = ""
        self._allowed: frozenset[str] = frozenset()
        self._grown = True  # since `_rebase`, nothing was done but to add new names at the end
        self._repeats: bool | None = None  # whether a name occurs twice; None: nobody has looked
        self._values: dict[str, bytes] = {}  # where none does, `_items` by name, to spare walking through them

    # Reading

    def __getitem__(self, name: str) -> str:
        """The value, duplicates joined with ``", "`` (``"; "`` for cookie).

        Raises:
            KeyError: there is no such header.
        """
        values = self.get_raw(name)
        if not values:
            raise KeyError(name)
        raw = values[0] if len(values) == 1 else _JOINERS.get(name.lower(), b", ").join(values)
        return raw.decode("utf-8", "surrogateescape")

    def get_all(self, name: str) -> list[str]:
        """Each occurrence on its own; an empty list when there is none."""
        return [value.decode("utf-8", "surrogateescape") for value in self.get_raw(name)]

    def get_raw(self, name: str) -> list[bytes]:
        """Each occurrence as it came, in bytes."""
        key = _readable(name)
        if self._has_repeats():
            return [value for item, value in self._items if item == key]
        value = self._values.get(key)
        return [] if value is None else [value]

    def multi_items(self) -> list[tuple[str, str]]:
        """Every occurrence in order: lower-case name, value."""
        return [(n, v.decode("utf-8", "surrogateescape")) for n, v in self._items if not _is_hidden(n)]

    def __iter__(self) -> Iterator[str]:
        """Each name once, in order of first occurrence."""
        return iter([name for name in dict(self._items) if name[:1] != ":" and name != "host"])  # see `_is_hidden`

    def __len__(self) -> int:
        """How many different names there are."""
        return sum(1 for _ in self)

    def __contains__(self, name: object) -> bool:
        """Whether there is such a header."""
        return isinstance(name, str) and bool(self.get_raw(name))

    def __repr__(self) -> str:
        """The headers as a list of pairs."""
        return f"Headers({self.multi_items()!r})"

    def _has_repeats(self) -> bool:
        if self._repeats is None:
            self._values = dict(self._items)
            self._repeats = len(self._values) < len(self._items)
        return self._repeats

    # Editing

    def __setitem__(self, name: str, value: str | bytes) -> None:
        """Sets the header, in place of every occurrence there is.

        Raises:
            HeaderError: the name or the value must not go out.
            PhaseError: the headers have left already.
        """
        self._put(self._writable(name), check_value(name, value))

    def add(self, name: str, value: str | bytes) -> None:
        """Adds an occurrence and keeps those there are, as ``set-cookie`` wants it. Raises as assignment does."""
        self._append(self._writable(name), check_value(name, value))

    def __delitem__(self, name: str) -> None:
        """Removes every occurrence.

        Raises:
            KeyError: there is none (``headers.pop(name, None)`` does not mind).
        """
        if not self._drop(self._writable(name, removing=True)):
            raise KeyError(name)

    def _writable(self, name: str, *, removing: bool = False) -> str:
        if self._sealed:
            raise PhaseError(f"header {name!r} cannot be changed: {self._sealed}")
        key = check_name(name, removing=True) if removing else check_name(name)  # a cache is slower with keywords
        if key.startswith("x-envoy-") and "envoy_headers" not in self._allowed:
            raise HeaderError(
                name,
                "is reserved by Envoy, which would drop the edit silently: "
                "add 'envoy_headers' to the filter's `requires`, so that the chain asks Envoy to allow it",
            )
        return key

    def _append(self, key: str, raw: bytes) -> None:
        self._repeats = self._has_repeats() or key in self._values
        self._grown = self._grown and not self._repeats
        self._values[key] = raw
        self._own().append((key, raw))
        self._at_most += len(key) + len(raw)

    def _put(self, key: str, raw: bytes) -> None:
        """Sets `key` where it stands first, or at the end; pseudo-headers come through here too."""
        if not self._has_repeats() and key not in self._values:
            self._append(key, raw)
            return
        items = self._own()
        at = next((index for index, item in enumerate(items) if item[0] == key), len(items))
        items[at:] = [(key, raw), *(other for other in items[at + 1 :] if other[0] != key)]
        self._at_most += len(key) + len(raw)
        self._repeats = None
        self._grown = False

    def _drop(self, key: str) -> bool:
        """Removes every occurrence; whether there was one."""
        repeats, had = self._has_repeats(), len(self._items)
        if not repeats and self._values.pop(key, None) is None:
            return False
        self._items = [item for item in self._items if item[0] != key]
        self._owned = True
        self._grown = False
        self._repeats = None if repeats else False
        return len(self._items) < had

    def _own(self) -> RawHeaders:
        """The list, safe to change: whoever took a snapshot keeps the old one."""
        if not self._owned:
            self._items = list(self._items)
            self._owned = True
        return self._items

    # For the exchange machine

    def _rebase(self) -> RawHeaders:
        self._grown = True
        return self._snapshot()

    def _snapshot(self) -> RawHeaders:
        self._owned = False
        return self._items

    def _restore(self, items: RawHeaders) -> None:
        self._items = items
        self._owned = False
        self._repeats = None


def _is_hidden(key: str) -> bool:
    """Whether it is no header to a filter: a pseudo-header, or the ``host`` that Envoy keeps as the authority."""
    return key[:1] == ":" or key == "host"


@lru_cache(maxsize=1024)  # as in `guard`
def _readable(name: str) -> str:
    key = name.lower()
    if _is_hidden(key):
        check_name(name)  # says which attribute to use instead
    return key
