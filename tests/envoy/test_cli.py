"""``extproc envoy config`` and ``extproc envoy run``."""

from __future__ import annotations

import asyncio
import json
import re
import shlex
import signal
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from extproc import Chain, Exchange, Filter
from extproc.cli import main
from extproc.envoy.binary import validate
from extproc.envoy.plain_http import PlainReply, PlainRequest, Upstream, send

HERE = "tests.envoy.test_cli:chain"
ANY = "127.0.0.1:0"
NOBODY = "http://127.0.0.1:9"


class Marking(Filter):
    def on_request_headers(self, exchange: Exchange) -> None:
        exchange.request.headers["x-seen"] = "yes"


class Slow(Filter):
    async def on_request_headers(self, exchange: Exchange) -> None:
        await asyncio.sleep(0.5)


chain = Chain([Marking()])
slow = Chain([Slow()])


def test_the_file_written_is_one_that_envoy_takes(tmp_path: Path) -> None:
    assert main(["envoy", "config", HERE, "-o", str(tmp_path / "envoy.yaml")]) == 0

    validate((tmp_path / "envoy.yaml").read_text())


def test_without_a_file_it_goes_to_standard_output(capsys: pytest.CaptureFixture[str]) -> None:
    central = ["--layout", "central", "--processor", "processor:9002", "--listen", "0.0.0.0:80"]

    assert main(["envoy", "config", HERE, *central, "--upstream", "http://app"]) == 0

    validate(capsys.readouterr().out)


TLS = ["--tls-ca", "ca.pem", "--tls-name", "processor", "--tls-certificate", "a b.pem", "--tls-key", "a b.key"]


@pytest.mark.parametrize(
    ("processors", "more"),
    [(["127.0.0.1:9002"], []), (["unix:/run/a b.sock", "unix:/run/c.sock"], []), (["127.0.0.1:9002"], TLS)],
    ids=["port", "sockets", "TLS"],
)
def test_the_command_in_the_heading_writes_the_same_file_again(
    processors: list[str], more: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    flags = [word for processor in processors for word in ("--processor", processor)]
    main(["envoy", "config", HERE, *flags, *more, "--upstream", "http://app:1", "-o", "envoy.yaml"])
    text = Path("envoy.yaml").read_text()
    command = text.splitlines()[1].partition("again, ")[2]

    Path("envoy.yaml").unlink()
    assert main(shlex.split(command)[1:]) == 0

    assert Path("envoy.yaml").read_text() == text


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        ([HERE, "--target", "istio"], "there is no target 'istio': there is bootstrap"),
        ([HERE, "--layout", "central"], "--processor HOST:PORT"),
        ([HERE, "--upstream", "https://app"], "http://HOST:PORT"),
        ([HERE, "-o", "/"], "cannot write /: Is a directory"),
        (["nowhere.yaml"], "nowhere.yaml"),
        ([HERE, "--tls-key", "envoy.key"], "TLS takes --tls-ca"),
        ([HERE, "--tls-ca", "ca.pem", "--tls-key", "envoy.key"], "takes both the certificate and its key"),
        ([HERE, "--tls-ca", "ca.pem", "--processor", "unix:/run/p.sock"], "the name in the processor's certificate"),
    ],
    ids=["target", "central", "upstream", "output", "chain", "no CA", "half a certificate", "no name"],
)
def test_what_cannot_be_written_is_explained_in_a_sentence(
    words: list[str], sentence: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["envoy", "config", *words]) == 2

    (line,) = capsys.readouterr().err.splitlines()
    assert sentence in line


