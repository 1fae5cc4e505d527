"""`Headers`: what a filter reads and edits; order, duplicates and bytes are kept."""

from __future__ import annotations

import sys
from collections.abc import Iterator, MutableMapping
from typing import TYPE_CHECKING, Any, TypeVar, overload

from extproc.errors import HeaderError, PhaseError
from extproc.guard import MAX_NAME, check_name, check_value
from extproc.names import is_hidden, readable, removable, settable, spellings

if TYPE_CHECKING:
    from extproc.messages import ByName, RawHeaders

__all__ = ["Headers"]

_T = TypeVar("_T")

_NOTHING: frozenset[str] = frozenset()
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

    __slots__ = (
        "_allowed",
        "_at_most",
        "_items",
        "_owned",
        "_plain",
        "_repeats",
        "_sealed",
        "_sets",
        "_size",
        "_values",
        "_was",
    )

    def __init__(self, items: RawHeaders | None = None, size: int = 0, by_name: ByName | None = None) -> None:
        """Takes headers as they came, unchecked: `items` is not copied before the first edit.

        Args:
            items: the headers.
            size: more bytes than they take, where that is known; spares counting them after each edit.
            by_name: they by name, where somebody has them so already; it is kept, and changed with each edit.
        """
        self._at_most = self._size = size or sys.maxsize
        self._items: RawHeaders = [] if items is None else items
        self._owned = items is None
        self._sealed = ""
        self._allowed = _NOTHING
        self._values = by_name  # `_items` by name, once somebody has asked for one
        self._repeats = False if by_name is None else len(by_name) < len(self._items)  # a name occurs twice in them
        self._plain = not self._repeats  # since `_rebase`, no name has occurred twice; while that is so:
        self._was: dict[str, bytes] = {}  # what there was and is no longer so
        self._sets: dict[str, bytes] = {}  # what there is and was not so

    # Reading

    def __getitem__(self, name: str) -> str:
        """The value, duplicates joined with ``", "`` (``"; "`` for cookie).

        Raises:
            KeyError: there is no such header.
        """
        value = self.get(name)
        if value is None:
            raise KeyError(name)
        return value

    @overload
    def get(self, key: str, /) -> str | None: ...
    @overload
    def get(self, key: str, /, default: str) -> str: ...
    @overload
    def get(self, key: str, /, default: _T) -> str | _T: ...

    def get(self, key: str, /, default: Any = None) -> Any:
        """The value as `headers[key]` has it, or `default`."""
        values = self._values or self._index()
        value = values.get(readable[key])
        if value is None:
            return default
        if self._repeats:
            value = _JOINERS.get(key.lower(), b", ").join(self.get_raw(key))
        return value.decode("utf-8", "surrogateescape")

    def get_all(self, name: str) -> list[str]:
        """Each occurrence on its own; an empty list when there is none."""
        values = self._values or self._index()  # from here on as in `get_raw`: this is the hot path
        value = values.get(readable[name])
        if value is None:
            return []
        if self._repeats:
            return [value.decode("utf-8", "surrogateescape") for value in self.get_raw(name)]
        return [value.decode("utf-8", "surrogateescape")]

    def get_raw(self, name: str) -> list[bytes]:
        """Each occurrence as it came, in bytes."""
        key, values = readable[name], self._values or self._index()
        value = values.get(key)
        if value is None:
            return []
        return [value for item, value in self._items if item == key] if self._repeats else [value]

    def multi_items(self) -> list[tuple[str, str]]:
        """Every occurrence in order: lower-case name, value."""
        return [(n, v.decode("utf-8", "surrogateescape")) for n, v in self._items if not is_hidden(n)]

    def __iter__(self) -> Iterator[str]:
        """Each name once, in order of first occurrence."""
        return iter([name for name in self._index() if name[:1] != ":" and name != "host"])  # see `is_hidden`

    def __len__(self) -> int:
        """How many different names there are."""
        return sum(1 for _ in self)

    def __contains__(self, name: object) -> bool:
        """Whether there is such a header."""
        return isinstance(name, str) and readable[name] in (self._values or self._index())

    def __repr__(self) -> str:
        """The headers as a list of pairs."""
        return f"Headers({self.multi_items()!r})"

    def _index(self) -> ByName:
        values = self._values
        if values is None:
            values = self._values = dict(self._items)
            self._repeats = len(values) < len(self._items)
            self._plain = self._plain and not self._repeats
        return values

    # Editing

    def __setitem__(self, name: str, value: str | bytes) -> None:
        """Sets the header, in place of every occurrence there is.

        Raises:
            HeaderError: the name or the value must not go out.
            PhaseError: the headers have left already.
        """
        key = settable[name]
        if self._sealed or not key:
            key = self._check_edit(check_name(name))
        self._put(key, check_value(name, value))

    def add(self, name: str, value: str | bytes) -> None:
        """Adds an occurrence and keeps those there are, as ``set-cookie`` wants it. Raises as assignment does."""
        key = settable[name]
        if self._sealed or not key:
            key = self._check_edit(check_name(name))
        self._append(key, check_value(name, value))

    def __delitem__(self, name: str) -> None:
        """Removes every occurrence.

        Raises:
            KeyError: there is none (`discard` and ``headers.pop(name, None)`` do not mind).
        """
        if not self._drop(self._removable(name)):
            raise KeyError(name)

    def discard(self, name: str) -> bool:
        """Removes every occurrence, if there is one; whether there was."""
        return self._drop(self._removable(name))

    def discard_lookalikes(self, name: str) -> bool:
        """Removes what a client may send under a name that only a filter is to use; whether there was any.

        Also as ``x_caller`` for ``x-caller``: CGI and WSGI turn both into ``HTTP_X_CALLER``, so an upstream of that
        kind could not tell a client's copy from the filter's.
        """
        key, values = self._removable(name), self._values or self._index()
        for spelling in spellings(key) or values:
            if spelling in values:
                break
        else:  # nearly always
            return False
        wanted = key.replace("_", "-")
        found = [item for item in values if item.replace("_", "-") == wanted]
        for item in found:
            self._drop(self._removable(item))
        return bool(found)

    def _removable(self, name: str) -> str:
        key = removable[name]
        if self._sealed or not key:
            return self._check_edit(check_name(name, removing=True))
        return key

    def _check_edit(self, key: str) -> str:
        """The key, if it may be edited here and now."""
        if self._sealed:
            raise PhaseError(f"header {key!r} cannot be changed: {self._sealed}")
        if "envoy_headers" not in self._allowed:
            raise HeaderError(
                key,
                "is reserved by Envoy, which would drop the edit silently: "
                "add 'envoy_headers' to the filter's `requires`, so that the chain asks Envoy to allow it",
            )
        return key

    def _append(self, key: str, raw: bytes) -> None:
        if key not in (self._values or self._index()):
            self._put(key, raw)
            return
        self._repeats, self._plain, self._values = True, False, None
        self._own().append((key, raw))
        self._at_most += len(raw) + MAX_NAME

    def _put(self, key: str, raw: bytes) -> None:
        """Sets `key` where it stands first, or at the end; pseudo-headers come through here too."""
        values = self._values or self._index()
        self._at_most += len(raw) + MAX_NAME
        if key in values:
            self._replace(key, raw, values)
            return
        if key not in self._was or self._was[key] != raw:
            self._sets[key] = raw
        if self._owned:
            self._items.append((key, raw))
        else:  # as `_own`, and all at once: this is the hot path
            self._owned, self._items = True, [*self._items, (key, raw)]
        values[key] = raw

    def _replace(self, key: str, raw: bytes, values: ByName) -> None:
        had, items = values[key], self._own()
        if key not in self._sets:
            self._was.setdefault(key, had)
        if self._was.get(key) == raw:
            self._sets.pop(key, None)
        else:
            self._sets[key] = raw
        if self._repeats:
            at = next(index for index, item in enumerate(items) if item[0] == key)
            items[at:] = [(key, raw), *(item for item in items[at:] if item[0] != key)]
            self._values = None
        else:
            items[items.index((key, had))] = (key, raw)
            values[key] = raw

    def _drop(self, key: str) -> bool:
        """Removes every occurrence; whether there was one."""
        values = self._values or self._index()
        had = values.pop(key, None)
        if had is None:
            return False
        if self._sets.pop(key, None) is None:
            self._was.setdefault(key, had)
        if self._repeats:
            self._items = [item for item in self._items if item[0] != key]
            self._owned = True
            self._values = None
        else:
            self._own().remove((key, had))
        return True

    def _own(self) -> RawHeaders:
        """The list, safe to change: whoever took a snapshot keeps the old one."""
        if self._owned:
            return self._items
        self._owned = True
        self._items = items = self._items.copy()
        return items

    # For the exchange machine

    def _rebase(self) -> RawHeaders:
        """The items; edits count from here on."""
        self._plain, self._was, self._sets = not self._repeats, {}, {}
        return self._snapshot()

    def _plain_mutation(self) -> tuple[tuple[tuple[str, bytes], ...], tuple[str, ...]] | None:
        """What to set and what to remove to have the same edits made elsewhere; None: a name occurs, or did, twice."""
        values = self._values or self._index()
        if not self._plain:
            return None
        was = self._was
        return tuple(self._sets.items()), tuple([name for name in was if name not in values]) if was else ()

    def _snapshot(self) -> RawHeaders:
        self._owned = False
        return self._items

    def _restore(self, items: RawHeaders) -> None:
        self._items = items
        self._owned = self._plain = False
        self._values = None
