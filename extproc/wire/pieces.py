"""Large pieces of bodies, read by hand: protobuf copies a body twice, and a body is most of what a message costs."""

from __future__ import annotations

from extproc.phases import Phase

__all__ = ["LARGE", "large_piece"]

LARGE = 1024
"""Bytes from which on it pays."""

_PHASES = {0x22: Phase.REQUEST_BODY, 0x2A: Phase.RESPONSE_BODY}
"""By tag: a field's number and that it has a length."""
_BODY = 0x0A
_END_OF_STREAM = b"\x10\x01"
_NO_METADATA = b"\x42\x00"
"""An empty ``metadata_context``, with which Envoy ends nearly every message."""
_MORE = 0x80
_LONGEST_SHIFT = 28


def large_piece(data: bytes) -> tuple[Phase, bytes, bool] | None:
    """The phase, a piece of the body, and whether it is the last.

    None: the message, of at least `LARGE` bytes, says something else, too.
    """
    phase = _PHASES.get(data[0])
    if phase is None:
        return None
    size, at = _varint(data, 1)
    end = at + size
    if data[at] != _BODY or end > len(data) or data[end:] not in (b"", _NO_METADATA):
        return None
    length, at = _varint(data, at + 1)
    over = at + length
    if over > end or data[over:end] not in (b"", _END_OF_STREAM):
        return None
    return phase, data[at:over], over < end


def _varint(data: bytes, at: int) -> tuple[int, int]:
    """A length, and where it ends."""
    value = shift = 0
    while True:
        byte = data[at]
        value |= (byte & ~_MORE) << shift
        at, shift = at + 1, shift + 7
        if byte < _MORE or shift > _LONGEST_SHIFT:
            return value, at
