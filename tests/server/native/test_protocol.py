"""The asyncio side of a connection, where the socket has its own ideas."""

from __future__ import annotations

import asyncio
import socket
from typing import Any

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


class Foreign:
    """A transport of another event loop's, such as uvloop's: it has asyncio's methods, and none of its classes."""

    def __init__(self) -> None:
        self.written = b""

    def get_extra_info(self, name: str) -> Any:
        return {"sslcontext": True}.get(name)  # so that it is written through `write`

    def write(self, data: bytes) -> None:
        self.written += data

    def abort(self) -> None:
        self.written += b"aborted"


async def test_transports_need_not_be_of_asyncios_class() -> None:
    async with serving() as front:
        protocol, transport = front._accept(), Foreign()
        protocol.connection_made(transport)  # type: ignore[arg-type]
        assert transport.written[3:4] == b"\x04"  # SETTINGS
        protocol.connection_lost(None)
