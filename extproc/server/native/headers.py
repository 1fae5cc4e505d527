"""Header blocks: HPACK with a memory for blocks that repeat, and what makes a field list malformed.

Once Envoy's dynamic table is warm, its header blocks repeat byte for byte. A block that left the decoder's dynamic
table as it was means the same until the table changes, so what was made of it is kept until then.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Generic, TypeAlias, TypeVar

from hpack import Decoder, HPACKError, OversizedHeaderListError
from hpack.table import HeaderTable

from extproc.server.native.errors import ConnectionFault, ErrorCode

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

__all__ = ["EMPTY_TABLE", "Fields", "HeaderBlocks", "encode", "fault_of_request", "fault_of_trailers"]

Fields: TypeAlias = "list[tuple[bytes, bytes]]"
"""Names and values in the order of the wire."""

Made = TypeVar("Made")

EMPTY_TABLE = b"\x20"
"""At the beginning of a block: our encoder's dynamic table has no room, as it always is (RFC 7541, section 6.3)."""

_LONGEST_KEPT = 1024
_SIZE_UPDATE = 0x20
_SIZE_UPDATE_MASK = 0xE0
_PREFIX = 0x7F
_MORE = 0x80

_NAME = re.compile(rb"[!#$%&'*+\-.^_`|~0-9a-z]+")
_BAD_VALUE = re.compile(rb"[\x00\r\n]|\A[ \t]|[ \t]\Z")
_PSEUDO = frozenset({b":method", b":scheme", b":path", b":authority"})
_OF_A_CONNECTION = frozenset({b"connection", b"keep-alive", b"proxy-connection", b"transfer-encoding", b"upgrade"})


class _Table(HeaderTable):
    """A dynamic table that tells whether something was added."""

    def __init__(self) -> None:
        super().__init__()
        self.added = False

    def add(self, name: bytes, value: bytes) -> None:
        self.added = True
        super().add(name, value)


class HeaderBlocks(Generic[Made]):
    """Decodes the header blocks of one connection, and makes something of each.

    Attributes:
        known: gives what was made of a block that has come before, as far as that is remembered.
    """

    def __init__(self, make: Callable[[Fields], Made], *, list_bytes: int, keep: int) -> None:
        """An empty table.

        Args:
            make: what to make of a field list.
            list_bytes: the largest field list, counted as in RFC 9113, section 6.5.2.
            keep: how many blocks to remember.
        """
        self._make = make
        self._keep = keep
        self._known: dict[bytes, Made] = {}
        self.known = self._known.get
        self._table = _Table()
        self._decoder = Decoder(max_header_list_size=list_bytes)
        self._decoder.header_table = self._table

    def read(self, block: bytes) -> Made:
        """What was made of a block.

        Raises:
            ConnectionFault: it is no HPACK, or a field list that is too large; the table is lost either way.
        """
        made = self.known(block)
        return self._decode(block) if made is None else made

    def _decode(self, block: bytes) -> Made:
        self._table.added = False
        try:
            fields: Iterable[tuple[bytes, bytes]] = self._decoder.decode(block, raw=True)
        except OversizedHeaderListError:
            raise ConnectionFault(ErrorCode.ENHANCE_YOUR_CALM, "header list too large", "header_bytes") from None
        except HPACKError as error:
            raise ConnectionFault(ErrorCode.COMPRESSION_ERROR, str(error)) from None
        made = self._make([(name, value) for name, value in fields])
        if self._table.added or (block and block[0] & _SIZE_UPDATE_MASK == _SIZE_UPDATE):
            self._known.clear()
        elif len(block) <= _LONGEST_KEPT:
            if len(self._known) >= self._keep:
                self._known.clear()
            self._known[block] = made
        return made


def encode(fields: Fields) -> bytes:
    """A header block of literals that no table is needed for (RFC 7541, section 6.2.2)."""
    return b"".join(b"\x00" + _string(name) + _string(value) for name, value in fields)


def _string(text: bytes) -> bytes:
    return _length(len(text)) + text


def _length(number: int) -> bytes:
    """An integer with a 7-bit prefix (RFC 7541, section 5.1)."""
    if number < _PREFIX:
        return bytes((number,))
    digits = bytearray((_PREFIX,))
    number -= _PREFIX
    while number > _PREFIX:
        digits.append(number & _PREFIX | _MORE)
        number >>= 7
    digits.append(number)
    return bytes(digits)


def fault_of_request(fields: Fields) -> str:
    """What makes a request malformed (RFC 9113, sections 8.2 and 8.3), or nothing."""
    pseudo = dict(fields[: _pseudo_count(fields)])
    regular = fields[_pseudo_count(fields) :]
    if len(pseudo) != len(fields) - len(regular):
        return "a pseudo-header field is given twice"
    if not pseudo.keys() <= _PSEUDO:
        return "there is no such pseudo-header field in a request"
    return _fault_of_pseudo(pseudo) or _fault_of_fields(regular) or _fault_of_host(pseudo, regular)


def fault_of_trailers(fields: Fields) -> str:
    """What makes trailers malformed (RFC 9113, section 8.1), or nothing."""
    return _fault_of_fields(fields)


def _pseudo_count(fields: Fields) -> int:
    return next((index for index, (name, _) in enumerate(fields) if not name.startswith(b":")), len(fields))


def _fault_of_pseudo(pseudo: dict[bytes, bytes]) -> str:
    if any(_BAD_VALUE.search(value) for value in pseudo.values()):
        return "a pseudo-header field has a character that no value may have"
    if pseudo.get(b":method") == b"CONNECT":
        legal = pseudo.keys() == {b":method", b":authority"}
        return "" if legal else "CONNECT has :authority, and neither :scheme nor :path"
    if not (pseudo.get(b":method") and pseudo.get(b":scheme")):
        return ":method or :scheme is missing"
    path = pseudo.get(b":path", b"")
    if path.startswith(b"/") or (path == b"*" and pseudo[b":method"] == b"OPTIONS"):
        return ""
    return ":path is missing, or does not start with /"


def _fault_of_fields(fields: Fields) -> str:
    for name, value in fields:
        if not _NAME.fullmatch(name):
            return f"a field cannot be called {name!r} here"
        if _BAD_VALUE.search(value):
            return f"the value of {name!r} has a character that no value may have"
        if name in _OF_A_CONNECTION or (name == b"te" and value != b"trailers"):
            return f"{name!r} belongs to a connection of HTTP/1"
    return ""


def _fault_of_host(pseudo: dict[bytes, bytes], fields: Fields) -> str:
    """Section 8.3.1: one that contradicts ``:authority`` makes the request malformed."""
    authority = pseudo.get(b":authority")
    differs = authority is not None and any(name == b"host" and value != authority for name, value in fields)
    return "host and :authority differ" if differs else ""
