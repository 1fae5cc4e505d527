"""`Report`: what a front has counted, as lines of the log."""

from __future__ import annotations

import asyncio
import logging
from contextlib import suppress
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

    from extproc.server.fronts import Front

__all__ = ["Report"]

_logger = logging.getLogger("extproc.server")

_EVERY = 60.0


class Report:
    """Logs the totals of a front and what it holds, in a form that programs can read: ``exchanges=120 stalls=0``."""

    def __init__(self, front: Front) -> None:
        """Nothing is logged yet."""
        self._front = front
        self._said: Mapping[str, int] = front.totals()

    async def until(self, stop: asyncio.Event, every: float = _EVERY) -> None:
        """Logs every so many seconds what is new, until `stop` is set."""
        while not stop.is_set():
            with suppress(TimeoutError):
                async with asyncio.timeout(every):
                    await stop.wait()
                    return
            self.log()

    def log(self) -> None:
        """Logs a line, if something has been counted since the last."""
        totals = self._front.totals()
        if totals != self._said:
            self._said = totals
            _logger.info("so far: %s; now: %s", _pairs(totals), _pairs(self._front.gauges()))


def _pairs(numbers: Mapping[str, int]) -> str:
    return " ".join(f"{name}={number}" for name, number in numbers.items())
