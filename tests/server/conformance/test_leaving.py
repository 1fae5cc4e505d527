"""RFC 9113 section 6.8: how a server leaves, so that no request is lost on the way."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from extproc import Chain
from extproc.server import FrontOptions
from extproc.server.native import NativeFront
from tests.server.raw.frames import (
    ACK,
    END_HEADERS,
    END_STREAM,
    HIGHEST_STREAM,
    Code,
    Frame,
    Kind,
    block,
    data,
    headers,
    ping,
    rst_stream,
)
from tests.server.raw.peer import Peer, greeted
from tests.server.raw.requests import CHECK_PATH, PROCESS_PATH, call, call_fields, check, message
from tests.server.raw.serving import Tag


@asynccontextmanager
async def leaving(grace: float) -> AsyncIterator[tuple[Peer, Frame]]:
    """A connection with one call under way, whose server has just said that it is about to leave; with the PING."""
    front = NativeFront(Chain([Tag()]), options=FrontOptions(grace=grace))
    await front.__aenter__()
    async with asyncio.TaskGroup() as tasks, greeted(front.addresses[0]) as peer:
        peer.answers_pings = False
        peer.send(call(1, PROCESS_PATH))
        await peer.alive()
        tasks.create_task(front.__aexit__(None, None, None))
        first = await peer.until(lambda frame: frame.kind == Kind.GOAWAY)
        assert (first.last_stream, first.code) == (HIGHEST_STREAM, Code.NO_ERROR)
        yield peer, await peer.until(lambda frame: frame.kind == Kind.PING)


async def _second_goaway(peer: Peer, asked: Frame) -> Frame:
    """Once the PING is answered, it is known which streams had been under way."""
    peer.send(ping(asked.payload, ACK))
    return await peer.until(lambda frame: frame.kind == Kind.GOAWAY)


async def test_a_call_that_was_under_way_to_a_server_that_leaves_is_served() -> None:
    async with leaving(grace=30) as (peer, asked):
        peer.send(check(3))
        assert (await peer.answer(3)).status == "0"
        assert (await _second_goaway(peer, asked)).last_stream == 3
        peer.send(data(1, b"", END_STREAM))
        assert (await peer.answer(1)).status == "0"
        assert (await peer.closed()).code == Code.NO_ERROR


async def test_streams_above_the_last_are_passed_over_and_their_blocks_decoded() -> None:
    """Whoever opened them knows that nobody has looked at them, and sends them elsewhere."""
    async with leaving(grace=30) as (peer, asked):
        assert (await _second_goaway(peer, asked)).last_stream == 1
        before = len(peer.seen)
        peer.send(headers(3, block(call_fields(CHECK_PATH)), END_HEADERS), data(3, message(), END_STREAM), check(5))
        await peer.alive()
        assert {frame.stream for frame in peer.seen[before:]} == {0}
        peer.send(data(1, b"", END_STREAM))
        assert (await peer.answer(1)).status == "0"
        assert (await peer.closed()).code == Code.NO_ERROR


async def test_what_has_not_ended_within_the_grace_is_ended() -> None:
    async with leaving(grace=0) as (peer, _):
        assert (await peer.answer(1)).status == "14"
        assert (await peer.closed()).code == Code.NO_ERROR


async def test_the_last_stream_never_rises() -> None:
    async with leaving(grace=30) as (peer, asked):
        await _second_goaway(peer, asked)
        peer.send(check(3) + rst_stream(1))
        await peer.closed()
        last = [frame.last_stream for frame in peer.seen if frame.kind == Kind.GOAWAY]
        assert last == sorted(last, reverse=True)
