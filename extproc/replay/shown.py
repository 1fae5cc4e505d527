"""Values and their differences as a terminal can show them: short, and with nothing in them that a terminal obeys."""

from __future__ import annotations

import difflib
import re

__all__ = ["body_difference", "harmless", "shown", "shown_values"]

_MOST = 100
_MOST_LINES = 12
_AROUND = 24
_HEX = 16
_CONTROL = re.compile("[\x00-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069\ud800-\udfff]")
_BINARY = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f]")


def shown(value: bytes, most: int = _MOST) -> str:
    """One value; control characters and broken UTF-8 as escapes, and the middle left out when it is long."""
    text = value.decode("utf-8", "backslashreplace")
    if len(text) > most:
        text = f"{text[: most // 2]}…{text[-most // 2 :]}"
    return harmless(text)


def harmless(text: str) -> str:
    """Text with nothing in it that a terminal obeys."""
    return _CONTROL.sub(lambda match: match[0].encode("unicode_escape", "surrogatepass").decode(), text)


def shown_values(values: tuple[bytes, ...]) -> str:
    """All occurrences of a header."""
    if not values:
        return "(none)"
    if len(values) == 1:
        return shown(values[0]) or '""'
    return ", ".join(f'"{shown(value)}"' for value in values)


def body_difference(before: bytes, after: bytes) -> list[str]:
    """A few lines that say how two bodies differ."""
    sizes = f"{len(before)} bytes → {len(after)} bytes" if len(before) != len(after) else f"{len(before)} bytes"
    old, new = _text(before), _text(after)
    if old is None or new is None:
        return [sizes, *_in_hex(before, after)]
    if "\n" not in old.strip() and "\n" not in new.strip():
        return [sizes, *_in_line(old, new)]
    lines = list(difflib.unified_diff(old.splitlines(), new.splitlines(), n=1, lineterm=""))[2:]
    more = [f"… {len(lines) - _MOST_LINES} more lines"] if len(lines) > _MOST_LINES else []
    return [sizes, *(shown(line.encode()) for line in lines[:_MOST_LINES]), *more]


def _text(body: bytes) -> str | None:
    try:
        text = body.decode()
    except UnicodeDecodeError:
        return None
    return None if _BINARY.search(text) else text


def _first_difference(old: bytes | str, new: bytes | str) -> int:
    shorter = min(len(old), len(new))
    return next((i for i in range(shorter) if old[i] != new[i]), shorter)


def _in_line(old: str, new: str) -> list[str]:
    """The two around the place where they part."""
    start = max(0, _first_difference(old, new) - _AROUND)
    pieces = [text[start : start + _MOST - 2] for text in (old, new)]
    ends = ["…" if start + _MOST - 2 < len(text) else "" for text in (old, new)]
    head = "…" if start else ""
    return [f"{sign} {head}{shown(piece.encode())}{end}" for sign, piece, end in zip("-+", pieces, ends, strict=True)]


def _in_hex(old: bytes, new: bytes) -> list[str]:
    start = _first_difference(old, new)
    return [
        f"{sign} at {start}: {body[start : start + _HEX].hex(' ') or '(end)'}"
        for sign, body in (("-", old), ("+", new))
    ]
