"""RFC 9113 sections 5.2 and 6.9: windows, both ways."""

from __future__ import annotations

import asyncio

import pytest
from pydantic import PrivateAttr

from extproc import Exchange, Filter
from extproc.server.native import Http2Limits
from tests.server.conftest import body_message, headers_message
from tests.server.raw.frames import (
    DEFAULT_FRAME_SIZE,
    DEFAULT_WINDOW,
    END_STREAM,
    HIGHEST_WINDOW,
    Code,
    Frame,
    Kind,
    Setting,
    data,
    rst_stream,
    settings,
    window_update,
)
from tests.server.raw.peer import Peer, greeted
from tests.server.raw.requests import CHECK_PATH, call, check, message, post
from tests.server.raw.serving import healthy, serving

_SMALL = Http2Limits(stream_window=DEFAULT_WINDOW, connection_window=DEFAULT_WINDOW)
_HEADERS = message(headers_message(end_of_stream=False).SerializeToString())
_SHORT = message(body_message(b"a" * 10_000).SerializeToString())
_LONG = message(body_message(b"a" * 100_000).SerializeToString())


class Patient(Filter):
    """Takes its time with the headers."""

    _gate: asyncio.Event = PrivateAttr(default_factory=asyncio.Event)

    async def on_request_headers(self, exchange: Exchange) -> None:
        await self._gate.wait()

    def go_on(self) -> None:
        self._gate.set()


class Windows:
    """What a client may still send, as RFC 9113 counts it."""

    def __init__(self, peer: Peer, *streams: int) -> None:
        initial = peer.settings.get(Setting.INITIAL_WINDOW_SIZE, DEFAULT_WINDOW)
        self.left = {0: DEFAULT_WINDOW + peer.window, **dict.fromkeys(streams, initial)}
        self._peer = peer

    async def room(self, stream: int, length: int) -> None:
        """Waits until that many bytes may be sent, and takes them to be."""
        while min(self.left[0], self.left[stream]) < length:
            self.note(await self._peer.until(lambda frame: frame.kind == Kind.WINDOW_UPDATE))
        self.left[0] -= length
        self.left[stream] -= length

    def note(self, frame: Frame) -> None:
        if frame.kind == Kind.WINDOW_UPDATE:
            self.left[frame.stream] = self.left.get(frame.stream, 0) + frame.increment

    async def send(self, stream: int, content: bytes, size: int = DEFAULT_FRAME_SIZE) -> None:
        """A body in frames of a size, each when it may go."""
        for start in range(0, len(content), size):
            piece = content[start : start + size]
            await self.room(stream, len(piece))
            self._peer.send(data(stream, piece))


async def _download(peer: Peer) -> None:
    """Asks for an answer of 100,000 bytes and more."""
    peer.send(call(1))
    windows = Windows(peer, 1)
    await windows.send(1, _HEADERS)
    await peer.until(lambda frame: frame.kind == Kind.DATA)
    await windows.send(1, _LONG)


def _received(peer: Peer, stream: int = 1) -> int:
    return sum(len(frame.payload) for frame in peer.seen if frame.kind == Kind.DATA and frame.stream == stream)


@pytest.mark.parametrize(
    ("window", "narrow"),
    [(DEFAULT_WINDOW, 1), (1 << 20, 0), (1, 1)],
    ids=["of the stream", "of the connection", "of a byte"],
)
async def test_no_more_is_sent_than_the_narrowest_window_lets_through(window: int, narrow: int) -> None:
    async with serving() as front, greeted(front.addresses[0], (Setting.INITIAL_WINDOW_SIZE, window)) as peer:
        if narrow:
            peer.send(window_update(0, 1 << 20))
        peer.send(call(1) + data(1, _HEADERS) + data(1, b"", END_STREAM))
        first = await peer.until(lambda frame: frame.kind == Kind.DATA)
        assert len(first.payload) <= window


