"""The chains of the artefacts, behind a real Envoy with the configuration that the artefacts have."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from extproc.config import load_chain
from extproc.envoy.plain_http import PlainReply
from extproc.testing import Gateway
from tests.deploy.tools import DEPLOY

pytestmark = pytest.mark.envoy


@pytest.fixture
async def compose(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Gateway]:
    monkeypatch.setenv("DEMO_KEY", "demo")
    async with Gateway(load_chain(DEPLOY / "compose" / "chain.yaml")) as gateway:
        yield gateway


async def test_compose_refuses_a_stranger(compose: Gateway) -> None:
    reply = await compose.send("GET", "/")

    assert reply.status == 401
    assert compose.upstream.requests == []


async def test_compose_serves_who_has_the_key(compose: Gateway) -> None:
    reply = await compose.send("GET", "/", headers={"x-api-key": "demo"})

    assert reply.status == 200
    assert reply.value("x-served-by") == b"extproc"
    assert reply.value("x-variant") in {b"plain", b"warm"}
    assert compose.upstream.requests[0].value("x-caller") == b"demo"


async def test_the_sidecar_serves_over_its_socket(tmp_path: Path) -> None:
    chain = load_chain(DEPLOY / "kubernetes" / "base" / "chain.yaml")
    upstream = PlainReply(status=200, headers=[(b"x-powered-by", b"anything")])

    async with Gateway(chain, upstream=upstream, processor=(f"unix:{tmp_path}/processor.sock",)) as gateway:
        reply = await gateway.send("GET", "/")

    assert reply.status == 200
    assert reply.value("ratelimit") is not None
    assert reply.value("x-powered-by") is None
