"""What operators read of a front's counts."""

from __future__ import annotations

import asyncio
import logging

import pytest

from extproc import Chain
from extproc.server.report import Report
from tests.server.conftest import Dial, NewFront, headers_message
from tests.server.raw.peer import connected
from tests.server.raw.serving import serving


@pytest.fixture(autouse=True)
def info(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "extproc.server")


async def test_a_line_says_what_there_was_and_what_there_is(
    new_front: NewFront, dial: Dial, caplog: pytest.LogCaptureFixture
) -> None:
    async with new_front(Chain([])) as front:
        report = Report(front)
        report.log()
        assert caplog.messages == []
        async with dial(front.addresses[0]) as call:
            await call.write(headers_message())
            await call.read()
            report.log()
            report.log()
    (line,) = caplog.messages
    so_far, now = (part.partition(": ")[2].split() for part in line.split("; "))
    assert {"exchanges=1", "stalls=0", "bodies_refused=0"} <= set(so_far)
    assert {"streams=1", "body_bytes=0", "hooks_given_up=0"} <= set(now)


async def test_lines_come_until_it_is_told_to_stop(new_front: NewFront, caplog: pytest.LogCaptureFixture) -> None:
    stop, lines = asyncio.Event(), 0

    def counted() -> dict[str, int]:
        nonlocal lines
        lines += 1
        if lines == 4:
            stop.set()
        return {"exchanges": lines}

    front = new_front(Chain([]))
    front.totals = counted  # type: ignore[method-assign]
    await Report(front).until(stop, every=0.001)
    assert [message.partition(";")[0] for message in caplog.messages] == [
        f"so far: exchanges={number}" for number in (2, 3, 4)
    ]


async def test_the_native_front_counts_what_peers_do_wrong() -> None:
    async with serving() as front:
        async with connected(front.addresses[0]) as peer:
            peer.send(b"GET / HTTP/1.1\r\n\r\n")
            await peer.closed()
        assert front.totals()["connection_error.PROTOCOL_ERROR"] == 1
