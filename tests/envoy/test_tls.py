"""mTLS between the real Envoy and the processor."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

from extproc import Chain, Exchange, Filter
from extproc.envoy.binary import RunningEnvoy
from extproc.envoy.config import EnvoyOptions, bootstrap
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


def with_tls(config: str, client: str) -> str:
    """The configuration, with a client certificate for the processor."""
    loaded: Any = yaml.safe_load(config)
    files = {"certificate_chain": f"{client}.pem", "private_key": f"{client}.key"}
    context = {
        "tls_certificates": [{name: {"filename": str(CERTIFICATES / file)} for name, file in files.items()}],
        "validation_context": {"trusted_ca": {"filename": str(CERTIFICATES / "authority.pem")}},
        "alpn_protocols": ["h2"],
    }
    (cluster,) = (each for each in loaded["static_resources"]["clusters"] if each["name"] == "processor")
    cluster["transport_socket"] = {
        "name": "envoy.transport_sockets.tls",
        "typed_config": {
            "@type": "type.googleapis.com/envoy.extensions.transport_sockets.tls.v3.UpstreamTlsContext",
            "common_tls_context": context,
        },
    }
    return yaml.safe_dump(loaded)


@pytest.mark.parametrize("front", ["native", "grpcio"])
@pytest.mark.parametrize(("client", "status", "tag"), [("envoy", 200, b"on"), ("stranger", 500, None)])
async def test_envoy_is_known_by_its_certificate(front: FrontName, client: str, status: int, tag: bytes | None) -> None:
    chain = Chain([Tag()])
    async with Upstream() as upstream, new_front(chain, options=FrontOptions(tls=SERVER), front=front) as entered:
        options = EnvoyOptions(
            listen="127.0.0.1:0",
            admin="127.0.0.1:0",
            upstream=upstream.address,
            processors=tuple(entered.addresses),
        )
        async with RunningEnvoy(with_tls(bootstrap(chain, options), client)) as envoy:
            reply = await send(f"127.0.0.1:{envoy.port('ingress')}", PlainRequest())
    assert reply.status == status
    assert [request.value("x-tag") for request in upstream.requests] == ([] if tag is None else [tag])
