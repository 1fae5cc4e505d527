"""A filter that takes its time is nobody else's business; one that blocks the event loop is named.

Envoy waits for 200 ms here, its default, and a filter takes 1.5 s over one exchange. The processor is a process of its
own, as in service.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

import pytest
import yaml

from benchmarks.serving import Serving, serving
from extproc import Chain
from extproc.cli import main
from extproc.envoy.binary import RunningEnvoy
from extproc.envoy.config import EnvoyOptions, bootstrap
from extproc.envoy.plain_http import Connection, PlainRequest, Upstream, send
from tests.envoy import sleepers

CHAINS = {name: getattr(sleepers, name) for name in ("awaits", "blocks", "blocks_a_thread", "computes")}
CONNECTIONS = 4
REQUESTS = 10
"""On each of the connections, one after the other."""


@dataclass(frozen=True)
class Street:
    """A processor behind an Envoy."""

    processor: Serving
    envoy: RunningEnvoy
    address: str

    async def neighbours(self) -> list[int]:
        """The statuses of many exchanges, several at a time."""
        async with asyncio.TaskGroup() as tasks:
            clients = [tasks.create_task(self._neighbour()) for _ in range(CONNECTIONS)]
        return [status for client in clients for status in client.result()]

    async def _neighbour(self) -> list[int]:
        async with Connection(self.address) as connection:
            return [(await connection.send(PlainRequest())).status for _ in range(REQUESTS)]

    async def stat(self, name: str) -> int:
        """One of Envoy's counters about its processor."""
        (value,) = (await self.envoy.stats(f"http.ingress.ext_proc.extproc.{name}")).values()
        return value


@asynccontextmanager
async def street(name: str, *options: str) -> AsyncIterator[Street]:
    async with (
        Upstream() as upstream,
        serving(f"tests.envoy.sleepers:{name}", *options) as processor,
        RunningEnvoy(_config(CHAINS[name], upstream.address, processor.address)) as envoy,
    ):
        yield Street(processor, envoy, f"127.0.0.1:{envoy.port('ingress')}")


def _config(chain: Chain, upstream: str, processor: str) -> str:
    """What the chain needs, but for the time: Envoy's default."""
    any_port = "127.0.0.1:0"
    options = EnvoyOptions(listen=any_port, admin=any_port, upstream=upstream, processors=(processor,))
    config = yaml.safe_load(bootstrap(chain, options))
    manager = config["static_resources"]["listeners"][0]["filter_chains"][0]["filters"][0]["typed_config"]
    del manager["http_filters"][0]["typed_config"]["message_timeout"]
    return yaml.safe_dump(config)


@pytest.mark.parametrize("front", ["native", "grpcio"])
@pytest.mark.parametrize("name", ["awaits", "blocks_a_thread"])
async def test_a_filter_that_sleeps_fails_no_other_exchange(name: str, front: str) -> None:
    async with street(name, "--front", front) as here, asyncio.TaskGroup() as tasks:
        await here.neighbours()  # connections are made, code is warm
        before = await here.stat("message_timeouts")
        slow = tasks.create_task(send(here.address, PlainRequest(target=sleepers.PATH)))
        await here.processor.logged("sleeps")
        assert await here.neighbours() == [200] * (CONNECTIONS * REQUESTS)
        assert (await slow).status == 504
        assert await here.stat("message_timeouts") - before == 1
    assert not [line for line in here.processor.lines if f"filter {name!r}" in line and "held up" in line]


@pytest.mark.parametrize("front", ["native", "grpcio"])
async def test_a_processor_that_computes_all_the_time_is_still_healthy(front: str) -> None:
    async with street("computes", "--front", front) as here, asyncio.TaskGroup() as tasks:
        slow = tasks.create_task(send(here.address, PlainRequest(target=sleepers.PATH)))
        await here.processor.logged("computes")
        assert await asyncio.to_thread(main, ["health", here.processor.address, "--timeout", "30s"]) == 0
        await send(here.address, PlainRequest())  # enough
        await slow


async def test_a_filter_that_blocks_fails_the_others_and_is_named_with_its_stack() -> None:
    async with street("blocks") as here, asyncio.TaskGroup() as tasks:
        await here.neighbours()
        slow = tasks.create_task(send(here.address, PlainRequest(target=sleepers.PATH)))
        await here.processor.logged("sleeps")
        assert 504 in await here.neighbours()
        assert (await slow).status == 504
        named = await here.processor.logged("has held up the event loop, and so every exchange, for 100 ms")
        assert "filter 'blocks' (Blocks.on_request_headers, exchange " in named
        assert "time.sleep(SECONDS)" in await here.processor.logged("time.sleep")
        assert "filter 'blocks'" in await here.processor.logged("held up the event loop for 1.")
        assert (await here.neighbours()).count(200) == CONNECTIONS * REQUESTS
