"""Records what real clients send to a front, for the fuzz tests to spoil: ``python -m tests.server.fuzz.record``.

A session is all the bytes of one connection from the client, in the pieces in which they came; `sessions/` keeps them.
"""

from __future__ import annotations

import asyncio
import base64
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from functools import partial
from pathlib import Path
from typing import Any

import grpc
import grpc.aio
from grpc_health.v1 import health_pb2, health_pb2_grpc

from extproc import Chain
from extproc.envoy.binary import RunningEnvoy
from extproc.envoy.config import EnvoyOptions, bootstrap
from extproc.envoy.plain_http import PlainRequest, Upstream, send
from extproc.server.native import NativeFront
from tests.server.conftest import METHOD, body_message, headers_message
from tests.server.raw.serving import Tag, Upper, UpperPieces

SESSIONS = Path(__file__).parent / "sessions"


def load() -> dict[str, list[bytes]]:
    """The recorded sessions by name."""
    return {
        path.stem: [base64.b64decode(piece) for piece in json.loads(path.read_text())]
        for path in sorted(SESSIONS.glob("*.json"))
    }


@asynccontextmanager
async def tapped(target: str) -> AsyncIterator[tuple[str, list[list[bytes]]]]:
    """An address that leads to `target`, and what clients say there, by connection."""
    said: list[list[bytes]] = []
    host, _, port = target.rpartition(":")

    async def relay(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        pieces: list[bytes] = []
        said.append(pieces)
        there_reader, there_writer = await asyncio.open_connection(host, int(port))
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(_pump(reader, there_writer, pieces.append))
            tasks.create_task(_pump(there_reader, writer, len))

    server = await asyncio.start_server(relay, "127.0.0.1", 0)
    async with server:
        yield f"127.0.0.1:{server.sockets[0].getsockname()[1]}", said


async def _pump(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, see: Callable[[bytes], object]) -> None:
    with suppress(ConnectionError):
        while piece := await reader.read(1 << 16):
            see(piece)
            writer.write(piece)
            await writer.drain()
    writer.close()


async def _envoy(address: str, chain: Chain, large: tuple[bytes, ...] = (b"x" * 2000,)) -> None:
    """Requests without and with bodies, the same ones again: its header table warms up."""
    async with Upstream(None) as upstream:
        options = EnvoyOptions(
            listen="127.0.0.1:0", admin="127.0.0.1:0", upstream=upstream.address, processors=(address,)
        )
        async with RunningEnvoy(bootstrap(chain, options), concurrency=1) as envoy:
            ingress = f"127.0.0.1:{envoy.port('ingress')}"
            bodies: list[list[bytes]] = [[], [b"hello"], [], [*large], []]
            for body in bodies:
                method = "POST" if body else "GET"
                await send(ingress, PlainRequest(method=method, target="/a?b=c", headers=[(b"x-a", b"b")], body=body))


async def _grpcio(address: str, _: Chain) -> None:
    """Unary and streaming calls, a cancellation, a deadline, an error."""
    async with grpc.aio.insecure_channel(address) as channel:
        stub: Any = health_pb2_grpc.HealthStub(channel)
        await stub.Check(health_pb2.HealthCheckRequest())
        watch = stub.Watch(health_pb2.HealthCheckRequest(), timeout=30)
        await watch.read()
        process: Any = channel.stream_stream(METHOD, request_serializer=lambda message: message.SerializeToString())
        for body in (b"a", b"a" * 20_000):
            call = process()
            await call.write(headers_message(end_of_stream=False))
            await call.read()
            await call.write(body_message(body))
            await call.read()
            await call.done_writing()
            await call.read()
        call = process()
        await call.write(headers_message())
        await call.read()
        call.cancel()
        watch.cancel()


async def _record(name: str, client: Callable[[str, Chain], Awaitable[None]], chain: Chain) -> None:
    async with NativeFront(chain) as front, tapped(front.addresses[0]) as (address, said):
        await client(address, chain)
    pieces = max(said, key=lambda pieces: sum(map(len, pieces)))
    SESSIONS.mkdir(exist_ok=True)
    text = json.dumps([base64.b64encode(piece).decode() for piece in pieces], indent=0)
    (SESSIONS / f"{name}.json").write_text(text + "\n")


async def main() -> None:
    """Records them all."""
    bodies = Chain([Tag(), Upper()])
    await _record("envoy", _envoy, bodies)
    await _record("envoy-headers", _envoy, Chain([Tag()]))
    large = (b"x" * 2000, b"y" * 3000, b"z" * 20_000, b"x" * 2000)
    await _record("envoy-pieces", partial(_envoy, large=large), Chain([Tag(), UpperPieces()]))
    await _record("grpcio", _grpcio, bodies)


if __name__ == "__main__":
    asyncio.run(main())
