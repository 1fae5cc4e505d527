"""Processors that are replaced, or killed, while they are busy: behind the configuration that we write for Envoy."""

from __future__ import annotations

import asyncio
import signal
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from extproc import Chain, Exchange, Filter
from extproc.envoy.binary import RunningEnvoy
from extproc.envoy.config import EnvoyOptions, bootstrap
from extproc.envoy.plain_http import Connection, PlainRequest, Upstream

ANY = "127.0.0.1:0"
CLIENTS = 6
BEFORE = 20
"""Exchanges that each client has had before anything happens."""


class Guard(Filter):
    """Takes a moment, so that there are exchanges under way whenever something happens."""

    async def on_request_headers(self, exchange: Exchange) -> None:
        await asyncio.sleep(0.02)
        exchange.request.headers["x-seen"] = "yes"


chain = Chain([Guard()], timeout=5)


class Processor:
    """`extproc serve` on a socket, again and again."""

    def __init__(self, path: Path, front: str) -> None:
        self.address = f"unix:{path}"
        self._front = front

    async def start(self) -> None:
        words = ("-m", "extproc", "serve", f"{__name__}:chain", "--listen", self.address, "--front", self._front)
        self._process = await asyncio.create_subprocess_exec(
            *(sys.executable, *words),
            cwd=Path(__file__).parents[2],
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.DEVNULL,
        )
        assert self._process.stdout is not None
        assert b"is ready" in await self._process.stdout.readline()

    async def end(self, number: signal.Signals) -> int:
        self._process.send_signal(number)
        return await self._process.wait()


class Clients:
    """Several that have one exchange after the other until they are told to stop."""

    def __init__(self, address: str) -> None:
        self._address = address
        self._enough = asyncio.Event()
        self._begun = asyncio.Barrier(CLIENTS + 1)
        self.statuses: list[int] = []

    @asynccontextmanager
    async def busy(self) -> AsyncIterator[None]:
        async with asyncio.TaskGroup() as tasks:
            for _ in range(CLIENTS):
                tasks.create_task(self._client())
            await self._begun.wait()
            yield
            self._enough.set()

    async def _client(self) -> None:
        async with Connection(self._address) as connection:
            for _ in range(BEFORE):
                await self._exchange(connection)
            await self._begun.wait()
            while not self._enough.is_set():
                await self._exchange(connection)

    async def _exchange(self, connection: Connection) -> None:
        self.statuses.append((await connection.send(PlainRequest(), timeout=10.0)).status)


@asynccontextmanager
async def two(tmp_path: Path, front: str) -> AsyncIterator[tuple[list[Processor], Clients, Upstream]]:
    """Two processors behind one Envoy."""
    processors = [Processor(tmp_path / name, front) for name in ("a", "b")]
    async with Upstream() as upstream:
        try:
            for processor in processors:
                await processor.start()
            addresses = tuple(processor.address for processor in processors)
            options = EnvoyOptions(listen=ANY, admin=ANY, upstream=upstream.address, processors=addresses)
            async with RunningEnvoy(bootstrap(chain, options)) as envoy:
                yield processors, Clients(f"127.0.0.1:{envoy.port('ingress')}"), upstream
        finally:
            for processor in processors:
                await processor.end(signal.SIGTERM)
    assert all(request.value("x-seen") == b"yes" for request in upstream.requests), "one passed by the filter"


@pytest.mark.parametrize("front", ["native", "grpcio"])
async def test_no_exchange_is_lost_while_processors_are_replaced_one_by_one(tmp_path: Path, front: str) -> None:
    async with two(tmp_path, front) as (processors, clients, _):
        async with clients.busy():
            for processor in processors:
                assert await processor.end(signal.SIGTERM) == 0
                await processor.start()
        assert set(clients.statuses) == {200}


async def test_a_processor_that_is_killed_costs_what_it_was_busy_with_at_most_and_lets_nobody_pass(
    tmp_path: Path,
) -> None:
    async with two(tmp_path, "native") as (processors, clients, _):
        async with clients.busy():
            await processors[0].end(signal.SIGKILL)
            await processors[0].start()
        lost = [status for status in clients.statuses if status != 200]
        assert len(lost) <= CLIENTS
        assert set(lost) <= {500}
