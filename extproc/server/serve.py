"""`serve`: a processor in the foreground, until it is told to stop."""

from __future__ import annotations

import asyncio
import signal
from typing import TYPE_CHECKING, Any

from extproc.server.grpcio import GrpcioFront

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from extproc.chain import Chain

__all__ = ["serve"]


async def serve(
    chain: Chain,
    listen: Sequence[str],
    *,
    on_ready: Callable[[list[str]], object] = lambda _: None,
    **options: Any,
) -> None:
    """Serves `chain` until SIGTERM or SIGINT, then drains: unhealthy first, then no new streams, then the rest.

    Args:
        chain: the filters.
        listen: addresses, as `GrpcioFront` takes them.
        on_ready: called once with the bound addresses.
        options: whatever else `GrpcioFront` takes.

    Raises:
        ServerError: an address cannot be bound.
    """
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    async with GrpcioFront(chain, listen, **options) as front:
        on_ready(front.addresses)
        await stop.wait()
