"""`extproc serve` as a process of its own, as it runs in production."""

from __future__ import annotations

import asyncio
import resource
import signal
import socket
import stat
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import grpc
import pytest

from extproc.messages import Immediate
from extproc.wire import PROCESS, SERVICE, encode
from tests.server.conftest import headers_message
from tests.server.raw.frames import PREFACE, Setting, settings
from tests.server.raw.peer import connected, greeted

EXTPROC = Path(sys.executable).with_name("extproc")
FILTERS = """
from extproc import Exchange, Filter
class Greet(Filter):
    def on_request_headers(self, exchange: Exchange) -> None: ...
"""


@pytest.fixture
def chain(tmp_path: Path) -> Path:
    (tmp_path / "served_filters.py").write_text(FILTERS)
    file = tmp_path / "chain.yaml"
    file.write_text("filters:\n  - use: served_filters:Greet\n")
    return file


@contextmanager
def serving(*arguments: object) -> Iterator[subprocess.Popen[str]]:
    command = [str(EXTPROC), "serve", *(str(argument) for argument in arguments)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        try:
            yield process
        finally:
            process.kill()


def ready(process: subprocess.Popen[str]) -> list[str]:
    """The addresses of the line that says it is ready."""
    assert process.stdout is not None
    line = process.stdout.readline()
    assert line.startswith("Chain(greet) is ready on "), line
    return line.removeprefix("Chain(greet) is ready on ").strip().split(", ")


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_it_says_where_it_listens_serves_and_stops_when_told_to(
    run: Callable[..., Any], chain: Path, tmp_path: Path, number: signal.Signals
) -> None:
    listen = f"unix:{tmp_path}/s"
    with serving(chain, "--listen", "127.0.0.1:0", "--listen", listen, "--socket-mode", "0600") as process:
        tcp, unix = ready(process)
        assert unix == listen
        assert stat.S_IMODE((tmp_path / "s").stat().st_mode) == 0o600
        assert [run("health", address).status for address in (tcp, unix)] == [0, 0]
        process.send_signal(number)
        rest, log = process.communicate(timeout=30)
    assert (process.returncode, rest) == (0, ""), log


def test_it_records_when_asked_to(chain: Path, tmp_path: Path) -> None:
    with serving(chain, "--listen", "127.0.0.1:0", "--record", tmp_path / "captures") as process:
        ready(process)
        process.terminate()
        _, log = process.communicate(timeout=30)
    (capture,) = (tmp_path / "captures").glob("*.ndjson")
    assert log.endswith(f"recorded 0 in {capture}\n")


@pytest.mark.parametrize("front", ["native", "grpcio"])
def test_either_front_serves(run: Callable[..., Any], chain: Path, front: str) -> None:
    with serving(chain, "--listen", "127.0.0.1:0", "--front", front, "--max-connection-age", "30m") as process:
        (address,) = ready(process)
        assert run("health", address).status == 0


@pytest.mark.parametrize("front", ["native", "grpcio"])
def test_it_takes_as_many_connections_and_streams_as_it_is_told(chain: Path, front: str) -> None:
    limits = ("--max-connections", "1", "--max-streams", "100", "--keepalive", "30s")

    async def too_many(address: str) -> int:
        async with greeted(address) as first, connected(address) as second:
            second.send(PREFACE, settings())
            await second.closed()
            return first.settings[Setting.MAX_CONCURRENT_STREAMS]

    with serving(chain, "--listen", "127.0.0.1:0", "--front", front, *limits) as process:
        assert asyncio.run(too_many(*ready(process))) == 100


@pytest.mark.parametrize("front", ["native", "grpcio"])
def test_who_has_run_out_of_descriptors_takes_connections_again(
    run: Callable[..., Any], chain: Path, front: str
) -> None:
    with serving(chain, "--listen", "127.0.0.1:0", "--front", front) as process, ExitStack() as exits:
        (address,) = ready(process)
        _, hard = resource.prlimit(process.pid, resource.RLIMIT_NOFILE)
        descriptors = len(list(Path(f"/proc/{process.pid}/fd").iterdir()))
        resource.prlimit(process.pid, resource.RLIMIT_NOFILE, (descriptors + 3, hard))
        host, port = address.split(":")
        for _ in range(10):
            exits.enter_context(socket.create_connection((host, int(port))))
        assert run("health", address, "--timeout", "500ms").status == 2
        exits.close()
        assert run("health", address, "--timeout", "30s").status == 0
        process.terminate()
        _, log = process.communicate(timeout=30)
    assert log.count("Traceback") < 100  # a few a second, not thousands


@pytest.mark.parametrize("front", ["native", "grpcio"])
def test_a_log_that_nobody_reads_any_more_costs_no_exchange(
    run: Callable[..., Any], tmp_path: Path, chain: Path, front: str
) -> None:
    (tmp_path / "served_filters.py").write_text(FILTERS.replace("...", "raise RuntimeError"))
    with serving(chain, "--listen", "127.0.0.1:0", "--front", front) as process:
        (address,) = ready(process)
        assert process.stderr is not None
        process.stderr.close()
        with grpc.insecure_channel(address) as channel:
            ask: Any = channel.stream_stream(
                f"/{SERVICE}/{PROCESS}",
                request_serializer=lambda said: said.SerializeToString(),
                response_deserializer=bytes,
            )
            answers = [list(ask(iter([headers_message()]))) for _ in range(3)]
        assert answers == [[encode(Immediate(500, details="extproc.greet.error"))]] * 3
        assert run("health", address).status == 0


def test_a_certificate_without_its_key_is_exit_2(run: Callable[..., Any], chain: Path) -> None:
    ran = run("serve", chain, "--tls-certificate", "server.pem")
    assert (ran.status, ran.err) == (2, "TLS takes both --tls-certificate and --tls-key\n")


def test_an_address_in_use_is_exit_2(chain: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        address = f"127.0.0.1:{other.getsockname()[1]}"
        with serving(chain, "--listen", address) as process:
            out, log = process.communicate(timeout=30)
    assert (process.returncode, out) == (2, "")
    assert f"cannot listen on {address}" in log.splitlines()[-1]


def test_a_wrong_chain_is_exit_2(run: Callable[..., Any], chain: Path) -> None:
    chain.write_text("filters:\n  - use: nothing\n")
    ran = run("serve", chain)
    assert (ran.status, ran.out) == (2, "")
    assert ran.err.startswith(f"{chain}:2:10: filters[0].use: unknown filter 'nothing'")


def test_a_directory_that_cannot_be_recorded_to_is_exit_2(run: Callable[..., Any], chain: Path, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    ran = run("serve", chain, "--record", tmp_path / "file" / "captures")
    assert (ran.status, ran.err) == (2, f"{tmp_path}/file/captures: cannot be recorded to: Not a directory\n")
