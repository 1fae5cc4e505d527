"""Frames of one message that are taken together: the same comes of them as of one after the other."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from extproc.server.native.frames import DATA, GOAWAY, SMALLEST_FRAME, WINDOW_UPDATE, frame, ping
from tests.server.native.peer import Peer, message

RUNS = st.lists(st.sampled_from(["full", "full", "full", "short", "another's", "ping"]), min_size=1, max_size=9)


@given(RUNS, st.integers(1, SMALLEST_FRAME - 1), st.integers(0, 10 * SMALLEST_FRAME))
def test_frames_that_are_taken_together_are_taken_as_one_by_one(run: list[str], short: int, cut: int) -> None:
    """Envoy makes nearly all frames of a body full; what stands among them is somebody else's, or ends the run."""
    sizes = {"full": SMALLEST_FRAME, "short": short}
    content = message(bytes(range(251)) * (sum(sizes.get(kind, 0) for kind in run) // 251 + 1))
    frames, at = [], 0
    for kind in run:
        piece = content[at : at + sizes.get(kind, 0)]
        another = {"another's": frame(DATA, 0, 3, message(b"x" * (SMALLEST_FRAME - 5))), "ping": ping(bytes(8))}
        frames.append(another.get(kind, frame(DATA, 0, 1, piece)))
        at += len(piece)
    frames.append(frame(DATA, 0, 1, content[at:]))
    together, one_by_one = Peer(frame_bytes=1 << 20), Peer(frame_bytes=1 << 20)
    calls = [(peer.call(1), peer.call(3)) for peer in (together, one_by_one)]
    together.send(b"".join(frames)[:cut])
    together.send(b"".join(frames)[cut:])
    for each in frames:
        one_by_one.send(each)
    mine, theirs = ([heard.messages for heard in each] for each in calls)
    assert mine == theirs == [[content[5:]], [b"x" * (SMALLEST_FRAME - 5)] * run.count("another's")]
    windows = [
        [(peer.connection.receive_window, stream.receive_window) for stream in peer.connection.streams.values()]
        for peer in (together, one_by_one)
    ]
    assert windows[0] == windows[1]


LARGE = message(b"x" * 20_000)
FRAMES: dict[str, list[bytes]] = {
    "compressed": [b"\x01" + LARGE[1:9000], LARGE[9000:]],
    "all but its last byte": [LARGE[:9000], LARGE[9000:-1], LARGE[-1:]],
    "more than it is": [LARGE[:9000], LARGE[9000:] + message(b"y")],
    "larger than the window": [message(b"x" * 50_000)[at : at + 9000] for at in range(0, 50_005, 9000)],
    "larger than what is left of the window": [
        each[at : at + 9000] for each in [message(b"x" * 18_000)] * 3 for at in range(0, 18_005, 9000)
    ],
    "longer than may be": [message(b"x" * 61_000)[at : at + 9000] for at in range(0, 61_005, 9000)],
}


@pytest.mark.parametrize("later", [0, 1])
@pytest.mark.parametrize("case", FRAMES)
def test_a_message_in_several_frames_is_taken_as_one_by_one(case: str, later: int) -> None:
    """But that its window may be given back in one piece."""
    together, one_by_one = (Peer(stream_window=44_000, max_message_bytes=60_000) for _ in range(2))
    calls = [peer.call(1) for peer in (together, one_by_one)]
    frames = [frame(DATA, 0, 1, piece) for piece in FRAMES[case]]
    now = len(frames) - later
    said = [
        [*together.send(*frames[:now]), *together.send(*frames[now:])],
        [answer for each in frames for answer in one_by_one.send(each)],
    ]
    other_than_windows = [[answer for answer in each if answer[0] != WINDOW_UPDATE] for each in said]
    assert other_than_windows[0] == other_than_windows[1]
    assert calls[0].messages == calls[1].messages
    assert together.counters == one_by_one.counters


def test_a_message_that_is_longer_than_may_be_is_not_taken_because_it_is_here() -> None:
    peer = Peer(max_message_bytes=17_000)
    heard = peer.call(1)
    said = message(bytes(17_001))
    frames = peer.send(frame(DATA, 0, 1, said[:9000]), frame(DATA, 0, 1, said[9000:]))
    assert (peer.status(frames)["grpc-status"], heard.messages) == ("8", [])


def test_a_message_that_is_here_counts_against_the_connections_window() -> None:
    peer = Peer(stream_window=65_535, connection_window=70_000)
    heard = [peer.call(stream_id) for stream_id in (1, 3, 5)]
    said = message(bytes(30_000))
    frames = [peer.send(*(frame(DATA, 0, n, said[at : at + 15_000]) for at in (0, 15_000, 30_000))) for n in (1, 3, 5)]
    assert [len(each.messages) for each in heard] == [1, 1, 0]
    assert [kind for each in frames for kind, *_ in each] == [GOAWAY]
