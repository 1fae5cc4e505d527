"""Durations as people write them: ``50ms``, ``1.5s``, ``2m``, or a plain number of seconds."""

from __future__ import annotations

import math
import re
from typing import Annotated, TypeAlias

from pydantic import BeforeValidator, Field

__all__ = ["Duration", "format_duration", "parse_duration"]

_UNITS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0}
_PATTERN = r"[0-9]+(\.[0-9]+)?\s?(ms|s|m|h)?"
_TEXT = re.compile(_PATTERN)


def parse_duration(value: object) -> float:
    """Seconds.

    Raises:
        ValueError: it is no duration, or not longer than nothing.
    """
    if isinstance(value, str) and (match := _TEXT.fullmatch(value.strip())):
        unit = match[2] or "s"
        seconds = float(value.strip().removesuffix(unit)) * _UNITS[unit]
    elif isinstance(value, int | float) and not isinstance(value, bool):
        seconds = float(value)
    else:
        seconds = math.nan
    if not 0 < seconds < math.inf:
        raise ValueError("must be a duration such as 50ms, 1.5s or 2m, and more than nothing")
    return seconds


def format_duration(seconds: float) -> str:
    """The shortest way to write it: ``250ms``, ``1.5s``, ``60s``."""
    return f"{seconds * 1000:g}ms" if seconds < 1 else f"{seconds:g}s"


Duration: TypeAlias = Annotated[
    float,
    BeforeValidator(parse_duration, json_schema_input_type=Annotated[str, Field(pattern=f"^{_PATTERN}$")] | float),
]
"""A field of seconds that is written as a duration."""