async def test_a_long_answer_stops_at_the_end_of_the_window_and_goes_on_with_it() -> None:
    async with serving() as front, greeted(front.addresses[0], (Setting.INITIAL_WINDOW_SIZE, 1 << 20)) as peer:
        await _download(peer)
        await peer.until(lambda _: _received(peer) == DEFAULT_WINDOW)
        await peer.alive()
        assert _received(peer) == DEFAULT_WINDOW
        peer.send(window_update(0, 1000))
        await peer.until(lambda _: _received(peer) == DEFAULT_WINDOW + 1000)
        await peer.alive()
        assert _received(peer) == DEFAULT_WINDOW + 1000
        peer.send(window_update(0, 1 << 20) + data(1, b"", END_STREAM))
        await peer.until(lambda frame: frame.ends_stream)
        assert _received(peer) > 100_000


@pytest.mark.parametrize("at_once", [True, False], ids=["at once", "as the window opens"])
async def test_frames_are_no_longer_than_the_client_takes_them(at_once: bool) -> None:
    async with serving() as front, greeted(front.addresses[0], (Setting.INITIAL_WINDOW_SIZE, 1 << 20)) as peer:
        if at_once:
            peer.send(window_update(0, 1 << 20))
        await _download(peer)
        if not at_once:
            await peer.until(lambda _: _received(peer) == DEFAULT_WINDOW)
            peer.send(window_update(0, 1 << 20))
        peer.send(data(1, b"", END_STREAM))
        await peer.until(lambda frame: frame.ends_stream)
        assert max(len(frame.payload) for frame in peer.seen) <= DEFAULT_FRAME_SIZE


async def test_a_new_initial_window_leaves_the_connection_s_alone() -> None:
    """6.9.2: only WINDOW_UPDATE changes it."""
    async with serving() as front, greeted(front.addresses[0]) as peer:
        peer.send(settings((Setting.INITIAL_WINDOW_SIZE, 1 << 20)))
        await _download(peer)
        await peer.until(lambda _: _received(peer) == DEFAULT_WINDOW)
        await peer.alive()
        assert _received(peer) == DEFAULT_WINDOW
        peer.send(rst_stream(1))


async def test_headers_and_trailers_need_no_window() -> None:
    async with serving() as front, greeted(front.addresses[0], (Setting.INITIAL_WINDOW_SIZE, 0)) as peer:
        peer.send(check(1) + call(3, "/no.Such/Method") + data(3, message(), END_STREAM))
        assert (await peer.answer(3)).status == "12"
        assert not _received(peer)
        peer.send(window_update(1, 100))
        await peer.until(lambda frame: frame.stream == 1 and frame.ends_stream)
        assert _received(peer)


async def test_a_stream_that_is_reset_leaves_its_share_of_the_connection_s_window_to_others() -> None:
    async with serving() as front, greeted(front.addresses[0], (Setting.INITIAL_WINDOW_SIZE, 1 << 20)) as peer:
        await _download(peer)
        await peer.until(lambda _: _received(peer) == DEFAULT_WINDOW)
        peer.send(rst_stream(1) + window_update(0, 1000))
        await healthy(peer, 3)
        assert _received(peer) == DEFAULT_WINDOW


async def test_what_is_read_is_given_back() -> None:
    """5.2.2: else a long call would come to a halt."""
    async with serving(http2=_SMALL) as front, greeted(front.addresses[0]) as peer:
        peer.send(call(1))
        windows = Windows(peer, 1)
        await windows.send(1, _HEADERS)
        await windows.send(1, message(body_message(b"a" * 1_000_000).SerializeToString()))
        peer.send(rst_stream(1))
        await peer.alive()


