"""Parts go out in order and whole, whichever way, and however slowly they are read."""

from __future__ import annotations

import asyncio
import socket
from typing import TYPE_CHECKING

import pytest

from extproc.server.native.writing import plain_socket, write

if TYPE_CHECKING:
    from collections.abc import Sequence

MIB = 1024 * 1024


class Writer(asyncio.Protocol):
    """Knows its transport, and whether it was asked to pause."""

    transport: asyncio.Transport
    paused = False

    def __init__(self) -> None:
        self.lost = asyncio.Event()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self.transport = transport

    def pause_writing(self) -> None:
        self.paused = True

    def connection_lost(self, exc: Exception | None) -> None:
        self.lost.set()


async def connected() -> tuple[Writer, socket.socket]:
    ours, theirs = socket.socketpair()
    theirs.setblocking(False)
    _, writer = await asyncio.get_running_loop().create_connection(Writer, sock=ours)
    return writer, theirs


async def read(theirs: socket.socket, size: int) -> bytes:
    data = bytearray()
    while len(data) < size:
        data += await asyncio.get_running_loop().sock_recv(theirs, size - len(data))
    return bytes(data)


def parts(count: int, size: int) -> Sequence[bytes | memoryview]:
    made = [bytes((number % 256,)) * size for number in range(count)]
    return [memoryview(each) if number % 2 else each for number, each in enumerate(made)]


@pytest.mark.parametrize("large", [False, True])
@pytest.mark.parametrize(("count", "size"), [(1, 1), (3, 10), (32, 16_384), (100, 100_000), (2000, 100)])
async def test_all_parts_arrive_in_order(count: int, size: int, large: bool) -> None:
    writer, theirs = await connected()
    for _ in range(2):  # the second time, others may wait in front
        write(writer.transport, parts(count, size), plain_socket(writer.transport) if large else None)
    with theirs:
        assert await read(theirs, 2 * count * size) == 2 * b"".join(parts(count, size))
    writer.transport.close()
    await writer.lost.wait()


@pytest.mark.parametrize("large", [False, True])
async def test_who_writes_more_than_is_read_is_told_to_pause(large: bool) -> None:
    writer, theirs = await connected()
    with theirs:
        write(writer.transport, parts(64, MIB), plain_socket(writer.transport) if large else None)
        assert writer.paused
        writer.transport.abort()
        await writer.lost.wait()


@pytest.mark.parametrize("large", [False, True])
async def test_a_peer_that_is_gone_ends_the_connection_and_nothing_else(large: bool) -> None:
    writer, theirs = await connected()
    theirs.close()
    write(writer.transport, parts(8, 16_384), plain_socket(writer.transport) if large else None)
    await writer.lost.wait()
    write(writer.transport, parts(8, 16_384), plain_socket(writer.transport) if large else None)
