"""Chains with a filter that takes 1.5 seconds over some requests, each in its own way."""

from __future__ import annotations

import asyncio
import time
from typing import ClassVar

from extproc import Chain, Exchange, Filter

SECONDS = 1.5
PATH = "/slow"
"""What the requests ask for over which it takes its time."""


class Awaits(Filter):
    """Gives way to others meanwhile."""

    async def on_request_headers(self, exchange: Exchange) -> None:
        if exchange.request.path == PATH:
            exchange.log.info("sleeps")
            await asyncio.sleep(SECONDS)


class Blocks(Filter):
    """Keeps everybody waiting."""

    def on_request_headers(self, exchange: Exchange) -> None:
        if exchange.request.path == PATH:
            exchange.log.info("sleeps")
            time.sleep(SECONDS)


class BlocksAThread(Blocks):
    """Keeps nobody waiting."""

    offload: ClassVar = "thread"


awaits = Chain([Awaits()], timeout=5.0)
blocks = Chain([Blocks()], timeout=5.0)
blocks_a_thread = Chain([BlocksAThread()], timeout=5.0)
