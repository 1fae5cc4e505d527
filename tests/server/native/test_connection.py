"""The connection, without I/O: windows, messages in pieces, deadlines, ends."""

from __future__ import annotations

import logging

import pytest
from hypothesis import given
from hypothesis import strategies as st

from extproc.server.native.errors import ErrorCode
from extproc.server.native.frames import (
    ACK,
    DATA,
    END_STREAM,
    GOAWAY,
    HEADERS,
    LARGEST_STREAM_ID,
    PING,
    RST_STREAM,
    SMALLEST_FRAME,
    WINDOW_UPDATE,
    Setting,
    frame,
    ping,
    rst_stream,
    settings,
    window_update,
)
from extproc.server.native.messages import Messages
from tests.server.native.peer import Heard, Peer, Waiter, data, message

KIB = 1024


def kinds(frames: list[tuple[int, int, int, bytes]]) -> list[int]:
    return [kind for kind, *_ in frames]


def content(frames: list[tuple[int, int, int, bytes]]) -> bytes:
    return b"".join(payload for kind, _, _, payload in frames if kind == DATA)


# Messages


@given(st.lists(st.binary(max_size=40_000), max_size=6), st.data())
def test_messages_arrive_whole_however_they_are_cut(messages: list[bytes], draw: st.DataObject) -> None:
    peer = Peer()
    heard = peer.call(1)
    stream = b"".join(map(message, messages))
    while stream:
        size = draw.draw(st.integers(1, min(len(stream), 16_384)))
        peer.send(frame(DATA, 0, 1, stream[:size]))
        stream = stream[size:]
    peer.send(frame(DATA, END_STREAM, 1))
    assert (heard.messages, heard.finished) == (messages, True)


def test_nobody_hears_of_a_message_on_a_stream_that_has_been_ended() -> None:
    peer = Peer(client={Setting.INITIAL_WINDOW_SIZE: 0})
    heard = peer.call(1, b"x")
    heard.stream.send(b"y")
    heard.stream.end("OK", "")
    peer.send(data(1, message(b"z")))
    assert heard.messages == [b"x"]


def test_a_message_in_tiny_pieces_is_held_in_few_objects() -> None:
    """Each object takes some 40 bytes on top: many times what the peer has sent."""
    peer = Peer()
    heard = peer.call(1)
    content = message(bytes(range(256)) * 80)
    peer.send(*(frame(DATA, 0, 1, content[at : at + 2]) for at in range(0, 20_000, 2)))
    (inbox,) = (stream.inbox for stream in peer.connection.streams.values())
    assert isinstance(inbox, Messages)
    assert len(inbox._pieces) == 1
    peer.send(frame(DATA, 0, 1, content[20_000:]))
    assert heard.messages == [content[5:]]


@pytest.mark.parametrize(
    ("parts", "status"),
    [
        ([message(b"x", compressed=1)], "13"),
        ([(1 << 21).to_bytes(5, "big")], "8"),
        ([message(b"whole") + b"\0\0\0\0\5cut"], "13"),
    ],
    ids=["compressed", "too long", "cut off by the end of the stream"],
)
def test_a_message_that_cannot_be_taken_ends_its_stream(parts: list[bytes], status: str) -> None:
    peer = Peer()
    heard = peer.call(1)
    assert peer.status(peer.send(data(1, b"".join(parts), end=True)))["grpc-status"] == status
    assert heard.cancelled
    assert not peer.connection.streams
    assert peer.call(3, b"fine").messages == [b"fine"]


# Windows


