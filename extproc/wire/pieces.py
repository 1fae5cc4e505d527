"""Large pieces of bodies, read by hand: protobuf copies a body twice, and a body is most of what a message costs."""

from __future__ import annotations

from extproc.phases import Phase
from extproc.wire.length import length_at

__all__ = ["LARGE", "large_piece"]

LARGE = 1024
"""Bytes from which on it pays."""

_PHASES = {0x22: Phase.REQUEST_BODY, 0x2A: Phase.RESPONSE_BODY}
"""By tag: a field's number and that it has a length."""
_BODY = 0x0A
_LAST = (b"", b"\x10\x01")
"""What may follow a body: ``end_of_stream``."""
_ENDS = (b"", b"\x42\x00")
"""What may follow it all: an empty ``metadata_context``, with which Envoy ends nearly every message."""


def large_piece(data: bytes) -> tuple[Phase, bytes, bool] | None:
    """The phase, a piece of the body, and whether it is the last.

    None: the message, of at least `LARGE` bytes, says something else, too.
    """
    phase = _PHASES.get(data[0])
    if phase is None:
        return None
    try:
        end, at = length_at(data, 1)
        if data[at] != _BODY or end > len(data) or data[end:] not in _ENDS:
            return None
        over, at = length_at(data, at + 1)
    except ValueError:
        return None
    if over > end or data[over:end] not in _LAST:
        return None
    return phase, data[at:over], over < end
