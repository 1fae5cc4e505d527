"""Chains with a filter that takes 1.5 s over some requests, in its own way, or computes until it is told to stop."""

from __future__ import annotations

import asyncio
import threading
import time
from typing import ClassVar

from pydantic import PrivateAttr

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


class Computes(Filter):
    """Takes all the processor time there is, until another request comes."""

    offload: ClassVar = "thread"
    _enough: threading.Event = PrivateAttr(default_factory=threading.Event)

    def on_request_headers(self, exchange: Exchange) -> None:
        if exchange.request.path != PATH:
            self._enough.set()
            return
        exchange.log.info("computes")
        while not self._enough.is_set():
            sum(range(1000))


awaits = Chain([Awaits()], timeout=5.0)
blocks = Chain([Blocks()], timeout=5.0)
blocks_a_thread = Chain([BlocksAThread()], timeout=5.0)
computes = Chain([Computes()], timeout=60.0)
