from __future__ import annotations

import socket
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import grpc
import pytest
from grpc_health.v1 import health, health_pb2, health_pb2_grpc


@pytest.fixture
def start() -> Iterator[Callable[..., str]]:
    """Starts a gRPC server and gives its address."""
    with ThreadPoolExecutor(2) as pool:
        servers: list[grpc.Server] = []

        def server(status: str | None, address: str = "127.0.0.1:0") -> str:
            servers.append(grpc.server(pool))
            if status is not None:
                servicer = health.HealthServicer()
                servicer.set("", health_pb2.HealthCheckResponse.ServingStatus.Value(status))
                health_pb2_grpc.add_HealthServicer_to_server(servicer, servers[-1])
            port = servers[-1].add_insecure_port(address)
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
