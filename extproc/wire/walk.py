"""The common message, read without protobuf: headers of a request or a response, as Envoy serializes them.

Through the generated classes, each header costs two objects and four calls. Envoy's header entries repeat from request
to request: most of them byte for byte, the others by name and place. So what came once is looked for again, many
entries at a time. Whatever does not look exactly as Envoy writes it is left to the generated classes; the tests hold
the two equal on arbitrary bytes.

The field numbers are those of ``proto/extproc/wire/ext_proc.proto``.
"""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING, TypeAlias

from google.protobuf.message import DecodeError

from extproc.phases import Phase
from extproc.wire.core_pb2 import HeaderValue
from extproc.wire.length import length_at

if TYPE_CHECKING:
    from extproc.messages import ByName, RawHeaders

__all__ = ["walk"]

_PHASES = {2 << 3 | 2: Phase.REQUEST_HEADERS, 3 << 3 | 2: Phase.RESPONSE_HEADERS}
_FIRST = 1 << 3 | 2
"""The tag of ``HttpHeaders.headers``, of ``HeaderMap.headers`` and of ``HeaderValue.key``."""
_RAW_VALUE = 3 << 3 | 2
_END_OF_STREAM = b"\x18\x01"
_ONE_BYTE = 0x80
"""Lengths below take one byte."""
_LAST_BITS, _TWO_BYTES = 0x8080, 0x0080
"""Of a length that was read as a little-endian number of two bytes: the bit that each has when another follows."""
_read_both = struct.Struct("<BHBH").unpack_from
"""Two tags, each with a length of two bytes."""
_LONGEST_NAME = 120
_LONGEST_KEPT = 256
_MOST_KEPT = 2048
_MOST_VALUES = 16
_MOST_VARYING = 64
_LONGEST_RUN = 2048
_MOST_RUNS = 256
_MOST_ALIKE = 4

_Field: TypeAlias = "tuple[bytes, int, str]"
"""A name: as a field, with the tag of the value that follows it; where that begins in the entry; and as text."""

_Run: TypeAlias = "tuple[bytes, RawHeaders, ByName, list[_Field]]"
"""Entries that were all known, one after the other: their bytes, the headers, and these by name; and the names of those
behind them."""


def walk(data: bytes) -> tuple[Phase, RawHeaders, ByName, bool, int] | None:
    """The phase, its headers, these by name, whether they end the stream, and where the rest of the message begins.

    None: this is another kind of message, or none at all.
    """
    try:
        kind, size, tag, map_size = _read_both(data)
        phase = _PHASES.get(kind)
        if phase is None:
            return None
        if size & _LAST_BITS == map_size & _LAST_BITS == _TWO_BYTES:  # nearly always
            at = 6
            end, map_end = 3 + (size - 0x80 + (size & 0x7F) >> 1), 6 + (map_size - 0x80 + (map_size & 0x7F) >> 1)
        else:
            end, at = length_at(data, 1)
            tag = data[at]
            map_end, at = length_at(data, at + 1)
        if tag != _FIRST:
            return None
        headers, by_name, at = _headers(data, at, map_end)
    except (IndexError, ValueError, DecodeError, struct.error):
        return None
    if at != map_end or end > len(data):
        return None
    if end == map_end:
        return phase, headers, by_name, False, end
    if data[map_end:end] == _END_OF_STREAM:
        return phase, headers, by_name, True, end
    return None


def _headers(data: bytes, at: int, end: int) -> tuple[RawHeaders, ByName, int]:
    """The entries of a ``HeaderMap`` that ends at `end`, and where they end: somewhere else if they are broken.

    Raises:
        ValueError: something else than entries is among them.
    """
    headers: RawHeaders = []
    by_name: ByName = {}
    look_up, is_next = _runs.get, data.startswith
    while at < end:
        for run in look_up(data[at + 2 : at + 2 + data[at + 1]], ()):
            if is_next(run[0], at):
                break
        else:
            at = _entries(data, at, end, headers, by_name)
            continue
        image, known, known_by_name, then = run
        headers += known
        by_name |= known_by_name
        at += len(image)
        for field, value_at, name in then:
            size = data[at + 1]
            if not is_next(field, at + 2) or data[at] != _FIRST or size >= _ONE_BYTE:
                break
            start, after = at + value_at, at + 2 + size
            if start + data[start - 1] != after:
                break
            by_name[name] = value = data[start:after]
            headers.append((name, value))
            at = after
    return headers, by_name, at


