"""A connection without a socket, and what must be true of it whatever it is told."""

from __future__ import annotations

import asyncio
from collections import Counter

from extproc import Chain
from extproc.server.native import Http2Limits
from extproc.server.native.connection import Connection
from extproc.server.native.health import Health, Status
from extproc.server.session import Service
from tests.server.fuzz.oracle import check_legal, check_windows, taken_apart
from tests.server.raw.frames import Code
from tests.server.raw.requests import PROCESS_PATH
from tests.server.raw.serving import Tag, Upper, UpperPieces

_CHAINS = (Chain([Tag(), Upper()]), Chain([Tag()]), Chain([Tag(), UpperPieces()]))
"""The second can be answered at once, the pieces of the third's bodies in one go."""
_MAX_MESSAGE_BYTES = 100_000
_FATAL = {f"connection_error.{code.name}" for code in Code}


class World:
    """A host without a socket, a clock that stands still, and what a connection serves."""

    def __init__(self, chain: Chain) -> None:
        self.counters: Counter[str] = Counter()
        self.service = Service(chain)
        health = Health()
        health.set("", Status.SERVING)
        path, at_once = PROCESS_PATH.encode(), self.service.at_once
        methods = {path: self.service.open, **health.methods()}
        self.connection = Connection(
            self,
            methods,
            limits=Http2Limits(large_message_bytes=_MAX_MESSAGE_BYTES),
            counters=self.counters,
            max_message_bytes=_MAX_MESSAGE_BYTES,
            at_once={} if at_once is None else {path: at_once},
        )

    def wake(self) -> None:
        """There is something to take, which `converse` does anyway."""

    def waiter(self) -> asyncio.Future[None]:
        return asyncio.get_running_loop().create_future()

    def time(self) -> float:
        return 0.0

    def alarm(self, at: float) -> None:
        """Time stands still."""

    async def converse(self, said: list[bytes]) -> bytes:
        """What the server says to that."""
        out = []
        for piece in said:
            read = bytearray(self.connection.cut_off + piece)
            self.connection.receive(memoryview(read))
            read[:] = bytes(len(read))  # the next read goes to the same place
            while self.connection.out:
                out += self.connection.take()
                self.connection.pump()
            await asyncio.sleep(0)
        self.connection.lost()
        await self.service.aclose()
        return b"".join(out)


async def check_conversation(said: list[bytes]) -> None:
    """The server takes all that, answers as it should, and keeps nothing, whatever its chain."""
    for chain in _CHAINS:
        await _check_in(World(chain), said)


async def _check_in(world: World, said: list[bytes]) -> None:
    answer = await world.converse(said)
    check_legal(taken_apart(answer))
    check_windows(heard=said, answered=taken_apart(answer))
    assert not world.counters["connection_error.INTERNAL_ERROR"]
    assert not world.connection.streams
    assert not world.connection.buffered() or world.counters.keys() & _FATAL  # what came with the error is not counted
    assert asyncio.all_tasks() == {asyncio.current_task()}
