"""mTLS between the real Envoy and the processor."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from extproc import Chain, Exchange, Filter
from extproc.envoy.binary import RunningEnvoy
from extproc.envoy.config import EnvoyOptions, ProcessorTls, bootstrap
from extproc.envoy.plain_http import PlainRequest, Upstream, send
from extproc.server import FrontName, FrontOptions, new_front
from extproc.server.tls import Tls

CERTIFICATES = Path(__file__).parents[1] / "server" / "certificates"
SERVER = Tls(
    certificate=CERTIFICATES / "server.pem",
    key=CERTIFICATES / "server.key",
    client_ca=CERTIFICATES / "authority.pem",
    client_names=("spiffe://example/envoy",),
)


class Tag(Filter):
    def on_request_headers(self, exchange: Exchange) -> None:
        exchange.request.headers["x-tag"] = "on"


def known_as(client: str | None = "envoy", ca: str = "authority", name: str = "") -> ProcessorTls:
    """Envoy has the certificate of `client`, and takes processors with a certificate of `ca` for `name`."""
    own = {} if client is None else {"certificate": f"{client}.pem", "key": f"{client}.key"}
    files: dict[str, Any] = {"ca": f"{ca}.pem", **own}
    return ProcessorTls(name=name, **{kind: str(CERTIFICATES / file) for kind, file in files.items()})


@pytest.mark.parametrize("front", ["native", "grpcio"])
@pytest.mark.parametrize(
    ("tls", "status", "tag"),
    [
        (known_as(), 200, b"on"),
        (known_as(name="localhost"), 200, b"on"),
        (known_as("stranger"), 500, None),
        (known_as("outsider"), 500, None),
        (known_as(None), 500, None),
        (known_as(name="processor.example"), 500, None),
        (known_as(name="127.0.0.2"), 500, None),
        (known_as(ca="other-authority"), 500, None),
        (None, 500, None),
    ],
    ids=["address", "name", "stranger", "other CA", "nobody", "other name", "other address", "other server", "plain"],
)
async def test_each_side_is_known_by_its_certificate(
    front: FrontName, tls: ProcessorTls | None, status: int, tag: bytes | None
) -> None:
    chain = Chain([Tag()])
    served = FrontOptions(tls=SERVER)
    async with Upstream() as upstream, new_front(chain, options=served, front=front) as entered:
        options = EnvoyOptions(
            listen="127.0.0.1:0",
            admin="127.0.0.1:0",
            upstream=upstream.address,
            processors=tuple(entered.addresses),
            tls=tls,
        )
        async with RunningEnvoy(bootstrap(chain, options)) as envoy:
            reply = await send(f"127.0.0.1:{envoy.port('ingress')}", PlainRequest())
    assert reply.status == status
    assert [request.value("x-tag") for request in upstream.requests] == ([] if tag is None else [tag])


async def test_envoys_health_checks_go_by_tls_as_well() -> None:
    chain = Chain([Tag()])
    async with Upstream() as upstream, new_front(chain, options=FrontOptions(tls=SERVER)) as entered:
        options = EnvoyOptions(
            layout="central",
            listen="127.0.0.1:0",
            admin="127.0.0.1:0",
            upstream=upstream.address,
            processors=tuple(entered.addresses),
            tls=known_as(),
        )
        async with RunningEnvoy(bootstrap(chain, options)) as envoy:
            checks = await envoy.stats("cluster.processor.health_check.")
    assert checks["cluster.processor.health_check.success"] > 0
    assert checks["cluster.processor.health_check.failure"] == 0