def _entries(data: bytes, at: int, end: int, headers: RawHeaders, by_name: ByName) -> int:
    """Reads entries of a ``HeaderMap`` that ends at `end` one by one, and keeps them for the next message.

    First those that are known, then those that are not: the next one that is known may be the first of a run again.

    Raises:
        ValueError: something else than entries is among them.
    """
    first = known_end = at
    before = known = len(headers)
    then: list[_Field | None] = []
    while at < end:
        if data[at] != _FIRST:
            raise ValueError
        after, start = length_at(data, at + 1)
        entry = data[start:after]
        header = _kept.get(entry)
        if header is None:
            header, field = _entry(entry)
            then.append(field)
        elif then:
            break
        else:
            known, known_end = known + 1, after
        headers.append(header)
        by_name[header[0]] = header[1]
        at = after
    if before < known:
        _keep_run(data[first:known_end], headers[before:known], then)
    return at


def _entry(entry: bytes) -> tuple[tuple[str, bytes], _Field | None]:
    """A ``HeaderValue`` that is not known yet: Envoy fills `key` and `raw_value` only, others may fill `value`."""
    size, field = len(entry), None
    at = entry[1] + 2 if size > 1 and entry[0] == _FIRST else size
    if at + 1 < size < _ONE_BYTE and entry[at] == _RAW_VALUE and entry[at + 1] == size - at - 2:
        header = entry[2:at].decode(), entry[at + 2 :]
        field = _field(header[0])
    else:
        value = HeaderValue.FromString(entry)
        header = value.key, value.raw_value or value.value.encode()
    if size <= _LONGEST_KEPT and header[0] not in _varying:
        _keep(entry, header)
    return header, field


def _field(name: str) -> _Field | None:
    """How it begins, where its entry takes less than a hundred and some bytes; None: it is too long for that."""
    text = name.encode()
    size = len(text)
    return (bytes((_FIRST, size)) + text + bytes((_RAW_VALUE,)), size + 6, name) if size < _LONGEST_NAME else None


# What is kept from message to message. What has become too much is forgotten as a whole: what comes often is soon back.


def _keep(entry: bytes, header: tuple[str, bytes]) -> None:
    """Keeps an entry, unless its name turns out to come with ever new values."""
    name = header[0]
    values = _values[name] = _values.get(name, 0) + 1
    if values > _MOST_VALUES:
        if len(_varying) >= _MOST_VARYING:
            _varying.clear()
        _varying.add(name)
    if values > _MOST_VALUES or len(_kept) >= _MOST_KEPT:
        _kept.clear()
        _runs.clear()
        _values.clear()
    else:
        _kept[entry] = header


def _keep_run(image: bytes, headers: RawHeaders, then: list[_Field | None]) -> None:
    """Keeps entries that are looked for together from now on, by the first of them; the longest first.

    Where too many different ones begin alike, those behind the first are looked for by their names.
    """
    size = image[1]
    if size >= _ONE_BYTE or len(image) > _LONGEST_RUN:
        return
    if len(_runs) >= _MOST_RUNS:
        _runs.clear()
    first = image[2 : 2 + size]
    alike = [run for run in _runs.get(first, ()) if run[0] != image]
    if len(alike) >= _MOST_ALIKE:
        alike, then = [], [*(_field(name) for name, _ in headers[1:]), *then]
        image, headers = image[: 2 + size], headers[:1]
    fields: list[_Field] = []
    for field in then:
        if field is None:
            break
        fields.append(field)
    _runs[first] = sorted([*alike, (image, headers, dict(headers), fields)], key=lambda run: -len(run[0]))


_kept: dict[bytes, tuple[str, bytes]] = {}
"""Headers, by their entries."""
_values: dict[str, int] = {}
"""How many values were kept of a name."""
_varying: set[str] = set()
"""Names that come with ever new values, as ``:path`` and ``x-request-id`` do."""
_runs: dict[bytes, list[_Run]] = {}
"""By the first entry."""
