"""Frames that are put together in one call are what they would be otherwise."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from extproc.server.native.frames import DATA, FRAME_HEADER_BYTES, read_header
from extproc.server.native.packed import in_frames


def contents(data: bytes) -> list[tuple[int, int, int, bytes]]:
    """Type, flags, stream and content of each frame."""
    frames: list[tuple[int, int, int, bytes]] = []
    while data:
        head, flags, stream_id = read_header(data, 0)
        end = FRAME_HEADER_BYTES + (head >> 8)
        frames.append((head & 0xFF, flags, stream_id, data[FRAME_HEADER_BYTES:end]))
        data = data[end:]
    return frames


@given(st.binary(max_size=20), st.binary(min_size=1, max_size=200), st.integers(1, 64))
def test_a_message_fills_all_its_frames_but_the_last(head: bytes, body: bytes, largest: int) -> None:
    message = head + body
    frames = contents(b"".join(in_frames(5, head, body, largest)))
    assert frames == [(DATA, 0, 5, message[at : at + largest]) for at in range(0, len(message), largest)]


def test_a_large_body_is_not_copied() -> None:
    body = bytes(100)
    views = [part.obj for part in in_frames(5, b"head", body, 30) if isinstance(part, memoryview)]
    assert all(each is body for each in views)
    assert len(views) == 4
