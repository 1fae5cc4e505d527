"""A processor that has as many connections as it takes: Envoy asks another one, and no exchange is lost."""

from __future__ import annotations

import pytest

from extproc import Chain, Exchange, Filter
from extproc.envoy.binary import RunningEnvoy
from extproc.envoy.config import EnvoyOptions, bootstrap
from extproc.envoy.plain_http import PlainRequest, Upstream, send
from extproc.server import FrontName, FrontOptions, new_front
from extproc.server.native import Http2Limits
from tests.server.raw.peer import greeted

EXCHANGES = 20


class Tag(Filter):
    def on_request_headers(self, exchange: Exchange) -> None:
        exchange.request.headers["x-tag"] = "on"


@pytest.mark.parametrize("front", ["native", "grpcio"])
async def test_no_exchange_is_lost_when_one_of_two_is_full(front: FrontName) -> None:
    chain, one = Chain([Tag()]), FrontOptions(http2=Http2Limits(connections=1))
    async with (
        Upstream() as upstream,
        new_front(chain, options=one, front=front) as full,
        new_front(Chain([Tag()]), front=front) as free,
        greeted(full.addresses[0]),
    ):
        options = EnvoyOptions(
            listen="127.0.0.1:0",
            admin="127.0.0.1:0",
            upstream=upstream.address,
            processors=(*full.addresses, *free.addresses),
        )
        async with RunningEnvoy(bootstrap(chain, options)) as envoy:
            address = f"127.0.0.1:{envoy.port('ingress')}"
            replies = [await send(address, PlainRequest()) for _ in range(EXCHANGES)]
    assert [reply.status for reply in replies] == [200] * EXCHANGES
    assert all(request.value("x-tag") == b"on" for request in upstream.requests)
