"""A processor that is measured, in a process of its own: ``python -m benchmarks.processors FRONT NAME LISTEN``.

FRONT is ``bare``, ``grpcio`` or ``native``; NAME one of `BARE` or of `CHAINS`. Writes the address it listens on to
standard output, then answers each line on standard input with a line: ``census`` with a `Usage` as JSON, any other with
the CPU seconds that it has used so far, user and system, all threads. Ends with its standard input.
"""

from __future__ import annotations

import asyncio
import gc
import json
import linecache
import logging
import resource
import subprocess
import sys
from contextlib import asynccontextmanager
from dataclasses import asdict, dataclass
from os import getpid
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator
    from contextlib import AbstractAsyncContextManager

    from extproc.server import FrontName

__all__ = ["Usage"]

_KIB = 1024


@dataclass(frozen=True, slots=True)
class Usage:
    """What a process holds.

    Attributes:
        memory: resident bytes.
        tasks: asyncio's.
        sessions: live objects that stand for a gRPC stream.
        blocks: of memory that Python has allocated: as good as the number of its objects.
    """

    memory: int
    tasks: int
    sessions: int
    blocks: int


def cpu() -> float:
    """The CPU time alone: cheap, so that asking costs nothing that would be seen."""
    usage = resource.getrusage(resource.RUSAGE_SELF)
    return usage.ru_utime + usage.ru_stime


def census() -> Usage:
    """What is there once garbage has been collected, and the source code that log lines have quoted."""
    linecache.clearcache()
    gc.collect()
    sessions = sum(type(item).__name__ == "Session" for item in gc.get_objects())
    return Usage(resident(getpid()), len(asyncio.all_tasks()), sessions, sys.getallocatedblocks())


def resident(pid: int) -> int:
    """Resident memory of a process, in bytes."""
    table = Path(f"/proc/{pid}/statm")
    if table.exists():
        return int(table.read_text().split()[1]) * resource.getpagesize()
    done = subprocess.run(["/bin/ps", "-o", "rss=", "-p", str(pid)], capture_output=True, check=True)
    return int(done.stdout) * _KIB


@asynccontextmanager
async def _serve(front: FrontName, name: str, listen: str) -> AsyncGenerator[str]:
    """A chain on one of our fronts; yields its address."""
    from benchmarks.chains import CHAINS  # noqa: PLC0415 (not in the process of a bare servicer)
    from extproc.server import FrontOptions, new_front  # noqa: PLC0415

    async with new_front(CHAINS[name](), [listen], FrontOptions(grace=0), front=front) as running:
        yield running.addresses[0]


def processor(front: str, name: str, listen: str) -> AbstractAsyncContextManager[str]:
    """The processor that a row is about; entered, it gives its address."""
    if front == "bare":
        from benchmarks.bare import serve_bare  # noqa: PLC0415

        return serve_bare(name, listen)
    return _serve("native" if front == "native" else "grpcio", name, listen)


async def main(front: str, name: str, listen: str = "127.0.0.1:0") -> None:
    """Serves until standard input ends."""
    logging.getLogger("extproc.server").setLevel(logging.CRITICAL)  # a census holds up the loop, as its watchdog says
    loop = asyncio.get_running_loop()
    over = asyncio.Event()

    def answer() -> None:
        line = sys.stdin.readline()
        if line:
            print(json.dumps(asdict(census())) if line.strip() == "census" else cpu(), flush=True)
        else:
            loop.remove_reader(sys.stdin)
            over.set()

    async with processor(front, name, listen) as address:
        print(address, flush=True)
        loop.add_reader(sys.stdin, answer)
        await over.wait()


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
