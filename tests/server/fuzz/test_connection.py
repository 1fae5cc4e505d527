"""`Connection` by itself: nothing that a peer says makes it fail, break the rules, or keep something."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator

import pytest
from hypothesis import given

from tests.server.fuzz.budget import budget
from tests.server.fuzz.strategies import clients, garbage, pieces, spoilt_sessions, wayward_clients
from tests.server.fuzz.world import check_conversation
from tests.server.raw.frames import PREFACE


@pytest.fixture(scope="module")
def runner() -> Iterator[asyncio.Runner]:
    with asyncio.Runner() as runner:
        yield runner


@budget(100)
@given(said=pieces(garbage | garbage.map(PREFACE.__add__)))
def test_random_bytes(said: list[bytes], runner: asyncio.Runner) -> None:
    runner.run(check_conversation(said))


@budget(200)
@given(said=pieces(clients()))
def test_clients(said: list[bytes], runner: asyncio.Runner) -> None:
    runner.run(check_conversation(said))


@budget(300)
@given(said=pieces(wayward_clients()))
def test_wayward_clients(said: list[bytes], runner: asyncio.Runner) -> None:
    runner.run(check_conversation(said))


@budget(200)
@given(said=pieces(spoilt_sessions()))
def test_spoilt_sessions(said: list[bytes], runner: asyncio.Runner) -> None:
    runner.run(check_conversation(said))
