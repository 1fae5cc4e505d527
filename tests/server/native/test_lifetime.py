"""The times of a connection, on a clock of the test's own."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from extproc.server.http2 import Rate
from extproc.server.native.allowance import Allowance
from extproc.server.native.errors import ErrorCode
from extproc.server.native.frames import GOAWAY, HEADERS, PING, Setting, frame, ping
from extproc.server.native.lifetime import Lifetime
from tests.server.native.peer import Peer


class Watched:
    """A peer, and what watches over its connection."""

    def __init__(self, *, age: float | None = None, **options: Any) -> None:
        self.peer = Peer(**options)
        self.lifetime = Lifetime(self.peer.connection, 0.0, age)

    def at(self, now: float) -> bool:
        """The time is now `now`."""
        self.peer.now = now
        return self.lifetime.tick(now)

    def ends(self) -> tuple[bool, bool]:
        """Whether the connection is over, and whether it ends in good order."""
        return self.peer.connection.over, self.lifetime.draining

    def said(self) -> list[int]:
        return [kind for kind, *_ in self.peer.frames()]


def begun_block(watched: Watched) -> None:
    watched.peer.send(frame(HEADERS, 0, 1, b"\x88"))


def unread_answer(watched: Watched) -> None:
    watched.peer.call(1).stream.send(b"answer")


@pytest.mark.parametrize(
    ("prepare", "options", "limit", "code"),
    [
        (begun_block, {"headers_timeout": 5}, "headers_timeout", ErrorCode.ENHANCE_YOUR_CALM),
        (
            unread_answer,
            {"stalled_window": 5, "client": {Setting.INITIAL_WINDOW_SIZE: 0}},
            "stalled_window",
            ErrorCode.ENHANCE_YOUR_CALM,
        ),
    ],
)
def test_who_begins_something_has_to_go_on_with_it(
    prepare: Callable[[Watched], None], options: dict[str, Any], limit: str, code: ErrorCode
) -> None:
    watched = Watched(**options)
    prepare(watched)
    watched.at(0)
    watched.at(4.9)
    assert watched.ends() == (False, False)
    watched.at(5)
    assert watched.ends() == (True, False)
    assert watched.peer.counters == {f"connection_error.{code.name}": 1, f"limit.{limit}": 1}


def test_answers_that_pile_up_cost_the_connection() -> None:
    watched = Watched(queued_bytes=10, client={Setting.INITIAL_WINDOW_SIZE: 0})
    unread_answer(watched)
    watched.at(0)
    assert watched.peer.counters["limit.queued_bytes"] == 1


def test_a_silent_peer_is_asked_and_given_up_if_it_does_not_answer() -> None:
    watched = Watched(keepalive_time=10, keepalive_timeout=5)
    assert (watched.at(1), watched.said()) == (True, [])
    assert (watched.at(10.9), watched.said()) == (True, [])
    assert (watched.at(11), watched.said()) == (True, [PING])
    assert watched.at(15.9)
    assert not watched.at(16)
    assert watched.peer.counters["limit.keepalive_timeout"] == 1


def test_a_silent_peer_that_answers_stays() -> None:
    watched = Watched(keepalive_time=10, keepalive_timeout=5)
    watched.at(0)
    watched.at(10)
    watched.peer.send(ping(b"are you?", ack=True))
    assert all(watched.at(now) for now in (12, 16, 20))


def test_a_peer_that_reads_nothing_off_its_socket_is_given_up() -> None:
    watched = Watched(stalled=3)
    watched.lifetime.paused(0)
    assert watched.at(2.9)
    assert not watched.at(3)
    watched.lifetime.paused(None)
    assert watched.at(4)


def test_a_connection_ends_in_good_order_at_its_age() -> None:
    watched = Watched(age=60, drain_grace=30)
    heard = watched.peer.call(1)
    watched.at(59)
    assert watched.said() == []
    watched.at(60)
    assert watched.said() == [GOAWAY, PING]
    watched.at(61)
    assert watched.said() == [GOAWAY], "the peer has not answered, and has had a second"
    assert list(watched.peer.connection.streams) == [1]
    watched.at(90)
    assert heard.cancelled
    assert watched.peer.connection.drained


def test_a_connection_without_streams_ends_in_good_order() -> None:
    watched = Watched(idle=60)
    watched.peer.call(1).stream.end("OK", "")
    watched.at(1)
    watched.peer.frames()
    watched.at(59)
    assert watched.ends() == (False, False)
    watched.at(61)
    assert watched.ends() == (False, True)
    assert watched.peer.counters["limit.idle"] == 1


def test_a_stream_that_waits_is_not_idle() -> None:
    watched = Watched(idle=60, keepalive_time=1000)
    watched.peer.call(1)
    assert watched.at(1000)
    assert watched.ends() == (False, False)


def test_an_allowance_fills_up_again_with_time() -> None:
    allowance = Allowance(Rate(2, 0.5), 0)
    assert [allowance.spend(now) for now in (0, 0, 0, 1, 2, 3.9)] == [True, True, False, False, True, False]
    allowance.give_back()
    assert allowance.spend(3.9)
