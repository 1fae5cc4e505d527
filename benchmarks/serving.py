"""`extproc serve` in a process of its own: its address, its log, its memory."""

from __future__ import annotations

import asyncio
import re
import sys
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator

__all__ = ["Serving", "serving"]

_ROOT = Path(__file__).parent.parent
_END_SECONDS = 20.0


class Serving:
    """A processor that runs.

    Attributes:
        address: where it listens.
        lines: what it has logged so far.
    """

    def __init__(self, process: asyncio.subprocess.Process, address: str) -> None:
        self.address = address
        self.lines: list[str] = []
        self._process = process
        self._news = asyncio.Condition()

    async def logged(self, text: str) -> str:
        """The first line that contains `text`, once there is one."""
        async with self._news:
            await self._news.wait_for(lambda: any(text in line for line in self.lines))
        return next(line for line in self.lines if text in line)

    def resident(self) -> int:
        """Bytes of memory that it has right now (Linux)."""
        return self._memory("VmRSS")

    def peak(self) -> int:
        """The most that it ever had."""
        return self._memory("VmHWM")

    def _memory(self, field: str) -> int:
        status = Path(f"/proc/{self._process.pid}/status").read_text()
        found = re.search(rf"^{field}:\s+(\d+) kB$", status, re.MULTILINE)
        assert found is not None  # noqa: S101 (Linux says both of every process)
        return int(found[1]) * 1024

    async def read(self) -> None:
        """Reads its log to the end."""
        assert self._process.stderr is not None  # noqa: S101 (it is a pipe)
        async for line in self._process.stderr:
            async with self._news:
                self.lines.append(line.decode().rstrip("\n"))
                self._news.notify_all()


@asynccontextmanager
async def serving(chain: str, *options: str) -> AsyncGenerator[Serving]:
    """Serves a chain on a free port until it is left.

    Args:
        chain: as ``module:attribute``, from the root of the repository.
        options: of `extproc serve`.
    """
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "extproc", "serve", chain, "--listen", "127.0.0.1:0", *options),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        cwd=_ROOT,
    )
    assert process.stdout is not None  # noqa: S101 (it is a pipe)
    ready = (await process.stdout.readline()).decode()
    running = Serving(process, ready.strip().rpartition(" ")[2])
    try:
        async with asyncio.TaskGroup() as tasks:
            reading = tasks.create_task(running.read())
            if not ready:
                await reading
                raise RuntimeError("\n".join([f"{chain} is not served:", *running.lines]))
            yield running
            process.terminate()
            await process.wait()
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
