"""Frames that are handled where they are read: nothing may tell that from what the handlers of their types do."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from extproc.server.native.frames import (
    DATA,
    END_HEADERS,
    END_STREAM,
    GOAWAY,
    HEADERS,
    PADDED,
    RST_STREAM,
    Setting,
    frame,
    rst_stream,
    settings,
)
from extproc.server.native.grpc import Open
from extproc.server.native.headers import encode
from extproc.server.native.streams import ServerStream
from tests.server.native.peer import FIELDS, Heard, Peer, data, message


def block(**more: str) -> bytes:
    """A header block that leaves the table as it is: what is made of it is remembered."""
    fields = FIELDS | {name.replace("_", "-"): value for name, value in more.items()}
    return encode([(name.encode(), value.encode()) for name, value in fields.items()])


_BLOCKS = [
    block(),
    block(),
    block(),
    block(content_length="9"),
    block(content_length="6"),
    block(grpc_timeout="1S"),
    block(te="nothing"),
]


class _Answers(Heard):
    """Does what the first byte of a message says."""

    def receive(self, data: bytes) -> None:
        super().receive(data)
        what = data[:1]
        if what > b"0":
            self.stream.consumed(len(data))
        if what > b"1":
            self.stream.send(data, b"x" * 300)
        if what > b"2":
            self.stream.end("OK" if what > b"3" else "INTERNAL", "")


def _at_once(data: bytes) -> bytes | Open | None:
    """Does what `_Answers` does, where that is all there is to it."""
    return data + b"x" * 300 if data[:1] == b"4" else None


_BYTES = st.builds(bytes.__add__, st.sampled_from([b"0", b"1", b"2", b"3", b"4"]), st.sampled_from([b"", b"x" * 70]))
_CONTENT = st.one_of(
    st.builds(message, _BYTES),
    st.builds(message, _BYTES, st.just(1)),
    st.builds(lambda content, cut: message(content)[:cut], _BYTES, st.integers(0, 6)),
    st.builds(lambda content: message(content) * 2, _BYTES),
)


def usually(value: int, *others: int) -> st.SearchStrategy[int]:
    return st.one_of(st.just(value), st.just(value), st.just(value), st.sampled_from(others))


@st.composite
def frames(draw: st.DrawFn) -> list[bytes]:
    """Mostly what Envoy sends; now and then something next to it."""
    made, last = [frame(HEADERS, END_HEADERS, 1, block()), data(1, message(b"4"))], 1
    for _ in range(draw(st.integers(1, 20))):
        stream_id = max(1, last - draw(st.sampled_from([0, 0, 2, 2, 4]))) | draw(usually(0, 1, 1 << 31))
        match draw(st.sampled_from("HHDDDR")):
            case "H":
                last += draw(usually(2, 0, 1, 4))
                flags = draw(usually(END_HEADERS, END_HEADERS | END_STREAM, 0))
                made.append(frame(HEADERS, flags, last, draw(st.sampled_from(_BLOCKS))))
            case "D":
                made.append(frame(DATA, draw(usually(0, END_STREAM)), stream_id, draw(_CONTENT)))
            case _:
                made.append(frame(RST_STREAM, 0, stream_id, bytes(draw(usually(4, 5)))))
    return made


_CLIENTS: list[dict[int, int]] = [
    {},
    {Setting.INITIAL_WINDOW_SIZE: 400},
    {Setting.INITIAL_WINDOW_SIZE: 0},
    {Setting.HEADER_TABLE_SIZE: 0},
]


@given(frames(), st.integers(1, 9), st.integers(0, 40), st.sampled_from(_CLIENTS))
def test_all_is_as_the_handlers_would_have_it(
    said: list[bytes], together: int, refused_from: int, client: dict[int, int]
) -> None:
    reads = [b"".join(said[at : at + together]) for at in range(0, len(said), together)]
    compare(reads, refused_from // together, client)


def opening(stream_id: int, content: bytes = b"", **more: str) -> bytes:
    """The next stream, and a message, if there is one."""
    sent = data(stream_id, message(content)) if content else b""
    return frame(HEADERS, END_HEADERS, stream_id, block(**more)) + sent


@pytest.mark.parametrize(
    "read",
    [
        pytest.param(opening(3, b"4") + rst_stream(3, 0), id="the usual"),
        pytest.param(opening(3, b"0"), id="not consumed"),
        pytest.param(opening(3, b"0" * 70) + data(3, message(b"0" * 70)) * 2, id="the stream's window"),
        pytest.param(opening(3) + data(3, message(b"0"), end=True) + data(3, message(b"0")), id="after the end"),
        pytest.param(
            opening(3) + data(3, message(b"0" * 90)[:50]) + data(3, message(b"0" * 90)[50:]) + data(3, message(b"0")),
            id="after what was larger than half of the window",
        ),
        pytest.param(opening(3) + data(3, message(b"4", 1)), id="compressed"),
        pytest.param(
            opening(3) + data(3, message(b"0" * 6)[:5]) + data(3, message(b"1")), id="a piece that looks like a whole"
        ),
        pytest.param(opening(3, content_length="9") + data(3, message(b"0")) * 2, id="a known length"),
        pytest.param(opening(3, grpc_timeout="1S") + opening(5, grpc_timeout="1S"), id="a timeout"),
        pytest.param(opening(3) + data(3, b"\0\0"), id="shorter than a prefix"),
        pytest.param(opening(3) + opening(7) + opening(5), id="a number that was left out"),
        pytest.param(opening(3) + opening(5) + opening(7) + opening(9), id="too many streams"),
        pytest.param(opening(3, te="other") * 2, id="malformed"),
        pytest.param(rst_stream(1, 0) * 3, id="what was reset, more than once"),
        pytest.param(frame(RST_STREAM, 0, 1, bytes(5)), id="RST_STREAM of a wrong size"),
        pytest.param(frame(HEADERS, END_HEADERS | END_STREAM, 3, block()), id="nothing but headers"),
        pytest.param(opening(3) + data(3, b"", end=True), id="no message"),
        pytest.param(opening(3) + data(3, b"", end=True) + rst_stream(3, 8), id="no message, and a reset"),
        pytest.param(opening(3) + rst_stream(3, 8), id="a reset before a message"),
        pytest.param(opening(3) + opening(3), id="headers, twice"),
        pytest.param(opening(3, b"4") * 2, id="an exchange, twice"),
        pytest.param(opening(3, b"4")[:-1], id="an exchange but for its last byte"),
        pytest.param(opening(3, b"4") + opening(5, b"0") + opening(7, b"4"), id="an exchange within another"),
        pytest.param(opening(3) + data(3, message(b"4"), end=True), id="an exchange of which the peer says the end"),
        pytest.param(opening(3) + data(5, message(b"4")), id="a message of another stream"),
        pytest.param(opening(3, b"4") + data(3, message(b"4")), id="one more message"),
        pytest.param(opening(3, b"4", content_length="6") + opening(5, b"4", content_length="6"), id="its length"),
        pytest.param(opening(3, b"44", content_length="7") + opening(5, b"4", content_length="7"), id="less than that"),
        pytest.param(opening(3, b"4", content_length="6") + opening(5, b"44", content_length="6"), id="more than that"),
        pytest.param(opening(3) + frame(DATA, PADDED, 3, message(b"4")), id="a first message with padding"),
        pytest.param(settings({Setting.HEADER_TABLE_SIZE: 0}) + opening(3, b"4"), id="a table that shrinks"),
        pytest.param(opening(3) + data(3, message(b"4" * 200)), id="a first message larger than the window"),
        pytest.param(opening(3) + frame(DATA, 0, 1 << 31 | 3, message(b"4")), id="a reserved bit"),
    ],
)
def test_what_is_next_to_the_usual_goes_to_the_handlers(read: bytes) -> None:
    for client in _CLIENTS:
        compare([opening(1, b"4"), read], client=client)
        compare([opening(1, b"4"), read], refused_from=1, client=client)


def compare(reads: list[bytes], refused_from: int = 99, client: dict[int, int] | None = None) -> None:
    """Says it all to connections of which one leaves everything to the handlers, and one can answer at once."""
    peers = [
        Peer(receiver=_Answers, streams=3, stream_window=160, client=client, at_once=at_once)
        for at_once in (None, None, _at_once)
    ]
    slow = peers[0].connection
    slow.by_the_book, slow._any_frame_fits = True, False
    for number, read in enumerate(reads):
        if number == refused_from:
            for peer in peers:
                peer.connection.refuse_more()
        said = [peer.send(read) for peer in peers]
        assert said == said[:1] * len(peers)
        left = [state(peer) for peer in peers]
        assert left == left[:1] * len(peers)


def state(peer: Peer) -> object:
    connection = peer.connection
    streams = [
        (number, stream.receive_window, stream.send_window, stream.owed, stream.prepaid, stream.unread, stream.heard)
        for number, stream in connection.streams.items()
    ]
    heard = sorted(
        (heard.stream.id, heard.messages, heard.finished, heard.cancelled)
        for heard in peer.calls
        if (heard.messages or heard.finished or heard.cancelled)  # where the first can be answered at once, it opens
        and b"".join(heard.messages)[:1] != b"4"  # of those that are, nobody hears
    )
    windows = connection.receive_window, connection.send_window, connection.owed, connection.prepaid
    spent = {name: allowance._left for name, allowance in connection._allowances.items()}
    ends = connection.resets, connection.last_id, list(connection.deadlines.values()), connection.buffered()
    return streams, heard, windows, spent, ends, peer.counters


@pytest.mark.parametrize(
    "interruption",
    [
        lambda peer: peer.headers(5),
        lambda _: data(1, message(b"x")),
        lambda _: rst_stream(3, 0),
    ],
    ids=["the next stream", "a whole message", "a stream that was reset"],
)
def test_what_usually_comes_may_not_come_within_a_header_block(interruption: Callable[[Peer], bytes]) -> None:
    peer = Peer()
    peer.call(1)
    peer.call(3).stream.end("OK", "")
    begun = frame(HEADERS, 0, 5, peer.headers(5)[9:])
    peer.send(begun, interruption(peer))
    assert peer.counters == {"connection_error.PROTOCOL_ERROR": 1}


@pytest.mark.parametrize("apart", [False, True])
def test_a_first_message_is_asked_about_once_and_goes_to_what_is_opened_for_it(apart: bool) -> None:
    asked: list[bytes] = []
    opened: list[Heard] = []

    def opens(stream: ServerStream) -> Heard:
        opened.append(Heard(stream))
        return opened[-1]

    def at_once(data: bytes) -> bytes | Open | None:
        asked.append(data)
        return opens if data == b"opened" else b"answer" if data == b"answered" else None

    peer = Peer(at_once=at_once)
    peer.send(opening(1))  # from here on the block is known
    for number, said in enumerate([b"answered", b"opened", b"neither"]):
        frames = opening(3 + 2 * number), data(3 + 2 * number, message(said))
        for read in frames if apart else [b"".join(frames)]:
            peer.send(read)
    assert asked == [b"answered", b"opened", b"neither"]
    assert [heard.messages for heard in opened] == [[b"opened"]]
    assert [heard.messages for heard in peer.calls] == [[], [b"neither"]]


def test_nor_is_one_that_could_be_answered_at_once() -> None:
    peer = Peer(at_once=_at_once)
    peer.send(opening(1, b"4"))
    peer.connection.receive_window = 80
    peer.send(opening(3, b"4" * 70))
    assert [kind for kind, *_ in peer.send(opening(5, b"4"))] == [GOAWAY]
    assert peer.counters == {"connection_error.FLOW_CONTROL_ERROR": 1}


def test_no_message_is_taken_for_which_the_connections_window_has_no_room() -> None:
    peer = Peer()
    peer.call(1)
    peer.connection.receive_window = 80
    peer.send(*[data(1, message(b"x" * 35))] * 2)
    assert peer.counters == {}
    peer.send(data(1, message(b"")))
    assert peer.counters == {"connection_error.FLOW_CONTROL_ERROR": 1}


def test_a_message_that_is_too_long_is_refused_though_its_frame_is_not() -> None:
    peer = Peer(max_message_bytes=100)
    assert peer.call(1, b"x" * 100).messages == [b"x" * 100]
    frames = peer.send(peer.headers(3), data(3, message(b"x" * 101)))
    assert peer.status(frames)["grpc-status"] == "8"


def test_an_answer_after_the_peer_has_shrunk_its_table_is_whole() -> None:
    peer = Peer(client={Setting.HEADER_TABLE_SIZE: 0})
    peer.decoder.max_allowed_table_size = 0
    heard = peer.call(1, b"x")
    heard.stream.send(b"y", b"z")
    frames = peer.frames()
    assert [payload for kind, _, _, payload in frames if kind == DATA] == [message(b"yz")]
