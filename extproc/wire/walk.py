"""The common message, read without protobuf: headers of a request or a response, as Envoy serializes them.

Through the generated classes, each header costs two objects and four calls. Envoy's header entries repeat byte for
byte, from request to request, so here they are cut out of the message and looked up. Whatever does not look exactly as
Envoy writes it is left to the generated classes; the tests hold the two equal on arbitrary bytes.

The field numbers are those of ``proto/extproc/wire/ext_proc.proto``.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from google.protobuf.message import DecodeError

from extproc.phases import Phase
from extproc.wire.core_pb2 import HeaderValue
from extproc.wire.length import length_at

if TYPE_CHECKING:
    from extproc.messages import RawHeaders

__all__ = ["walk"]

_PHASES = {2 << 3 | 2: Phase.REQUEST_HEADERS, 3 << 3 | 2: Phase.RESPONSE_HEADERS}
_FIRST = 1 << 3 | 2
"""The tag of ``HttpHeaders.headers``, of ``HeaderMap.headers`` and of ``HeaderValue.key``."""
_RAW_VALUE = 3 << 3 | 2
_END_OF_STREAM = b"\x18\x01"
_ONE_BYTE = 0x80
"""Lengths below take one byte."""
_LONGEST_KEPT = 256
_MOST_KEPT = 2048
_VARYING = (":path", "x-request-id")
"""Different in nearly every message."""
_SHORTEST_RUN = 2
_MOST_RUNS = 256


def walk(data: bytes) -> tuple[Phase, RawHeaders, bool, int] | None:
    """The phase, its headers, whether they end the stream, and where the rest of the message begins.

    None: this is another kind of message, or none at all.
    """
    try:
        phase = _PHASES.get(data[0])
        if phase is None:
            return None
        end, at = length_at(data, 1)
        if data[at] != _FIRST:
            return None
        map_end, at = length_at(data, at + 1)
        headers, at = _entries(data, at, map_end)
    except (IndexError, ValueError, DecodeError):
        return None
    if at != map_end or end > len(data):
        return None
    if end == map_end:
        return phase, headers, False, end
    if data[map_end:end] == _END_OF_STREAM:
        return phase, headers, True, end
    return None


def _entries(data: bytes, at: int, end: int) -> tuple[RawHeaders, int]:
    """The entries of a ``HeaderMap`` that ends at `end`, and where they end: somewhere else if they are broken.

    Raises:
        ValueError: something else than entries is among them.
    """
    headers: RawHeaders = []
    add, look_up, run_from = headers.append, _kept.get, _runs.get
    first, known = at, 0  # where the run of entries began that were known, and how many they are
    while at < end:
        begin, size = at, data[at + 1]
        if data[at] != _FIRST:
            raise ValueError
        at += 2
        if size < _ONE_BYTE:
            entry = data[at : at + size]
            at += size
        else:
            at, start = length_at(data, at - 1)
            entry = data[start:at]
        run = run_from(entry)
        if run is not None and data.startswith(run[0], begin):
            headers += run[1]
            at = begin + len(run[0])
            first, known = at, 0
            continue
        header = look_up(entry)
        if header is None:
            if known >= _SHORTEST_RUN:
                _keep_run(data[first:begin], headers[-known:])
            add(_entry(entry))
            first, known = at, 0
        else:
            add(header)
            known += 1
    if known >= _SHORTEST_RUN:
        _keep_run(data[first:at], headers[-known:])
    return headers, at


def _keep_run(data: bytes, headers: RawHeaders) -> None:
    """Entries that were all known, one after the other: they are looked up together from now on, by the first."""
    if len(_runs) >= _MOST_RUNS:
        _runs.clear()
    size, start = (data[1], 2) if data[1] < _ONE_BYTE else (0, 0)
    if size:
        _runs[data[start : start + size]] = data, headers


def _entry(entry: bytes) -> tuple[str, bytes]:
    """A ``HeaderValue`` that is not known yet: Envoy fills `key` and `raw_value` only, others may fill `value`."""
    size = len(entry)
    at = entry[1] + 2 if size > 1 and entry[0] == _FIRST else size
    if at + 1 < size and entry[at] == _RAW_VALUE and entry[at + 1] == size - at - 2 < _ONE_BYTE and at < _ONE_BYTE:
        name = _varying.get(entry[:at])
        if name is not None:
            return name, entry[at + 2 :]
        header = entry[2:at].decode(), entry[at + 2 :]
    else:
        value = HeaderValue.FromString(entry)
        header = value.key, value.raw_value or value.value.encode()
    if size <= _LONGEST_KEPT and header[0] not in _VARYING:
        if len(_kept) >= _MOST_KEPT:
            _kept.clear()  # what comes often is soon there again
        _kept[entry] = header
    return header


_varying = {bytes((_FIRST, len(name))) + name.encode(): name for name in _VARYING}
"""Their names, by the bytes of the field that holds it."""
_kept: dict[bytes, tuple[str, bytes]] = {}
"""Entries by their bytes."""
_runs: dict[bytes, tuple[bytes, RawHeaders]] = {}
"""Entries that follow each other, by the bytes of the first: the bytes of all with their lengths, and the headers."""
