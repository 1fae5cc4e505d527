"""``python -m benchmarks idle``: 10,000 streams that are open at once and say nothing; what one of them takes.

Each is an exchange whose request has been answered, and whose response has not come yet, through the demo's chain.
"""

from __future__ import annotations

import asyncio
import itertools
from typing import TYPE_CHECKING, Any
from uuid import UUID

from benchmarks.chains import HEADERS
from benchmarks.peer import Peer, grpc_message
from benchmarks.subject import processor

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from benchmarks.processors import Usage
    from benchmarks.subject import Processor

__all__ = ["idle"]

STREAMS = 10_000
_A_CONNECTION = 1_000
_WARM = 200
_KIB = 1024


async def idle(tell: Callable[[str], object]) -> list[dict[str, Any]]:
    """One row, for the native front."""
    tell(f"{STREAMS} streams")
    return [await _idle("native")]


async def _idle(front: str) -> dict[str, Any]:
    async with processor(front, "demo-chain") as running:
        await _close(await _open(running.address, _WARM))
        before = await _empty(running)
        peers = await _open(running.address, STREAMS)
        during = await running.census()
        ended = sum(len(peer.ended) for peer in peers)
        await _close(peers)
        after = await _empty(running)
    return {
        "name": front,
        "streams": during.sessions,
        "ended_early": ended,
        "connections": len(peers),
        "kib_per_stream": round((during.memory - before.memory) / STREAMS / _KIB, 1),
        "tasks_left": after.tasks - before.tasks,
    }


async def _empty(running: Processor) -> Usage:
    """What the processor holds once it has noticed that its peers are gone."""
    usage, last = await running.census(), None
    while usage.sessions or usage.tasks != last:
        last = usage.tasks
        await asyncio.sleep(0.2)
        usage = await running.census()
    return usage


async def _open(address: str, count: int) -> list[Peer]:
    """Opens `count` streams over as many connections as it takes, and waits until each has its answer."""
    host, _, port = address.rpartition(":")
    peers: list[Peer] = []
    numbers = itertools.count()
    left = count
    while left:
        _, peer = await asyncio.get_running_loop().create_connection(Peer, host, int(port))
        peers.append(peer)
        await peer.settled.wait()
        share = min(left, peer.most, _A_CONNECTION)
        for _ in range(share):
            peer.open(grpc_message(_headers(next(numbers))))
        while peer.answered < share:
            if peer.lost or peer.ended:
                raise RuntimeError(f"after {peer.answered} answers, the processor ended a stream or the connection")
            peer.news.clear()
            await peer.news.wait()
        left -= share
    return peers


def _headers(number: int) -> dict[str, str]:
    """Those of one request among many: what differs in practice differs here."""
    own = {":path": f"/bench/{number}", "x-request-id": str(UUID(int=number)), "cookie": f"session={number:032x}"}
    return {**HEADERS, **own}


async def _close(peers: Sequence[Peer]) -> None:
    for peer in peers:
        peer.close()
    await asyncio.sleep(0)
