"""XXH64 from its specification, so that the published vectors do not rest on the library that made them."""

from __future__ import annotations

_P1, _P2, _P3, _P4, _P5 = (
    0x9E3779B185EBCA87,
    0xC2B2AE3D27D4EB4F,
    0x165667B19E3779F9,
    0x85EBCA77C2B2AE63,
    0x27D4EB2F165667C5,
)
_MASK = (1 << 64) - 1


def xxh64(data: bytes) -> int:
    """The digest of `data` with seed 0."""
    lanes_end = len(data) // 32 * 32
    total = (_lanes(data[:lanes_end]) if lanes_end else _P5) + len(data)
    total, rest = _words(total & _MASK, data[lanes_end:])
    for byte in rest:
        total = _rotl(total ^ byte * _P5 & _MASK, 11) * _P1 & _MASK
    for shift, prime in ((33, _P2), (29, _P3), (32, 1)):
        total = (total ^ total >> shift) * prime & _MASK
    return total


def _lanes(stripes: bytes) -> int:
    lanes = [_P1 + _P2 & _MASK, _P2, 0, -_P1 & _MASK]
    for start in range(0, len(stripes), 32):
        for i in range(4):
            lanes[i] = _round(lanes[i], _word(stripes, start + 8 * i, 8))
    total = sum(_rotl(lane, turn) for lane, turn in zip(lanes, (1, 7, 12, 18), strict=True)) & _MASK
    for lane in lanes:
        total = (total ^ _round(0, lane)) * _P1 + _P4 & _MASK
    return total


def _words(total: int, rest: bytes) -> tuple[int, bytes]:
    while len(rest) >= 8:
        total = _rotl(total ^ _round(0, _word(rest, 0, 8)), 27) * _P1 + _P4 & _MASK
        rest = rest[8:]
    if len(rest) >= 4:
        total = _rotl(total ^ _word(rest, 0, 4) * _P1 & _MASK, 23) * _P2 + _P3 & _MASK
        rest = rest[4:]
    return total, rest


def _round(lane: int, word: int) -> int:
    return _rotl(lane + word * _P2 & _MASK, 31) * _P1 & _MASK


def _word(data: bytes, start: int, size: int) -> int:
    return int.from_bytes(data[start : start + size], "little")


def _rotl(value: int, turn: int) -> int:
    return (value << turn | value >> (64 - turn)) & _MASK
