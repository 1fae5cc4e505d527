"""`LoopWatchdog`: names what blocks the event loop, while it does.

A hook that waits without ``await`` holds up every exchange of the process, until Envoy gives up on all of them. Nothing
on the loop can see that happen, so a thread asks the loop to show that it still turns, and looks at its stack when it
does not. That costs an exchange nothing.
"""

from __future__ import annotations

import asyncio
import logging
import selectors
import sys
import threading
import traceback
from contextlib import suppress
from typing import TYPE_CHECKING, Self

from extproc.exchange import Exchange
from extproc.filter import Filter

if TYPE_CHECKING:
    from types import FrameType, TracebackType

    from extproc.clock import Clock

__all__ = ["LoopWatchdog"]

_logger = logging.getLogger("extproc.server")


class LoopWatchdog:
    """Watches the loop in which it is entered, until it is left.

    Code that holds the interpreter lock all the while (a long call into C) is seen only when it lets go.

    Attributes:
        stalls: how often the loop stood still.
    """

    def __init__(self, threshold: float | None, clock: Clock) -> None:
        """Nothing is watched yet.

        Args:
            threshold: seconds that one turn of the loop may take; None: nothing is watched ever.
            clock: what stalls are measured by.
        """
        self.stalls = 0
        self._threshold = threshold or 0.0
        self._clock = clock
        self._leaving = threading.Event()
        self._turned = threading.Event()
        self._thread = threading.Thread(target=self._watch, name="extproc-watchdog", daemon=True)

    def __enter__(self) -> Self:
        """Begins to watch the running loop."""
        self._loop = asyncio.get_running_loop()
        self._watched = threading.get_ident()
        if self._threshold:
            self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Ends the thread."""
        self._leaving.set()
        self._turned.set()
        if self._threshold:
            self._thread.join()

    def _watch(self) -> None:
        while not self._leaving.wait(self._threshold / 2):
            asked = self._clock.monotonic()
            turned = self._turned = threading.Event()
            with suppress(RuntimeError):  # the loop was closed and its watchdog not left
                self._loop.call_soon_threadsafe(turned.set)
            if not turned.wait(self._threshold) and not self._leaving.is_set():
                self._report(turned, asked)

    def _report(self, turned: threading.Event, asked: float) -> None:
        frames = sys._current_frames()  # noqa: SLF001 # pyright: ignore[reportPrivateUsage] (documented, for this use)
        frame = frames.get(self._watched)
        if frame is None or frame.f_code.co_filename == selectors.__file__:
            return  # it waits for events, as it should: it was the whole machine that stood still
        self.stalls += 1
        culprit, stack = _seen(frame)
        so_far = 1000 * self._threshold
        _logger.error("%s has held up the event loop, and so every exchange, for %g ms:\n%s", culprit, so_far, stack)
        turned.wait()
        _logger.error("%s held up the event loop for %.3f s", culprit, self._clock.monotonic() - asked)


def _seen(frame: FrameType) -> tuple[str, str]:
    """Who is running in a stack, and the part of it that is theirs: all of it, if no filter is in it."""
    frames = list(traceback.walk_stack(frame))
    culprit, depth = "code of no filter", len(frames)
    for index, (caller, _) in enumerate(frames):
        name = _filter_in(caller)
        if name:
            culprit, depth = name, index + 1  # the outermost one: a hook, and not what it calls
    return culprit, "".join(traceback.StackSummary.extract(reversed(frames[:depth])).format()).rstrip()


def _filter_in(frame: FrameType) -> str:
    """The filter whose method a frame is in, and the exchange that it is about; empty: it is in none."""
    names = frame.f_code.co_varnames[: frame.f_code.co_argcount]
    arguments = [frame.f_locals.get(name) for name in names]
    if not arguments or not isinstance(arguments[0], Filter):
        return ""
    method = f"{type(arguments[0]).__name__}.{frame.f_code.co_name}"
    about = arguments[1] if len(arguments) > 1 else None
    if not isinstance(about, Exchange):
        return f"a filter ({method})"
    running = about.log.extra or {}
    return f"filter {running['filter']!r} ({method}, exchange {about.id})"