@given(st.lists(st.tuples(st.integers(0, 90_000), st.booleans()), max_size=12), st.booleans())
def test_every_received_byte_is_granted_again(messages: list[tuple[int, bool]], reset: bool) -> None:
    """Consumed at once, late, or not at all before the stream is gone: nothing stays owed or held."""
    peer = Peer(stream_window=65_535, connection_window=1 << 20)
    heard, late = peer.call(1), []
    for size, at_once in messages:
        peer.send(data(1, message(bytes(size))) if size <= 30_000 else b"")
        for taken in heard.messages:
            if at_once:
                heard.stream.consumed(len(taken))
            else:
                late.append(len(taken))
        heard.messages.clear()
        if sum(late) > 30_000:
            heard.stream.consumed(late.pop(0))
    peer.send(rst_stream(1, ErrorCode.CANCEL) if reset else data(1, b"", end=True))
    for size in late:
        heard.stream.consumed(size)
    assert peer.connection.over is False
    assert peer.connection.buffered() == 0


@pytest.mark.parametrize("size", [800_000, 65_535, 65_530, 60_000, 32_800])
def test_a_message_larger_than_the_window_still_arrives(size: int) -> None:
    """It could never be complete if its window were granted only once it is consumed.

    Nor one that is larger than what is left of the window: up to half of it may be owed and not yet granted.
    """
    peer = Peer(stream_window=65_535, connection_window=100_000, max_message_bytes=1 << 20)
    heard = peer.call(1)
    peer.send(data(1, message(bytes(32_000))))
    heard.stream.consumed(len(heard.messages.pop()))
    rest, window = message(bytes(size)), 65_535 - 32_005
    while rest:
        piece, rest = rest[: min(16_384, window)], rest[min(16_384, window) :]
        window -= len(piece)
        assert piece, "the peer has no window left to send with"
        for kind, _, stream_id, payload in peer.send(frame(DATA, 0, 1, piece)):
            assert kind == WINDOW_UPDATE
            window += int.from_bytes(payload, "big") if stream_id == 1 else 0
    assert [len(each) for each in heard.messages] == [size]
    assert peer.connection.buffered() == size
    heard.stream.consumed(size)
    assert peer.connection.buffered() == 0


@pytest.mark.parametrize("arrived", [400_000, 800_005])
def test_a_large_message_whose_stream_is_reset_is_given_back(arrived: int) -> None:
    peer = Peer(stream_window=65_535, connection_window=100_000, max_message_bytes=1 << 20)
    heard, whole = peer.call(1), message(bytes(800_000))[:arrived]
    for at in range(0, len(whole), 16_384):
        peer.send(frame(DATA, 0, 1, whole[at : at + 16_384]))
    peer.send(rst_stream(1, ErrorCode.CANCEL))
    for taken in heard.messages:
        heard.stream.consumed(len(taken))
    assert (peer.connection.buffered(), peer.connection.prepaid) == (0, 0)


def _interleaved(peer: Peer, sizes: dict[int, tuple[int, ...]], limit: int) -> dict[int, int]:
    """Sends messages on each stream, a piece at a time, as windows allow; gives what could not be sent."""
    rest = {stream_id: b"".join(message(bytes(size)) for size in each) for stream_id, each in sizes.items()}
    windows = {0: limit, **dict.fromkeys(sizes, 65_535)}
    before = 0
    while before != (before := sum(map(len, rest.values()))):
        for stream_id in sizes:
            size = min(10_000, windows[0], windows[stream_id])
            piece, rest[stream_id] = rest[stream_id][:size], rest[stream_id][size:]
            windows[0], windows[stream_id] = windows[0] - len(piece), windows[stream_id] - len(piece)
            for kind, _, about, payload in peer.send(frame(DATA, 0, stream_id, piece) if piece else b""):
                assert kind == WINDOW_UPDATE
                windows[about] += int.from_bytes(payload, "big")
    return {stream_id: len(left) for stream_id, left in rest.items()}


def test_many_messages_none_of_them_whole_do_not_shut_the_connections_window() -> None:
    """They could never be complete if the window were granted only once they are consumed."""
    peer = Peer(stream_window=65_535, connection_window=100_000)
    heard = {stream_id: peer.call(stream_id) for stream_id in range(1, 21, 2)}
    assert _interleaved(peer, dict.fromkeys(heard, (30_000,)), 100_000) == dict.fromkeys(heard, 0)
    for call in heard.values():
        assert [len(each) for each in call.messages] == [30_000]
        call.stream.consumed(30_000)
    assert peer.connection.buffered() == 0


