"""The length of a protobuf field, read by hand."""

from __future__ import annotations

__all__ = ["length_at"]

_ONE_BYTE = 0x80
"""Bytes below are the last of a length, seven bits of which each holds, the lowest first."""


def length_at(data: bytes, at: int) -> tuple[int, int]:
    """Where a length-delimited field ends whose length stands at `at`, and where it begins.

    Raises:
        ValueError: the length takes more than four bytes, which is more than any message here may.
        IndexError: it is cut off.
    """
    size, more = data[at], data[at + 1]
    if size < _ONE_BYTE:
        return at + 1 + size, at + 1
    size = size & 0x7F | more << 7
    if more < _ONE_BYTE:
        return at + 2 + size, at + 2
    more = data[at + 2]
    size = size & 0x3FFF | more << 14
    if more < _ONE_BYTE:
        return at + 3 + size, at + 3
    more = data[at + 3]
    if more >= _ONE_BYTE:
        raise ValueError
    return at + 4 + (size & 0x1FFFFF | more << 21), at + 4
