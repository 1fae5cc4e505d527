"""Values of options that more than one command takes."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Annotated, Any, Literal, TypeAlias

from cyclopts import Parameter, Token

__all__ = ["BodyModeName", "Count", "Duration", "FileMode", "Size"]

_COUNT = re.compile(r"[1-9][0-9]{0,8}")
_MODE = re.compile(r"(0o)?[0-7]{3,4}")
_SIZE = re.compile(r"([1-9][0-9]{0,14}) ?(B|KiB|MiB|GiB)?")
_UNITS = {None: 1, "B": 1, "KiB": 1024, "MiB": 1024**2, "GiB": 1024**3}


def _duration(_: Any, tokens: Sequence[Token]) -> float:
    from extproc.config.duration import parse_duration

    return parse_duration(tokens[0].value)


def _file_mode(_: Any, tokens: Sequence[Token]) -> int:
    if not _MODE.fullmatch(tokens[0].value):
        raise ValueError("must be permissions in octal, such as 0660")
    return int(tokens[0].value, 8)


def _size(_: Any, tokens: Sequence[Token]) -> int:
    match = _SIZE.fullmatch(tokens[0].value)
    if match is None:
        raise ValueError("must be a size such as 512KiB, 64MiB or 1GiB, and more than nothing")
    return int(match[1]) * _UNITS[match[2]]


def _count(_: Any, tokens: Sequence[Token]) -> int:
    if not _COUNT.fullmatch(tokens[0].value):
        raise ValueError("must be a whole number, 1 or more")
    return int(tokens[0].value)


def _shown_size(size: int) -> str:
    unit = next(unit for unit in ("GiB", "MiB", "KiB", "B") if size % _UNITS[unit] == 0)
    return f"{size // _UNITS[unit]}{unit}"


def _shown(duration: float | None) -> str:
    return "none" if duration is None else f"{duration:g}s"


Count: TypeAlias = Annotated[int, Parameter(converter=_count)]
"""How many."""

Duration: TypeAlias = Annotated[float, Parameter(converter=_duration, show_default=_shown)]
"""Seconds, written as ``50ms``, ``1.5s`` or ``2m``."""

FileMode: TypeAlias = Annotated[int, Parameter(converter=_file_mode, show_default="{:04o}".format)]
"""Permission bits, written in octal as ``0660``."""

Size: TypeAlias = Annotated[int, Parameter(converter=_size, show_default=_shown_size)]
"""Bytes, written as ``512KiB``, ``64MiB`` or ``1GiB``."""

BodyModeName: TypeAlias = Literal["BUFFERED", "FULL_DUPLEX_STREAMED", "STREAMED"]
"""How Envoy sends a body, as its configuration has it."""