def test_a_stream_whose_messages_nobody_reads_is_held_back_on_a_crowded_connection_too() -> None:
    peer = Peer(stream_window=65_535, connection_window=100_000)
    heard = {stream_id: peer.call(stream_id) for stream_id in (1, 3)}
    left = _interleaved(peer, dict.fromkeys(heard, (30_000,) * 4), 100_000)
    assert all(left.values())
    assert peer.connection.buffered() <= 100_000


def test_large_messages_cannot_take_more_memory_than_they_may_together() -> None:
    peer = Peer(stream_window=65_535, large_message_bytes=300_000)
    for stream_id in (1, 3, 5):
        peer.call(stream_id)
    begun = message(bytes(140_000))[:16_000]
    assert [peer.send(data(stream_id, begun)) for stream_id in (1, 3)] == [[], []]
    for _ in range(8):
        peer.send(data(1, bytes(15_000)), data(3, bytes(15_000)))
    assert peer.status(peer.send(data(5, begun)))["grpc-status"] == "8"
    assert peer.counters["limit.message_bytes"] == 1


@pytest.mark.parametrize("answers", [1, 2])
@pytest.mark.parametrize("body", [0, 1, 16_376, 16_377, 16_378, 70_000, 300_000])
@pytest.mark.parametrize("head", [2, 16_378, 16_379, 16_380, 20_000])
def test_a_message_in_two_parts_is_one_message(head: int, body: int, answers: int) -> None:
    """Whether or not it fits into a frame, into the windows, and is the first on its stream."""
    peer = Peer()
    heard = peer.call(1)
    parts = b"h" * head, b"b" * body
    for _ in range(answers):
        heard.stream.send(*parts)
    frames = peer.frames()
    frames += peer.send(window_update(0, 1 << 20), window_update(1, 1 << 20))
    assert content(frames) == message(b"".join(parts)) * answers
    assert frames[0][0] == HEADERS
    assert all(len(payload) <= SMALLEST_FRAME for _, _, _, payload in frames)


@given(st.lists(st.integers(1, 50_000), max_size=8), st.integers(0, 70_000), st.lists(st.integers(1, 9000), max_size=9))
def test_answers_wait_for_the_windows_and_keep_their_order(answers: list[int], initial: int, grants: list[int]) -> None:
    peer = Peer(client={Setting.INITIAL_WINDOW_SIZE: initial})
    heard, expected, got = peer.call(1), b"", b""
    for number, size in enumerate(answers):
        heard.stream.send(bytes([number]) * size)
        expected += message(bytes([number]) * size)
        got += content(peer.frames())
    heard.stream.end("OK", "")
    granted = initial
    for grant in grants:
        got += content(peer.send(window_update(1, grant)))
        granted += grant
        assert len(got) == min(len(expected), granted, 65_535)
    got += content(
        peer.send(window_update(1, 1 << 20) if 1 in peer.connection.streams else b"", window_update(0, 1 << 20))
    )
    assert got == expected
    assert (peer.connection.queued, peer.connection.streams) == (0, {})


def test_a_stream_that_its_peer_does_not_read_is_not_read_either() -> None:
    """What waits for the peer is bounded by what the peer may send."""
    peer = Peer(client={Setting.INITIAL_WINDOW_SIZE: 0}, stream_window=65_535)
    heard = peer.call(1)
    heard.stream.send(bytes(100_000))
    sent = 0
    while sent + 10_005 <= 65_535:
        assert peer.send(data(1, message(bytes(10_000)))) == [] or sent == 0
        heard.stream.consumed(10_000)
        sent += 10_005
    assert WINDOW_UPDATE in kinds(peer.send(window_update(1, 100_005), window_update(0, 100_005)))


