"""Large pieces of bodies, read by hand: protobuf copies a body twice, and a body is most of what a message costs."""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING

from extproc.phases import Phase
from extproc.wire.length import length_at

if TYPE_CHECKING:
    from collections.abc import Sequence

    from extproc.messages import AnyBytes

__all__ = ["LARGE", "large_piece"]

LARGE = 1024
"""Bytes from which on it pays."""

_PHASES = {0x22: Phase.REQUEST_BODY, 0x2A: Phase.RESPONSE_BODY}
"""By tag: a field's number and that it has a length."""
_BODY = 0x0A
_BOTH_LENGTHS = 8
"""Bytes that two tags and the lengths behind them take, where these are above 16 KiB and below `_LONGER`."""
_LONGER, _LONGER_LENGTHS = 2 * 1024 * 1024, 10
_LAST, _BESIDE = b"\x10\x01", b"\x42\x00"
_BEHIND = {b"": 0, _BESIDE: 0, _LAST: len(_LAST), _LAST + _BESIDE: len(_LAST)}
"""What may follow a body, and how much of that belongs to it: ``end_of_stream``, and what does not, an empty
``metadata_context``, with which Envoy ends nearly every message."""


def large_piece(parts: Sequence[AnyBytes], size: int) -> tuple[Phase, bytes, bool] | None:
    """The phase, a piece of the body, and whether it is the last.

    Args:
        parts: of the message, one after the other; none is empty.
        size: of all of them, at least `LARGE`.

    Returns:
        None: the message says something else, too, or begins or ends with too small a part.
    """
    first, last = parts[0], parts[-1]
    layout = _layout(bytes(first[:_BOTH_LENGTHS] if size < _LONGER else first[:_LONGER_LENGTHS]))
    if layout is None:
        return None
    phase, at, over, end = layout
    stop = len(last) - size + over
    if not 0 <= stop <= len(last) or _BEHIND.get(bytes(last[stop:])) != end - over:
        return None
    if len(parts) == 1:
        return phase, bytes(first[at:stop]), over < end
    return phase, b"".join((first[at:], *parts[1:-1], last[:stop])), over < end


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
