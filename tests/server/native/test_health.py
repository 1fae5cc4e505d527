"""``grpc.health.v1`` of our own, against the generated messages."""

from __future__ import annotations

from typing import Any

import pytest
from grpc_health.v1 import health_pb2
from hypothesis import given
from hypothesis import strategies as st

from extproc.server.native import health
from extproc.server.native.health import Health, Status


class Stream:
    """Keeps what is said on it."""

    def __init__(self) -> None:
        self.sent: list[bytes] = []
        self.ended: tuple[str, str] | None = None

    def send(self, data: bytes) -> None:
        self.sent.append(data)

    def end(self, code: str, reason: str) -> None:
        self.ended = (code, reason)

    def consumed(self, size: int) -> None:
        pass


def called(of: Health, method: str, service: str = "") -> Stream:
    stream = Stream()
    opened = of.methods()[f"/grpc.health.v1.Health/{method}".encode()]
    opened(stream).receive(health_pb2.HealthCheckRequest(service=service).SerializeToString())  # type: ignore[arg-type]
    return stream


def statuses(stream: Stream) -> list[int]:
    return [health_pb2.HealthCheckResponse.FromString(data).status for data in stream.sent]


@pytest.fixture
def known() -> Health:
    known = Health()
    known.set("", Status.SERVING)
    known.set("ready", Status.SERVING)
    return known


@given(st.text(max_size=300))
def test_any_name_can_be_asked_for(name: str) -> None:
    assert health._service_of(health_pb2.HealthCheckRequest(service=name).SerializeToString()) == name


@given(st.binary(max_size=20))
def test_what_is_no_request_asks_for_something(data: bytes) -> None:
    assert isinstance(health._service_of(data), str)


def test_check_tells_a_known_status_once(known: Health) -> None:
    stream = called(known, "Check", "ready")
    assert (statuses(stream), stream.ended) == ([Status.SERVING], ("OK", ""))


def test_check_of_an_unknown_service_is_not_found(known: Health) -> None:
    stream = called(known, "Check", "x")
    assert (stream.sent, stream.ended and stream.ended[0]) == ([], "NOT_FOUND")


def test_list_tells_all(known: Health) -> None:
    (data,) = called(known, "List").sent
    listed: Any = health_pb2.HealthListResponse.FromString(data)  # type: ignore[attr-defined]  # newer than its stub
    assert {name: each.status for name, each in listed.statuses.items()} == {"": 1, "ready": 1}


def test_watch_tells_each_change_once_and_ends_when_the_processor_stops(known: Health) -> None:
    watched, unknown = called(known, "Watch", "ready"), called(known, "Watch", "x")
    known.set("ready", Status.SERVING)
    known.set("x", Status.SERVING)
    known.stop()
    known.set("ready", Status.SERVING)
    assert statuses(watched) == [Status.SERVING, Status.NOT_SERVING]
    assert statuses(unknown) == [Status.SERVICE_UNKNOWN, Status.SERVING, Status.NOT_SERVING]
    assert watched.ended == unknown.ended == ("UNAVAILABLE", "the processor stops")