def test_whoever_writes_a_stream_of_bodies_waits_for_the_peer() -> None:
    peer = Peer(client={Setting.INITIAL_WINDOW_SIZE: 0})
    heard = peer.call(1)
    assert heard.stream.writable() is None
    heard.stream.send(bytes(70_000))
    waiters = [heard.stream.writable(), heard.stream.writable()]
    assert not any(isinstance(waiter, Waiter) and waiter.is_set for waiter in waiters)
    peer.send(window_update(1, 10_000))
    assert all(isinstance(waiter, Waiter) and waiter.is_set for waiter in waiters)


def test_whoever_waits_is_let_go_when_the_stream_is_gone() -> None:
    peer = Peer(client={Setting.INITIAL_WINDOW_SIZE: 0})
    heard = peer.call(1)
    heard.stream.send(bytes(70_000))
    waiter = heard.stream.writable()
    peer.send(rst_stream(1, ErrorCode.CANCEL))
    assert isinstance(waiter, Waiter)
    assert waiter.is_set
    assert heard.cancelled


def test_streams_take_turns() -> None:
    peer = Peer(client={Setting.INITIAL_WINDOW_SIZE: 1 << 20})
    for stream_id in (1, 3):
        peer.call(stream_id).stream.send(bytes(200_000))
    sent = [stream_id for kind, _, stream_id, _ in peer.send(window_update(0, 6 * 16_384)) if kind == DATA]
    assert sent.count(1) >= 3
    assert sent.count(3) >= 3


def test_a_socket_that_takes_no_more_gets_no_more_data() -> None:
    peer = Peer(client={Setting.INITIAL_WINDOW_SIZE: 1 << 20})
    heard = peer.call(1)
    peer.connection.pause()
    heard.stream.send(b"later")
    assert kinds(peer.frames()) == [HEADERS]
    peer.connection.resume()
    assert content(peer.frames()) == message(b"later")


# Header blocks of ours


def test_a_peer_that_shrinks_its_table_is_told_that_we_use_none() -> None:
    """RFC 7541, section 4.2: its decoder fails otherwise."""
    peer = Peer(client={Setting.HEADER_TABLE_SIZE: 0})
    peer.decoder.max_allowed_table_size = 0
    for stream_id in (1, 3):
        peer.call(stream_id).stream.end("OK", "")
        assert peer.status(peer.frames())["grpc-status"] == "0"


def test_a_peer_is_told_in_the_first_block_that_goes_out() -> None:
    """The trailers of one stream wait for a window; the headers of another must not wait for them."""
    peer = Peer(client={Setting.INITIAL_WINDOW_SIZE: 0})
    first = peer.call(1)
    first.stream.send(b"x")
    peer.frames()
    peer.send(settings({Setting.HEADER_TABLE_SIZE: 0}))
    first.stream.end("OK", "")
    peer.call(3).stream.end("OK", "")
    (headers, *_) = peer.frames()
    assert (headers[2], headers[3][0]) == (3, 0x20)


# Deadlines


def test_a_stream_ends_at_its_deadline() -> None:
    peer = Peer()
    soon, later = peer.call(1, grpc_timeout="100m"), peer.call(3, grpc_timeout="2S")
    assert peer.alarms == pytest.approx([0.1, 2.0])
    peer.connection.expire(0.5)
    assert peer.status(peer.frames())["grpc-status"] == "4"
    assert (soon.cancelled, later.cancelled) == (True, False)
    assert peer.alarms[-1] == 2.0


def test_a_stream_that_has_ended_has_no_deadline() -> None:
    peer = Peer()
    peer.call(1, grpc_timeout="1S").stream.end("OK", "")
    assert not peer.connection.deadlines


# Ends


