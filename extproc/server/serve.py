"""`serve`: a processor in the foreground, until it is told to stop."""

from __future__ import annotations

import asyncio
import gc
import resource
import signal
from typing import TYPE_CHECKING

from extproc.server.fronts import DEFAULT_FRONT, DEFAULT_OPTIONS, new_front
from extproc.server.report import Report

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from extproc.chain import Chain
    from extproc.server.fronts import FrontName, FrontOptions

__all__ = ["serve"]

_OTHER_FILES = 256
"""Those of the process itself, and the connections of filters to whatever they ask."""


async def serve(
    chain: Chain,
    listen: Sequence[str],
    options: FrontOptions = DEFAULT_OPTIONS,
    *,
    front: FrontName = DEFAULT_FRONT,
    on_ready: Callable[[list[str]], object] = lambda _: None,
) -> None:
    """Serves `chain` until SIGTERM or SIGINT, then drains: unhealthy first, then no new streams, then the rest.

    What it has counted it logs once a minute, if there is anything new, and at the end.

    Args:
        chain: the filters.
        listen: addresses, as `new_front` takes them.
        options: what else there is to tell.
        front: what speaks HTTP/2.
        on_ready: called once with the bound addresses.

    Raises:
        ServerError: an address cannot be bound.
    """
    _allow_files(options.http2.connections)
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    async with new_front(chain, listen, options, front=front) as entered:
        _spare_the_collector()
        on_ready(entered.addresses)
        report = Report(entered)
        await report.until(stop)
    report.log()  # once more, with what was under way


def _allow_files(connections: int) -> None:
    """Lets the process have as many files open as it takes connections, as far as that is allowed: 1024 is usual."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    needed = connections + _OTHER_FILES
    if hard != resource.RLIM_INFINITY:
        needed = min(needed, hard)
    if soft != resource.RLIM_INFINITY and soft < needed:
        resource.setrlimit(resource.RLIMIT_NOFILE, (needed, hard))


def _spare_the_collector() -> None:
    """Leaves what was made at the start out of every garbage collection: it stays for as long as the process.

    A full collection stops all exchanges for as long as it takes to look at everything there is: 28 ms with the demo's
    chain, nothing to speak of once this is left out. An exchange whose hooks do not suspend makes no cycles, and so
    leaves nothing to the collector; its thresholds can stay what they are.
    """
    gc.collect()
    gc.freeze()
