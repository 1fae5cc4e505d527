"""How much of a peer's bytes is looked at in one turn."""

from __future__ import annotations

from typing import Any

from extproc.server.native.portion import Portion
from extproc.server.native.protocol import Http2Protocol

KIB = 1024


def test_a_peer_whose_bytes_cost_little_is_read_in_ever_larger_portions() -> None:
    portion = Portion(most=100 * KIB)
    for _ in range(20):
        portion.took(portion.size, 0.001)
    assert portion.size == 100 * KIB


def test_a_portion_that_was_not_used_up_does_not_grow() -> None:
    portion = Portion(most=100 * KIB)
    before = portion.size
    portion.took(before - 1, 0.001)
    assert portion.size == before


def test_a_peer_whose_bytes_cost_much_gets_what_a_turn_has_time_for() -> None:
    portion = Portion(most=1000 * KIB)
    portion.took(32 * KIB, 0.04)
    assert portion.size == 16 * KIB
    portion.took(16 * KIB, 10)
    assert portion.size == 8 * KIB


def test_one_dear_read_undoes_many_cheap_ones() -> None:
    portion = Portion(most=1000 * KIB)
    for _ in range(200):
        portion.took(portion.size, 0.001)
    portion.took(1000 * KIB, 1.0)
    assert portion.size == 20 * KIB


class Dear:
    """A connection on which everything takes a second."""

    out: tuple[bytes, ...] = ()
    cut_off = b""
    over = refusing = False

    def __init__(self, clock: Clock) -> None:
        self._clock = clock

    def receive(self, data: bytes) -> None:
        self._clock.now += 1.0


class Clock:
    now = 0.0

    def time(self) -> float:
        return self.now


async def test_a_connection_reads_less_once_a_read_took_long() -> None:
    connected: Any = None
    protocol = Http2Protocol(
        connected, buffer=memoryview(bytearray(256 * KIB)), age=None, admit=bool, opened=id, closed=id
    )
    clock: Any = Clock()
    dear: Any = Dear(clock)
    protocol._loop, protocol.connection = clock, dear
    before = len(protocol.get_buffer(-1))
    protocol.buffer_updated(before)
    assert 0 < len(protocol.get_buffer(-1)) < before
