"""More connections than a front takes: one too many is told that it gets no stream, and others are served on."""

from __future__ import annotations

import asyncio
import ssl

import pytest

from extproc.server.native import Http2Limits, NativeFront
from extproc.server.tls import Tls
from tests.server.attacks.bystander import bystander
from tests.server.attacks.test_over_tls import client_context
from tests.server.raw.frames import PREFACE, Code, settings
from tests.server.raw.peer import connected, greeted
from tests.server.raw.requests import check
from tests.server.raw.serving import healthy, serving
from tests.server.test_tls import CERTIFICATES

LIMITS = Http2Limits(connections=2)
SERVER = Tls(certificate=CERTIFICATES / "server.pem", key=CERTIFICATES / "server.key")


async def only_the_bystander_is_left(front: NativeFront) -> None:
    while front.gauges()["connections"] > 1:
        await asyncio.sleep(0)


@pytest.mark.parametrize(("tls", "client"), [(None, None), (SERVER, client_context())], ids=["plain", "TLS"])
async def test_one_too_many_gets_no_stream(tls: Tls | None, client: ssl.SSLContext | None) -> None:
    async with serving(http2=LIMITS, tls=tls) as front, bystander(front.addresses[0], client) as other:
        async with greeted(front.addresses[0], tls=client), connected(front.addresses[0], tls=client) as late:
            late.send(PREFACE, settings(), check(1))
            gone = await late.closed()
            assert (gone.code, gone.last_stream) == (Code.NO_ERROR, 0)  # so whatever it asked may be asked elsewhere
            assert front.counters["limit.connections"] == 1
            await other.is_served()
        await only_the_bystander_is_left(front)
        async with greeted(front.addresses[0], tls=client) as welcome:
            await healthy(welcome, 1)