def test_a_stream_that_ends_before_its_peer_lets_it_off() -> None:
    peer = Peer()
    peer.call(1, b"x").stream.end("OK", "")
    frames = peer.frames()
    assert [(kind, stream_id) for kind, _, stream_id, _ in frames] == [(HEADERS, 1), (RST_STREAM, 1)]
    assert peer.send(data(1, b"late"), data(1, b"", end=True)) == []


def test_only_the_last_streams_that_were_let_off_are_remembered() -> None:
    peer = Peer()
    for stream_id in range(1, 6000, 2):
        peer.call(stream_id).stream.end("OK", "")
        peer.frames()
    assert len(peer.connection.resets) < 2100
    assert peer.send(data(5999, b"late"), data(5001, b"later")) == []
    assert kinds(peer.send(data(1, b"too late"))) == [GOAWAY]


def test_a_stream_that_ends_after_its_peer_just_ends() -> None:
    peer = Peer()
    heard = peer.call(1)
    peer.send(data(1, b"", end=True))
    heard.stream.end("OK", "")
    assert [(kind, flags & END_STREAM) for kind, flags, *_ in peer.frames()] == [(HEADERS, END_STREAM)]


def test_going_away_takes_two_steps_so_that_no_stream_is_lost_on_the_way() -> None:
    """RFC 9113, section 6.8: streams that were opened before the peer knew are still served."""
    peer = Peer()
    first = peer.call(1)
    peer.connection.announce_end()
    announced, asked = peer.frames()
    assert (announced[0], announced[3][:4]) == (GOAWAY, LARGEST_STREAM_ID.to_bytes(4, "big"))
    second = peer.call(3)
    (last,) = peer.send(ping(asked[3], ack=True))
    assert (last[0], last[3][:4]) == (GOAWAY, (3).to_bytes(4, "big"))
    assert peer.send(peer.headers(5), data(5, b"ignored")) == []
    for heard in (first, second):
        assert not peer.connection.drained
        heard.stream.end("OK", "")
    assert peer.connection.drained


def test_a_connection_that_is_lost_cancels_its_streams() -> None:
    peer = Peer()
    heard = [peer.call(1), peer.call(3, b"x")]
    peer.connection.lost()
    assert [each.cancelled for each in heard] == [True, True]
    heard[0].stream.send(b"too late")
    heard[0].stream.end("OK", "")
    heard[1].stream.consumed(1)
    assert (peer.frames(), peer.connection.buffered()) == ([], 0)


def test_a_failure_of_ours_costs_the_connection_and_tells_nothing(caplog: pytest.LogCaptureFixture) -> None:
    class Broken(Heard):
        def receive(self, data: bytes) -> None:
            raise RuntimeError("hunter2")

    caplog.set_level(logging.CRITICAL, "extproc.server")
    peer = Peer(receiver=Broken)
    (goaway,) = peer.send(peer.headers(1), data(1, message(b"x")))
    assert goaway[0] == GOAWAY
    assert goaway[3][4:8] == ErrorCode.INTERNAL_ERROR.to_bytes(4, "big")
    assert b"hunter2" not in goaway[3]


# Writes


def test_everything_that_one_read_brings_about_is_written_at_once() -> None:
    peer = Peer()
    peer.connection.receive(peer.headers(1) + data(1, message(b"x")) + ping(b"12345678") + settings({}))
    assert peer.woken == 0, "whoever calls receive takes what there is"
    assert len(peer.frames()) == 2


def test_what_comes_of_a_task_wakes_the_host_once() -> None:
    peer = Peer()
    heard = peer.call(1)
    heard.stream.send(b"1")
    heard.stream.send(b"2")
    heard.stream.end("OK", "")
    assert peer.woken == 1


def test_a_ping_is_answered_and_an_answer_is_not() -> None:
    peer = Peer()
    assert peer.send(ping(b"12345678")) == [(PING, ACK, 0, b"12345678")]
    assert peer.send(ping(b"12345678", ack=True)) == []
