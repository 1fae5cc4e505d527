"""The asyncio side of a connection, where the socket has its own ideas."""

from __future__ import annotations

import asyncio
import socket

from tests.server.raw.frames import PREFACE, settings
from tests.server.raw.serving import serving


async def test_a_peer_that_has_gone_unnoticed_is_left_in_peace() -> None:
    """It answers our last words with a reset, so that the socket is closed before we close it."""
    async with serving() as front:
        host, _, port = front.addresses[0].rpartition(":")
        with socket.create_connection((host, int(port))) as client:
            client.sendall(PREFACE + settings())
            while not any(protocol.connection.greeted for protocol in front._protocols):
                await asyncio.sleep(0)
            client.recv(1 << 16)  # with something unread, it would have gone with a reset
        (protocol,) = front._protocols
        protocol.drain(0)
        protocol._look_after()
