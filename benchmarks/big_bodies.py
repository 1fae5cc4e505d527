"""``make bodies``: bodies of 1 GiB, both ways, through a filter that takes pieces, and what memory that takes.

Client and upstream make and read the bodies piece by piece, and each compares what came with what the other one sent.
The processor is `extproc serve`, in a process of its own.
"""

from __future__ import annotations

import argparse
import asyncio
import itertools
import sys
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from time import perf_counter
from typing import TYPE_CHECKING, Any

import xxhash
import yaml
from rich.console import Console
from rich.table import Table

from benchmarks.serving import serving
from extproc import Chain, Exchange, Filter
from extproc.envoy.binary import RunningEnvoy
from extproc.envoy.config import EnvoyOptions, bootstrap
from extproc.envoy.plain_http import split_address

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, AsyncIterator, Iterator

__all__ = ["FRONTS", "MIB", "MODES", "Flip", "Passage", "chain", "passage"]

MIB = 1024 * 1024
BOUND = 64 * MIB
FRONTS = ("native", "grpcio")
MODES = ("STREAMED", "FULL_DUPLEX_STREAMED")

_BLOCK = 64 * 1024
_BLOCKS = bytes(range(256)) * (_BLOCK // 256)
_FLIPPED = bytes(255 - byte for byte in range(256))


class Flip(Filter):
    """Turns every bit of both bodies, so that whatever passes it by is seen."""

    def on_request_chunk(self, exchange: Exchange, chunk: bytes) -> bytes:  # noqa: ARG002 (hooks take it)
        """Turns a piece of the request."""
        return chunk.translate(_FLIPPED)

    def on_response_chunk(self, exchange: Exchange, chunk: bytes) -> bytes:  # noqa: ARG002 (hooks take it)
        """Turns a piece of the response."""
        return chunk.translate(_FLIPPED)


chain = Chain([Flip()], timeout=5.0)


@dataclass(frozen=True, slots=True)
class Passage:
    """What came of two bodies.

    Attributes:
        correct: both arrived whole, in order, and flipped.
        grown: bytes of memory that the processor took at its worst, over what it had before.
    """

    mode: str
    front: str
    size: int
    correct: bool
    grown: int
    seconds: float


async def passage(mode: str, front: str, size: int) -> Passage:
    """Sends a body of `size` bytes through the chain, and gets one back.

    Raises:
        ConnectionError: Envoy did not carry them to their end.
    """
    async with _Upstream.listening() as upstream, serving("benchmarks.big_bodies:chain", "--front", front) as processor:
        config = _config(mode, upstream.address, processor.address)
        async with RunningEnvoy(config) as envoy:
            address = f"127.0.0.1:{envoy.port('ingress')}"
            await _exchange(address, upstream, MIB)  # code is loaded, connections are there
            before, start = processor.resident(), perf_counter()
            correct = await _exchange(address, upstream, size)
            took = perf_counter() - start
        return Passage(mode, front, size, correct, processor.peak() - before, took)


def _config(mode: str, upstream: str, processor: str) -> str:
    any_port = "127.0.0.1:0"
    options = EnvoyOptions(listen=any_port, admin=any_port, upstream=upstream, processors=(processor,))
    config: Any = yaml.safe_load(bootstrap(chain, options))
    manager = config["static_resources"]["listeners"][0]["filter_chains"][0]["filters"][0]["typed_config"]
    trailers = "SEND" if mode == "FULL_DUPLEX_STREAMED" else "SKIP"
    manager["http_filters"][0]["typed_config"]["processing_mode"] |= {
        "request_header_mode": "SEND",
        "response_header_mode": "SEND",
        "request_body_mode": mode,
        "response_body_mode": mode,
        "request_trailer_mode": trailers,
        "response_trailer_mode": trailers,
    }
    (route,) = manager["route_config"]["virtual_hosts"][0]["routes"]
    route["route"]["timeout"] = "0s"  # Envoy gives an upstream 15 s for its whole response
    return yaml.safe_dump(config)


# Client and upstream


async def _exchange(address: str, upstream: _Upstream, size: int) -> bool:
    """One exchange; whether both bodies are what they ought to be."""
    upstream.size = size
    reader, writer = await asyncio.open_connection(*split_address(address))
    try:
        async with asyncio.TaskGroup() as tasks:
            sending = tasks.create_task(_send(writer, "POST / HTTP/1.1\r\nhost: big.example\r\n", size))
            status, body = await _receive(reader)
            digest = await _digest(body)
            if status != "200":
                raise ConnectionError(f"Envoy answers {status}")
        return upstream.digest == sending.result() and digest == upstream.sent
    finally:
        writer.close()


@dataclass
class _Upstream:
    """Reads a body, then sends one of `size` bytes."""

    address: str = ""
    size: int = 0
    digest: str = ""
    sent: str = ""
    _tasks: set[asyncio.Task[None]] = field(default_factory=set[asyncio.Task[None]])

    @classmethod
    @asynccontextmanager
    async def listening(cls) -> AsyncGenerator[_Upstream]:
        upstream = cls()
        async with await asyncio.start_server(upstream._connected, "127.0.0.1", 0) as server:
            upstream.address = f"127.0.0.1:{server.sockets[0].getsockname()[1]}"
            yield upstream

    async def _connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while True:
                _, body = await _receive(reader)
                self.digest = await _digest(body)
                self.sent = await _send(writer, "HTTP/1.1 200 OK\r\n", self.size)
        except ConnectionError:
            pass  # Envoy has closed it
        finally:
            writer.close()


async def _send(writer: asyncio.StreamWriter, head: str, size: int) -> str:
    """Sends a message with a body; gives the digest of that body when it is flipped."""
    digest = xxhash.xxh3_128()
    writer.write(f"{head}content-length: {size}\r\n\r\n".encode())
    for block in _made(size):
        writer.write(block)
        digest.update(block.translate(_FLIPPED))
        await writer.drain()
    return digest.hexdigest()


def _made(size: int) -> Iterator[bytes]:
    """A body of which no two blocks are the same."""
    for number in itertools.count():
        left = size - number * _BLOCK
        if left <= 0:
            return
        yield (number.to_bytes(8) + _BLOCKS[8:])[:left]


async def _receive(reader: asyncio.StreamReader) -> tuple[str, AsyncIterator[bytes]]:
    """The second word of a message's first line, and its body.

    Raises:
        ConnectionError: the other end has closed.
    """
    try:
        first, *fields = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").splitlines()
    except asyncio.IncompleteReadError as error:
        raise ConnectionError("closed") from error
    headers = {name.lower(): value.strip() for name, _, value in (item.partition(":") for item in fields)}
    length = headers.get("content-length")
    body = _chunks(reader) if length is None else _exactly(reader, int(length))
    return first.split()[1], body


async def _chunks(reader: asyncio.StreamReader) -> AsyncIterator[bytes]:
    while size := int(await reader.readline() or b"-1", 16):
        if size < 0:
            raise ConnectionError("closed in the middle of a body")
        async for piece in _exactly(reader, size):
            yield piece
        await reader.readline()
    while (await reader.readline()).strip():
        pass  # trailers


async def _exactly(reader: asyncio.StreamReader, size: int) -> AsyncIterator[bytes]:
    while size:
        piece = await reader.read(min(size, _BLOCK))
        if not piece:
            raise ConnectionError("closed in the middle of a body")
        size -= len(piece)
        yield piece


async def _digest(body: AsyncIterator[bytes]) -> str:
    digest = xxhash.xxh3_128()
    async for piece in body:
        digest.update(piece)
    return digest.hexdigest()


def main() -> None:
    """Every mode on every front; exit status 1 where content is wrong, or memory grows by 64 MiB or more."""
    arguments = argparse.ArgumentParser(description="Bodies of 1 GiB through a filter that takes pieces.")
    arguments.add_argument("--mib", type=int, default=1024, help="size of each of the two bodies")
    size = arguments.parse_args().mib * MIB
    failed = False
    table = Table("body mode", "front", "each way", "content", "memory", "speed")
    for mode, front in itertools.product(MODES, FRONTS):
        result = asyncio.run(passage(mode, front, size))
        failed = failed or not result.correct or result.grown >= BOUND
        table.add_row(
            mode,
            front,
            f"{size // MIB} MiB",
            "correct" if result.correct else "WRONG",
            f"+{result.grown / MIB:.1f} MiB",
            f"{2 * size / MIB / result.seconds:.0f} MiB/s",
        )
    Console().print(table)
    sys.exit(failed)


if __name__ == "__main__":
    main()