class Run:
    """``extproc envoy run`` in a process of its own."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self.process = process
        self.announced: dict[str, str] = {}

    async def ready(self) -> str:
        """Waits for the announcement; the address that Envoy listens on."""
        assert self.process.stderr is not None
        while not (line := (await self.process.stderr.readline()).decode()).startswith("Ctrl-C"):
            assert line, "it ended instead"
            name, _, where = line.partition(" ")
            self.announced[name] = where.strip()
        return self.announced["Envoy"].removeprefix("http://")

    async def stop(self, number: signal.Signals) -> tuple[int, str, str]:
        """Exit code, standard output, the rest of standard error."""
        self.process.send_signal(number)
        out, error = await self.process.communicate()
        assert self.process.returncode is not None
        return self.process.returncode, out.decode(), error.decode()


@asynccontextmanager
async def running(*words: str, chain: str = HERE) -> AsyncIterator[Run]:
    """``extproc envoy run`` with a chain of this file."""
    command = [str(Path(sys.executable).with_name("extproc")), "envoy", "run", chain, *words]
    pipe = asyncio.subprocess.PIPE
    process = await asyncio.create_subprocess_exec(*command, stdout=pipe, stderr=pipe)
    try:
        yield Run(process)
    finally:
        if process.returncode is None:
            process.kill()
            await process.communicate()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
async def test_a_run_serves_until_it_is_told_to_stop_and_leaves_nothing(number: signal.Signals) -> None:
    async with (
        Upstream(PlainReply(body=[b"hello"])) as upstream,
        running("--upstream", f"http://{upstream.address}", "--listen", ANY) as run,
    ):
        address = await run.ready()
        reply = await send(address, PlainRequest(target="/a"))
        code, out, _ = await run.stop(number)
        with pytest.raises(ConnectionError):
            await send(address, PlainRequest())

    assert (reply.content, upstream.requests[0].value("x-seen")) == (b"hello", b"yes")
    assert code == 0
    assert [json.loads(line)["path"] for line in out.splitlines()] == ["/a"]


async def test_a_run_says_what_listens_where() -> None:
    async with running("--upstream", NOBODY, "--listen", ANY) as run:
        await run.ready()
        await run.stop(signal.SIGTERM)

    assert re.fullmatch(r"http://127\.0\.0\.1:\d+", run.announced["Envoy"])
    assert run.announced["upstream"] == NOBODY
    assert re.fullmatch(r"127\.0\.0\.1:\d+, Chain\(marking\)", run.announced["processor"])
    assert re.fullmatch(r"http://127\.0\.0\.1:\d+", run.announced["admin"])


async def test_a_run_records_what_it_is_told_to(tmp_path: Path) -> None:
    async with (
        Upstream() as upstream,
        running("--upstream", upstream.address, "--listen", ANY, "--record", str(tmp_path / "captures")) as run,
    ):
        await send(await run.ready(), PlainRequest(target="/recorded"))
        await run.stop(signal.SIGTERM)

    (capture,) = (tmp_path / "captures").glob("*.ndjson")
    assert run.announced["recording"] == str(capture)
    assert "/recorded" in capture.read_text()


async def test_a_run_whose_envoy_waits_a_shorter_time_asks_it_for_more() -> None:
    async with Upstream() as upstream:
        words = ["--upstream", upstream.address, "--listen", ANY, "--message-timeout", "100ms"]
        async with running(*words, chain="tests.envoy.test_cli:slow") as run:
            reply = await send(await run.ready(), PlainRequest())
            admin = run.announced["admin"].removeprefix("http://")
            config = await send(admin, PlainRequest(target="/config_dump"))
            await run.stop(signal.SIGTERM)

    assert reply.status == 200
    assert b'"message_timeout": "0.100s"' in config.content


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (["--upstream", NOBODY, "--listen", "{taken}"], "cannot bind '{taken}': Address already in use"),
        (["--upstream", "nonsense"], "upstream 'nonsense' is malformed: use http://HOST:PORT"),
        (["--upstream", NOBODY, "--listen", ANY, "--record", "{file}"], "cannot be recorded to: File exists"),
    ],
    ids=["port taken", "upstream malformed", "record"],
)
async def test_a_run_that_cannot_start_says_why(words: list[str], sentence: str, taken: str, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    known = {"taken": taken, "file": str(tmp_path / "file")}

    async with running(*(word.format(**known) for word in words)) as run:
        _, error = await run.process.communicate()

    assert sentence.format(**known) in error.decode().splitlines()[-1]
    assert run.process.returncode == 2


async def test_a_run_whose_envoy_ends_says_so_and_ends_too() -> None:
    async with running("--upstream", NOBODY, "--listen", ANY) as run:
        await run.ready()
        await send(run.announced["admin"].removeprefix("http://"), PlainRequest(method="POST", target="/quitquitquit"))
        _, error = await run.process.communicate()

    assert "Envoy ended by itself: exit code 0" in error.decode().splitlines()[-1]
