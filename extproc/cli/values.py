"""Values of options that more than one command takes."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Annotated, Any, TypeAlias

from cyclopts import Parameter, Token

__all__ = ["Duration", "FileMode"]

_MODE = re.compile(r"(0o)?[0-7]{3,4}")


def _duration(_: Any, tokens: Sequence[Token]) -> float:
    from extproc.config.duration import parse_duration

    return parse_duration(tokens[0].value)


def _file_mode(_: Any, tokens: Sequence[Token]) -> int:
    if not _MODE.fullmatch(tokens[0].value):
        raise ValueError("must be permissions in octal, such as 0660")
    return int(tokens[0].value, 8)


def _shown(duration: float | None) -> str:
    return "none" if duration is None else f"{duration:g}s"


Duration: TypeAlias = Annotated[float, Parameter(converter=_duration, show_default=_shown)]
"""Seconds, written as ``50ms``, ``1.5s`` or ``2m``."""

FileMode: TypeAlias = Annotated[int, Parameter(converter=_file_mode, show_default="{:04o}".format)]
"""Permission bits, written in octal as ``0660``."""
