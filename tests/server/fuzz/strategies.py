"""What a peer may say that means no good, or nothing at all."""

from __future__ import annotations

from hypothesis import strategies as st

from tests.server.fuzz.client import BLOCKS, MESSAGES, Client
from tests.server.fuzz.record import load
from tests.server.raw.frames import (
    END_HEADERS,
    END_STREAM,
    HIGHEST_WINDOW,
    PADDED,
    PRIORITIZED,
    Code,
    Kind,
    continuation,
    data,
    frame,
    goaway,
    headers,
    integer,
    literal,
    ping,
    priority,
    rst_stream,
    settings,
    window_update,
)

_SESSIONS = [b"".join(pieces) for pieces in load().values()]
_BLOCKS = [*BLOCKS, b"", b"\xbe\xbf\xc0", integer(5000, 5, 0x20), literal(b"X", b"\0", 0x40), b"\x40", b"\xff" * 5]

_streams = st.sampled_from([1, 3, 5, 7, 0, 2, 2**31 - 1])
_increments = st.sampled_from([0, 1, 65_535, HIGHEST_WINDOW, 2**32 - 1])
_codes = st.sampled_from([*Code, 0xFF])
_bytes = st.integers(0, 255)
_pairs = st.tuples(
    st.sampled_from([1, 2, 3, 4, 5, 6, 0xFF]),
    st.sampled_from([0, 1, 2, 16_383, 16_384, 65_535, 2**24 - 1, HIGHEST_WINDOW, 2**32 - 1]),
)
_flags = st.sampled_from([END_HEADERS, END_HEADERS | END_STREAM, END_HEADERS | PRIORITIZED, END_STREAM, 0])

garbage = st.binary(max_size=200)
"""Bytes."""

frames = st.one_of(
    st.builds(headers, _streams, st.sampled_from(_BLOCKS), _flags),
    st.builds(continuation, _streams, st.sampled_from(_BLOCKS), _flags),
    st.builds(data, _streams, st.sampled_from(MESSAGES), st.sampled_from([0, END_STREAM])),
    st.builds(rst_stream, _streams, _codes),
    st.builds(priority, _streams, _streams, _bytes),
    st.builds(lambda pairs: settings(*pairs), st.lists(_pairs, max_size=3)),
    st.builds(window_update, _streams, _increments),
    st.builds(ping, st.binary(min_size=8, max_size=8), _bytes),
    st.builds(goaway, _streams, _codes),
    st.builds(frame, _bytes, _bytes, _streams, st.binary(max_size=20)),
    st.builds(frame, st.sampled_from(list(Kind)), st.just(PADDED), _streams, garbage, length=st.integers(0, 2**24 - 1)),
)
"""Frames that hardly ever fit in."""


@st.composite
def clients(draw: st.DrawFn) -> bytes:
    """What a client says that mostly keeps to the rules."""
    client = Client()
    for deed in draw(st.lists(st.tuples(_bytes, _bytes, _bytes), min_size=10, max_size=60)):
        client.do(*deed)
    return b"".join(client.said)


@st.composite
def wayward_clients(draw: st.DrawFn) -> bytes:
    """What a client says that keeps to the rules until it does not."""
    client = Client()
    for deed in draw(st.lists(st.tuples(_bytes, _bytes, _bytes), min_size=5, max_size=40)):
        client.do(*deed)
    for content in draw(st.lists(frames, min_size=1, max_size=6)):
        client.say(content)
    return b"".join(client.said)


@st.composite
def spoilt_sessions(draw: st.DrawFn) -> bytes:
    """What a real client has said, with a few bytes changed, lost, said twice or made up."""
    session = bytearray(draw(st.sampled_from(_SESSIONS)))
    for _ in range(draw(st.integers(0, 4))):
        at = draw(st.integers(0, len(session)))
        end = min(len(session), at + draw(st.sampled_from([0, 1, 3, 9, 100, 1000])))
        session[at:end] = draw(st.one_of(st.binary(max_size=9), frames, st.just(bytes(session[at:end]) * 2)))
    return bytes(session)


@st.composite
def pieces(draw: st.DrawFn, sessions: st.SearchStrategy[bytes]) -> list[bytes]:
    """A session as the socket may hand it out."""
    session = draw(sessions)
    cuts = sorted(draw(st.lists(st.integers(0, len(session)), max_size=6)))
    return [session[start:end] for start, end in zip([0, *cuts], [*cuts, len(session)], strict=True)]
