"""Large pieces of bodies, read by hand: protobuf copies a body twice, and a body is most of what a message costs."""

from __future__ import annotations

from functools import lru_cache

from extproc.phases import Phase
from extproc.wire.length import length_at

__all__ = ["LARGE", "large_piece"]

LARGE = 1024
"""Bytes from which on it pays."""

_PHASES = {0x22: Phase.REQUEST_BODY, 0x2A: Phase.RESPONSE_BODY}
"""By tag: a field's number and that it has a length."""
_BODY = 0x0A
_BOTH_LENGTHS = 8
"""Bytes that two tags and the lengths behind them take, where these are above 16 KiB and below `_LONGER`."""
_LONGER, _LONGER_LENGTHS = 2 * 1024 * 1024, 10
_LAST = (b"", b"\x10\x01")
"""What may follow a body: ``end_of_stream``."""
_ENDS = (b"", b"\x42\x00")
"""What may follow it all: an empty ``metadata_context``, with which Envoy ends nearly every message."""


def large_piece(data: bytes) -> tuple[Phase, bytes, bool] | None:
    """The phase, a piece of the body, and whether it is the last.

    None: the message, of at least `LARGE` bytes, says something else, too.
    """
    layout = _layout(data[:_BOTH_LENGTHS] if len(data) < _LONGER else data[:_LONGER_LENGTHS])
    if layout is None:
        return None
    phase, at, over, end = layout
    if end > len(data) or data[end:] not in _ENDS or over > end or data[over:end] not in _LAST:
        return None
    return phase, data[at:over], over < end


@lru_cache(maxsize=256)  # most pieces of a body are of one size
def _layout(head: bytes) -> tuple[Phase, int, int, int] | None:
    """The phase, where the body begins and ends, and where that ends in which it is, by how the message begins."""
    phase = _PHASES.get(head[0])
    if phase is None:
        return None
    try:
        end, at = length_at(head, 1)
        if head[at] != _BODY:
            return None
        over, at = length_at(head, at + 1)
    except (ValueError, IndexError):
        return None
    return phase, at, over, end
