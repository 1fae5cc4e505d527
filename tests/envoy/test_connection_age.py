"""A processor that ends its connections in good order, again and again, loses no exchange."""

from __future__ import annotations

import asyncio
from collections import Counter

import pytest

from extproc import Chain, Exchange, Filter
from extproc.envoy.binary import RunningEnvoy
from extproc.envoy.config import EnvoyOptions, bootstrap
from extproc.envoy.plain_http import PlainRequest, Upstream, send
from extproc.server import Bounds, FrontName, FrontOptions, new_front

EXCHANGES = 300
AT_ONCE = 8


class Slow(Filter):
    """So that a connection never is without a stream when it is ended."""

    async def on_request_headers(self, exchange: Exchange) -> None:
        await asyncio.sleep(0.01)
        exchange.request.headers["x-seen"] = "1"


@pytest.mark.parametrize("front", ["native", "grpcio"])
async def test_no_exchange_is_lost_when_connections_end_for_their_age(front: FrontName) -> None:
    chain, statuses = Chain([Slow()]), Counter[int]()
    todo = iter(range(EXCHANGES))
    aging = FrontOptions(max_connection_age=0.1, bounds=Bounds(stall=None))
    async with Upstream() as upstream, new_front(chain, options=aging, front=front) as entered:
        options = EnvoyOptions(
            listen="127.0.0.1:0",
            admin="127.0.0.1:0",
            upstream=upstream.address,
            processors=tuple(entered.addresses),
        )
        async with RunningEnvoy(bootstrap(chain, options)) as envoy, asyncio.TaskGroup() as tasks:
            address = f"127.0.0.1:{envoy.port('ingress')}"

            async def client() -> None:
                for _ in todo:
                    reply = await send(address, PlainRequest(method="GET", target="/", headers=[(b"host", b"a")]))
                    statuses[reply.status] += 1

            for _ in range(AT_ONCE):
                tasks.create_task(client())
        seen = Counter(request.value("x-seen") for request in upstream.requests)
    assert (statuses, seen) == ({200: EXCHANGES}, {b"1": EXCHANGES})
