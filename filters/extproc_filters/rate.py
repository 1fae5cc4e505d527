"""Reading ``100/minute``."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Annotated

from pydantic import AfterValidator, Field

__all__ = ["Rate", "RateText"]

_SECONDS = {"s": 1, "second": 1, "m": 60, "minute": 60, "h": 3600, "hour": 3600, "d": 86400, "day": 86400}
_RATE = re.compile(r"([1-9][0-9]{0,8}) ?/ ?([1-9][0-9]{0,5})? ?(s|m|h|d|(?:second|minute|hour|day)s?)", re.ASCII)


@dataclass(frozen=True, slots=True)
class Rate:
    """So many in so many seconds."""

    count: int
    seconds: int

    @classmethod
    def parse(cls, text: str) -> Rate:
        """Reads ``100/minute``, ``5/10s`` and the like.

        Raises:
            ValueError: it is no rate.
        """
        found = _RATE.fullmatch(text.strip())
        if found is None:
            units = ", ".join(_SECONDS)
            raise ValueError(f"{text[:40]!r} is no rate: write 100/minute or 5/10s; the units are {units}")
        count, number, unit = found.groups()
        return cls(int(count), int(number or 1) * _SECONDS[unit.removesuffix("s") or "s"])


def _checked(text: str) -> str:
    Rate.parse(text)
    return text


RateText = Annotated[
    str,
    AfterValidator(_checked),
    Field(json_schema_extra={"pattern": rf"^\s*{_RATE.pattern}\s*$", "examples": ["100/minute", "5/10s"]}),
]
"""A rate as it is written in a configuration."""
