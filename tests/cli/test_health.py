from __future__ import annotations

import socket
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import grpc
import pytest
from grpc_health.v1 import health, health_pb2, health_pb2_grpc


def file(name: str) -> Path:
    """A key or a certificate."""
    return Path(__file__).parents[1] / "server" / "certificates" / name


AUTHORITY = file("authority.pem")


@pytest.fixture
def start() -> Iterator[Callable[..., str]]:
    """Starts a gRPC server and gives its address."""
    with ThreadPoolExecutor(2) as pool:
        servers: list[grpc.Server] = []

        def server(
            status: str | None, address: str = "127.0.0.1:0", credentials: grpc.ServerCredentials | None = None
        ) -> str:
            servers.append(grpc.server(pool))
            if status is not None:
                servicer = health.HealthServicer()
                servicer.set("", health_pb2.HealthCheckResponse.ServingStatus.Value(status))
                health_pb2_grpc.add_HealthServicer_to_server(servicer, servers[-1])
            add_port = servers[-1].add_insecure_port
            port = add_port(address) if credentials is None else servers[-1].add_secure_port(address, credentials)
            servers[-1].start()
            return address.replace(":0", f":{port}")

        yield server
        for item in servers:
            item.stop(None).wait()


@pytest.mark.parametrize(("status", "expected"), [("SERVING", 0), ("NOT_SERVING", 1), ("UNKNOWN", 1)])
def test_the_status_is_said_and_is_the_exit_status(
    run: Callable[..., Any], start: Callable[..., str], status: str, expected: int
) -> None:
    address = start(status)
    ran = run("health", address)
    assert (ran.status, ran.out, ran.err) == (expected, f"{address}: {status}\n", "")


def test_a_unix_socket_will_do(run: Callable[..., Any], start: Callable[..., str], tmp_path: Path) -> None:
    assert run("health", start("SERVING", f"unix:{tmp_path}/s")).status == 0


def test_a_proxy_in_the_environment_is_not_asked(
    run: Callable[..., Any], start: Callable[..., str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:1")
    assert run("health", start("SERVING")).status == 0


def test_another_grpc_server_is_not_serving(run: Callable[..., Any], start: Callable[..., str]) -> None:
    ran = run("health", start(None))
    assert ran.status == 1
    assert "without a health service" in ran.err


def test_nobody_there_is_exit_2(run: Callable[..., Any], tmp_path: Path) -> None:
    ran = run("health", f"unix:{tmp_path}/nobody")
    assert (ran.status, ran.out, ran.err) == (2, "", f"unix:{tmp_path}/nobody: cannot be reached\n")


def test_no_answer_in_time_is_exit_2(run: Callable[..., Any]) -> None:
    with socket.create_server(("127.0.0.1", 0)) as mute:
        address = f"127.0.0.1:{mute.getsockname()[1]}"
        ran = run("health", address, "--timeout", "50ms")
    assert (ran.status, ran.err) == (2, f"{address}: no answer within 0.05s\n")


def test_what_is_no_address_is_exit_2(run: Callable[..., Any]) -> None:
    ran = run("health", "localhost")
    assert ran.status == 2
    assert "HOST:PORT" in ran.err


@pytest.fixture
def secured(start: Callable[..., str]) -> str:
    """A server that has a certificate for localhost and 127.0.0.1, and asks for one."""
    authority, key, certificate = (path.read_bytes() for path in (AUTHORITY, file("server.key"), file("server.pem")))
    mutual = grpc.ssl_server_credentials([(key, certificate)], authority, require_client_auth=True)
    return start("SERVING", credentials=mutual)


ASK = ("--tls-ca", AUTHORITY)
SHOW = ("--tls-certificate", file("envoy.pem"), "--tls-key", file("envoy.key"))
OTHER = ("--tls-certificate", file("outsider.pem"), "--tls-key", file("outsider.key"))


@pytest.mark.parametrize(
    ("words", "status"),
    [
        ((*ASK, *SHOW), 0),
        ((*ASK, *SHOW, "--tls-name", "localhost"), 0),
        ((*ASK, *SHOW, "--tls-name", "processor.example"), 2),
        (("--tls-ca", file("other-authority.pem"), *SHOW), 2),
        ((*ASK, *OTHER), 2),
        (ASK, 2),
    ],
    ids=["address", "name", "another name", "another server", "another client", "nobody"],
)
def test_by_tls_each_side_is_known_by_its_certificate(
    run: Callable[..., Any], secured: str, words: tuple[str | Path, ...], status: int
) -> None:
    ran = run("health", secured, *words)
    said = f"{secured}: cannot be reached by TLS with these certificates\n"
    assert (ran.status, ran.err) == (status, said if status else "")


def test_without_tls_a_server_that_wants_it_is_not_reached(run: Callable[..., Any], secured: str) -> None:
    assert run("health", secured).status == 2


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("--tls-name", "localhost"), "TLS takes --tls-ca"),
        (("--tls-ca", AUTHORITY, "--tls-key", file("envoy.key")), "takes both --tls-certificate and --tls-key"),
        (("--tls-ca", file("nowhere.pem")), f"{file('nowhere.pem')}: cannot be read: No such file or directory"),
    ],
)
def test_half_a_tls_is_explained_in_a_sentence(
    run: Callable[..., Any], words: tuple[str | Path, ...], said: str
) -> None:
    ran = run("health", "127.0.0.1:9", *words)
    assert (ran.status, ran.out) == (2, "")
    assert said in ran.err
