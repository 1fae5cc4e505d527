"""TLS in between: attacks are stopped as they are without, and a handshake may not take for ever."""

from __future__ import annotations

import asyncio
import ssl

import pytest

from extproc.server.native import Http2Limits
from extproc.server.tls import Tls
from tests.server.attacks import abuses, floods
from tests.server.attacks.attack import Attack
from tests.server.attacks.bystander import bystander
from tests.server.raw.frames import PREFACE, settings
from tests.server.raw.serving import serving
from tests.server.test_tls import CERTIFICATES

_TLS = Tls(certificate=CERTIFICATES / "server.pem", key=CERTIFICATES / "server.key")
_HALF_CLOSES = "half-close"  # which TLS cannot


def client_context() -> ssl.SSLContext:
    context = ssl.create_default_context(cafile=CERTIFICATES / "authority.pem")
    context.check_hostname = False
    context.set_alpn_protocols(["h2"])
    return context


@pytest.mark.parametrize(
    "attack",
    [attack for attack in [*floods.ATTACKS, *abuses.ATTACKS] if not attack.case.id.startswith(_HALF_CLOSES)],
    ids=lambda attack: attack.case.id,
)
async def test_attack(attack: Attack) -> None:
    async with (
        serving(http2=attack.limits, tls=_TLS) as front,
        bystander(front.addresses[0], client_context()) as client,
    ):
        await client.is_served_during(attack.case.play(front.addresses[0], client_context()))
        assert not attack.counter or front.counters[attack.counter], front.counters


@pytest.mark.parametrize(
    "said", [b"", b"\x16\x03\x01", PREFACE + settings()], ids=["nothing", "half a hello", "no TLS"]
)
async def test_who_does_not_finish_the_handshake_is_let_go(said: bytes) -> None:
    limits = Http2Limits(preface_timeout=0.05)
    async with (
        serving(http2=limits, tls=_TLS) as front,
        bystander(front.addresses[0], client_context()) as client,
    ):
        host, _, port = front.addresses[0].rpartition(":")
        reader, writer = await asyncio.open_connection(host, int(port))
        writer.write(said)
        await client.is_served_during(_ended(reader))
        writer.close()


async def _ended(reader: asyncio.StreamReader) -> None:
    await reader.read()
