"""A client that does nothing wrong, and is served whatever others do."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import AsyncIterator, Coroutine
from contextlib import asynccontextmanager
from typing import Any

from tests.server.raw.frames import END_STREAM, HIGHEST_WINDOW, data, window_update
from tests.server.raw.peer import Peer, greeted
from tests.server.raw.requests import WATCH_PATH, call, message
from tests.server.raw.serving import healthy


class Bystander:
    """Calls and calls."""

    def __init__(self, peer: Peer) -> None:
        self._peer = peer
        self._stream = 1

    async def is_served(self) -> None:
        """One more call gets its answer."""
        self._stream += 2
        await healthy(self._peer, self._stream)

    async def is_served_during(self, harm: Coroutine[Any, Any, None]) -> None:
        """Calls get their answers until `harm` has been done, and after."""
        async with asyncio.TaskGroup() as tasks:
            doing = tasks.create_task(harm)
            while not doing.done():
                await self.is_served()
        await self.is_served()


@asynccontextmanager
async def bystander(address: str, tls: ssl.SSLContext | None = None) -> AsyncIterator[Bystander]:
    """A client with a connection of its own, on which a stream is always open."""
    async with greeted(address, tls=tls) as peer:
        peer.send(window_update(0, HIGHEST_WINDOW >> 1))
        peer.send(call(1, WATCH_PATH) + data(1, message(), END_STREAM))
        client = Bystander(peer)
        await client.is_served()
        yield client
