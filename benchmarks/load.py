"""A small HTTP/1.1 client and upstream on raw asyncio protocols: they must not be what limits a measurement."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator

_REPLY = b"HTTP/1.1 200 OK\r\ncontent-type: text/plain\r\ncontent-length: 5\r\n\r\nhello"


class _Replier(asyncio.Protocol):
    """Answers every request that has no body with the same reply."""

    def __init__(self) -> None:
        self._rest = b""
        self._transport: asyncio.WriteTransport

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.WriteTransport)  # noqa: S101 (narrows the type)
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        *requests, self._rest = (self._rest + data).split(b"\r\n\r\n")
        self._transport.write(_REPLY * len(requests))


@asynccontextmanager
async def upstream() -> AsyncGenerator[str]:
    """An upstream on a free port; yields its address."""
    server = await asyncio.get_running_loop().create_server(_Replier, "127.0.0.1", 0)
    async with server:
        host, port = server.sockets[0].getsockname()
        yield f"{host}:{port}"


async def exchanges(address: str, count: int, connections: int, headers: dict[str, str]) -> None:
    """Runs `count` GET exchanges over kept-alive connections, and checks that each is a 200.

    Raises:
        RuntimeError: one of them is not.
    """
    lines = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
    request = f"GET /bench HTTP/1.1\r\nhost: bench.example\r\n{lines}\r\n".encode()
    async with asyncio.TaskGroup() as tasks:
        for _ in range(connections):
            tasks.create_task(_one_connection(address, request, count // connections))


async def _one_connection(address: str, request: bytes, count: int) -> None:
    host, _, port = address.rpartition(":")
    reader, writer = await asyncio.open_connection(host, int(port))
    try:
        for _ in range(count):
            writer.write(request)
            head = await reader.readuntil(b"\r\n\r\n")
            if not head.startswith(b"HTTP/1.1 200"):
                raise RuntimeError(f"an exchange of the benchmark failed: {head!r}")
            await reader.readexactly(_content_length(head))
    finally:
        writer.close()


def _content_length(head: bytes) -> int:
    for line in head.split(b"\r\n"):
        if line.startswith(b"content-length: "):
            return int(line.partition(b": ")[2])
    raise RuntimeError(f"a reply of the benchmark has no length: {head!r}")