async def test_padding_is_given_back() -> None:
    """6.1: the whole payload counts, padding and all."""
    async with serving(http2=_SMALL) as front, greeted(front.addresses[0]) as peer:
        peer.send(call(1, CHECK_PATH))
        windows = Windows(peer, 1)
        for _ in range(3 * DEFAULT_WINDOW // 256):
            await windows.room(1, 256)
            peer.send(data(1, b"", pad=255))
        await windows.room(1, 5)
        peer.send(data(1, message(), END_STREAM))
        assert (await peer.answer(1)).status == "0"


@pytest.mark.parametrize(
    "begun",
    [
        post(1),
        post(1, ("content-length", "1")),
        call(1, "/no.Such/Method"),
        call(1, CHECK_PATH, ("grpc-timeout", "1n")),
    ],
    ids=["a plain request", "a malformed one", "a call of nothing", "a call that is over"],
)
async def test_what_nobody_reads_is_given_back_to_the_connection(begun: bytes) -> None:
    """5.1: DATA of streams that are of no interest counts all the same."""
    async with serving(http2=_SMALL) as front, greeted(front.addresses[0]) as peer:
        windows = Windows(peer, 1, 3)
        windows.left[1] = 1 << 30  # what a reset stream would have had is not the question
        peer.send(begun)
        for _ in range(20):
            await windows.room(1, 10_000)
            peer.send(data(1, b"x" * 10_000))
        await windows.room(3, 5)
        await healthy(peer, 3)


async def _fill(peer: Peer) -> None:
    """Sends whole messages until the window of the stream is full."""
    windows = Windows(peer, 1)
    peer.send(call(1))
    await windows.send(1, _HEADERS)
    while len(_SHORT) < windows.left[1]:
        await windows.send(1, _SHORT)
    await windows.send(1, _SHORT[: windows.left[1]])
    await peer.alive()


async def test_what_an_ended_call_had_begun_to_say_is_given_back_to_the_connection() -> None:
    """The answer of each waits for a window when it is ended for a message that is too long."""
    async with serving(http2=_SMALL) as front, greeted(front.addresses[0], (Setting.INITIAL_WINDOW_SIZE, 0)) as peer:
        streams = range(1, 20, 2)
        windows = Windows(peer, *streams)
        for stream in streams:
            peer.send(call(stream))
            await windows.send(stream, _HEADERS)
            await windows.send(stream, message(b"x" * 16_000, length=2**31))
            await windows.send(stream, b"x")
        peer.send(settings((Setting.INITIAL_WINDOW_SIZE, DEFAULT_WINDOW)))
        await healthy(peer, 21)


async def test_what_a_filter_has_not_got_to_is_not_given_back() -> None:
    """5.2.2: the window of a stream is the back-pressure of its chain."""
    patient = Patient()
    async with serving(patient, http2=_SMALL) as front, greeted(front.addresses[0]) as peer:
        await _fill(peer)
        assert not [frame for frame in peer.seen if frame.kind == Kind.WINDOW_UPDATE and frame.stream == 1]
        patient.go_on()
        await peer.until(lambda frame: frame.kind == Kind.WINDOW_UPDATE and frame.stream == 1)
        peer.send(rst_stream(1))


async def test_more_than_the_window_of_a_stream_is_its_error_alone() -> None:
    patient = Patient()
    limits = Http2Limits(stream_window=DEFAULT_WINDOW)
    async with serving(patient, http2=limits) as front, greeted(front.addresses[0]) as peer:
        await _fill(peer)
        peer.send(data(1, b"x"))
        frame = await peer.until(lambda frame: frame.kind in {Kind.GOAWAY, Kind.RST_STREAM})
        assert (frame.kind, frame.stream, frame.code) == (Kind.RST_STREAM, 1, Code.FLOW_CONTROL_ERROR)
        await healthy(peer, 3)


async def test_a_setting_that_takes_a_window_over_the_maximum_is_a_flow_control_error() -> None:
    """6.9.2."""
    async with serving() as front, greeted(front.addresses[0]) as peer:
        peer.send(call(1) + window_update(1, HIGHEST_WINDOW - DEFAULT_WINDOW))
        peer.send(settings((Setting.INITIAL_WINDOW_SIZE, DEFAULT_WINDOW + 1)))
        assert (await peer.closed()).code == Code.FLOW_CONTROL_ERROR
