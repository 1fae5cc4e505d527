"""One row under measurement: a processor in a process of its own, and an Envoy of its own in front of it."""

from __future__ import annotations

import asyncio
import json
import shlex
import sys
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import yaml

from benchmarks.chains import CHAINS
from benchmarks.processors import Usage
from extproc.envoy.binary import RunningEnvoy
from extproc.envoy.config import EnvoyOptions, bootstrap

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Mapping

__all__ = ["Processor", "Row", "Subject", "processor", "subject"]


@dataclass(frozen=True, slots=True)
class Row:
    """What is to be measured.

    Attributes:
        name: of the row.
        front: ``bare``, ``grpcio``, ``native`` or ``outside``; empty: an Envoy without ext_proc.
        serves: one of the bare servicers, or of the chains; the command of a processor from outside.
        asks: the chain whose needs Envoy is configured for; by default the one that is served.
        unix: over a unix socket instead of TCP.
        modes: overrides of Envoy's processing mode, by its field names.
        buffer_limit: bytes that Envoy holds of a body, and so its largest chunk.
    """

    name: str
    front: str
    serves: str = ""
    asks: str = ""
    unix: bool = False
    modes: Mapping[str, str] | None = None
    buffer_limit: int = 1024 * 1024


class Processor:
    """A process that `benchmarks.processors` runs, or one that behaves as if."""

    def __init__(self, process: asyncio.subprocess.Process, address: str) -> None:
        self.address = address
        self.pid = process.pid
        self._process = process

    async def cpu(self) -> float:
        """CPU seconds that it has used so far."""
        return float(await self._ask(""))

    async def census(self) -> Usage:
        """What it holds right now."""
        return Usage(**json.loads(await self._ask("census")))

    async def _ask(self, line: str) -> bytes:
        assert self._process.stdin is not None  # noqa: S101 (both are pipes)
        assert self._process.stdout is not None  # noqa: S101
        self._process.stdin.write(f"{line}\n".encode())
        return await self._process.stdout.readline()


@asynccontextmanager
async def processor(front: str, serves: str, listen: str = "127.0.0.1:0") -> AsyncGenerator[Processor]:
    """Starts a processor; one from outside chooses where it listens."""
    ours = (sys.executable, "-m", "benchmarks.processors", front, serves, listen)
    process = await asyncio.create_subprocess_exec(
        *(shlex.split(serves) if front == "outside" else ours),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
    )
    assert process.stdin is not None  # noqa: S101 (both are pipes)
    assert process.stdout is not None  # noqa: S101
    try:
        address = (await process.stdout.readline()).decode().strip()
        if not address:
            raise RuntimeError(f"the processor {front} {serves} did not start; what it says stands above")
        yield Processor(process, address)
    finally:
        process.stdin.close()
        await process.wait()


@dataclass(frozen=True, slots=True)
class Subject:
    """A row that runs; `address` is Envoy's."""

    row: Row
    address: str
    processor: Processor | None


@asynccontextmanager
async def subject(row: Row, upstream: str, folder: str) -> AsyncGenerator[Subject]:
    """Starts a row; `folder` is where it may make its socket."""
    if not row.front:
        async with RunningEnvoy(_config(row, upstream, "")) as envoy:
            yield Subject(row, f"127.0.0.1:{envoy.port('ingress')}", None)
        return
    listen = f"unix:{folder}/{row.name}.sock" if row.unix else "127.0.0.1:0"
    async with (
        processor(row.front, row.serves, listen) as running,
        RunningEnvoy(_config(row, upstream, running.address)) as envoy,
    ):
        yield Subject(row, f"127.0.0.1:{envoy.port('ingress')}", running)


def _config(row: Row, upstream: str, address: str) -> str:
    """Envoy's configuration: what `extproc envoy config` writes for the chain, without an access log."""
    options = EnvoyOptions(
        listen="127.0.0.1:0",
        admin="127.0.0.1:0",
        upstream=upstream,
        processors=(address,) if address else ("127.0.0.1:9",),
        buffer_limit=row.buffer_limit,
    )
    config: Any = yaml.safe_load(bootstrap(CHAINS[row.asks or row.serves](), options))
    [manager] = [
        found["typed_config"]
        for listener in config["static_resources"]["listeners"]
        for chain in listener["filter_chains"]
        for found in chain["filters"]
    ]
    manager.pop("access_log", None)
    _adapt(row, manager["http_filters"])
    return yaml.safe_dump(config)


def _adapt(row: Row, filters: list[Any]) -> None:
    [ours] = [found for found in filters if found["typed_config"]["@type"].endswith(".ExternalProcessor")]
    if not row.front:
        filters.remove(ours)
    elif row.modes:
        ours["typed_config"].setdefault("processing_mode", {}).update(row.modes)
