"""The common message, read without protobuf: headers of a request or a response, as Envoy serializes them.

Through the generated classes, each header costs two objects and four calls. Envoy's header entries repeat byte for
byte, from request to request, so here they are cut out of the message and looked up. Whatever does not look exactly as
Envoy writes it is left to the generated classes; the tests hold the two equal on arbitrary bytes.

The field numbers are those of ``proto/extproc/wire/ext_proc.proto``.
"""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING

from google.protobuf.message import DecodeError

from extproc.phases import Phase
from extproc.wire.core_pb2 import HeaderValue

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


def walk(data: bytes) -> tuple[Phase, RawHeaders, bool, int] | None:
    """The phase, its headers, whether they end the stream, and where the rest of the message begins.

    None: this is another kind of message, or none at all.
    """
    try:
        phase = _PHASES.get(data[0])
        if phase is None:
            return None
        end, at = _length(data, 1)
        if data[at] != _FIRST:
            return None
        map_end, at = _length(data, at + 1)
        headers: RawHeaders = []
        while at < map_end:
            if data[at] != _FIRST:
                return None
            size = data[at + 1]
            start = at + 2
            if size < _ONE_BYTE:
                at = start + size
            else:
                at, start = _length(data, at + 1)
            entry = data[start:at]
            headers.append(_kept(entry) if len(entry) <= _LONGEST_KEPT else _entry(entry))
    except (IndexError, ValueError, DecodeError):
        return None
    if at != map_end or end > len(data):
        return None
    if end == map_end:
        return phase, headers, False, end
    if data[map_end:end] == _END_OF_STREAM:
        return phase, headers, True, end
    return None


def _length(data: bytes, at: int) -> tuple[int, int]:
    """Where a length-delimited field ends whose length stands at `at`, and where it begins.

    Raises:
        ValueError: the length takes more than three bytes, which is more than headers may.
    """
    size = data[at]
    if size < _ONE_BYTE:
        return at + 1 + size, at + 1
    size = size & 0x7F | data[at + 1] << 7
    if data[at + 1] < _ONE_BYTE:
        return at + 2 + size, at + 2
    if data[at + 2] >= _ONE_BYTE:
        raise ValueError
    size = size & 0x3FFF | data[at + 2] << 14
    return at + 3 + size, at + 3


def _entry(entry: bytes) -> tuple[str, bytes]:
    """A ``HeaderValue``: Envoy fills `key` and `raw_value` only; others that speak the protocol may fill `value`."""
    if len(entry) > 1 and entry[0] == _FIRST and entry[1] < _ONE_BYTE:
        at = 2 + entry[1]
        if len(entry) > at + 1 and entry[at] == _RAW_VALUE and entry[at + 1] == len(entry) - at - 2 < _ONE_BYTE:
            return entry[2:at].decode(), entry[at + 2 :]
    header = HeaderValue.FromString(entry)
    return header.key, header.raw_value or header.value.encode()


_kept = lru_cache(maxsize=2048)(_entry)
