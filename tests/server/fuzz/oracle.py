"""Whether what a server said was HTTP/2, whatever had been said to it."""

from __future__ import annotations

import struct
from collections import Counter
from dataclasses import dataclass, field

import hpack

from tests.server.raw.frames import ACK, DEFAULT_WINDOW, END_HEADERS, END_STREAM, PREFACE, Code, Frame, Kind, Setting

_STREAM = 2**31 - 1
_FLAGS = {
    Kind.DATA: END_STREAM,
    Kind.HEADERS: END_STREAM | END_HEADERS,
    Kind.SETTINGS: ACK,
    Kind.PING: ACK,
    Kind.RST_STREAM: 0,
    Kind.GOAWAY: 0,
    Kind.WINDOW_UPDATE: 0,
}
"""What a server may send, and with which flags."""


def taken_apart(content: bytes, *, whole: bool = True) -> list[Frame]:
    """The frames in it, of which the last must be whole, or is left out."""
    frames = []
    at = 0
    while at + 9 <= len(content):
        high, low, kind, flags, stream = struct.unpack_from(">BHBBL", content, at)
        end = at + 9 + (high << 16) + low
        if end > len(content):
            break
        frames.append(Frame(kind, flags, stream, content[at + 9 : end]))
        at = end
    assert at == len(content) or not whole
    return frames


@dataclass(slots=True)
class _Stream:
    headers: int = 0
    ended: bool = False
    reset: bool = False


@dataclass(slots=True)
class _Reader:
    decoder: hpack.Decoder = field(default_factory=hpack.Decoder)
    streams: dict[int, _Stream] = field(default_factory=dict)
    failed: bool = False

    def read(self, frame: Frame) -> None:
        assert not self.failed, f"{frame} after GOAWAY"
        assert not frame.flags & ~_FLAGS[Kind(frame.kind)], frame
        assert frame.stream < 1 << 31
        match frame.kind:
            case Kind.SETTINGS | Kind.PING:
                assert not frame.stream
            case Kind.GOAWAY:
                assert not frame.stream
                self.failed = frame.code != Code.NO_ERROR
            case Kind.WINDOW_UPDATE:
                assert 0 < frame.increment < 1 << 31
            case _:
                self._read_stream(frame, self.streams.setdefault(frame.stream, _Stream()))

    def _read_stream(self, frame: Frame, stream: _Stream) -> None:
        assert frame.stream % 2
        assert not stream.reset
        if frame.kind == Kind.RST_STREAM:
            stream.reset = True
            return
        assert not stream.ended
        stream.ended = frame.ends_stream
        if frame.kind == Kind.HEADERS:
            self.decoder.decode(frame.payload)
            stream.headers += 1
            assert stream.headers == 1 or stream.ended
        assert stream.headers


def check_legal(said: list[Frame]) -> None:
    """Whether a server may have said all that, in this order."""
    if not said:
        return
    first = said[0]
    assert (first.kind, first.flags) == (Kind.SETTINGS, 0)
    assert Setting.MAX_CONCURRENT_STREAMS in dict(first.settings)
    reader = _Reader()
    reader.decoder.max_allowed_table_size = 2**32 - 1  # whatever the client may have announced
    for frame in said:
        reader.read(frame)


def check_windows(heard: list[bytes], answered: list[Frame]) -> None:
    """Whether no more DATA was sent than a client that said all that could ever have allowed."""
    said = taken_apart(b"".join(heard).removeprefix(PREFACE), whole=False)
    initial = [
        value
        for frame in said
        if frame.kind == Kind.SETTINGS
        for name, value in _pairs(frame)
        if name == Setting.INITIAL_WINDOW_SIZE
    ]
    allowed = Counter({0: DEFAULT_WINDOW})
    for frame in said:
        if frame.kind == Kind.WINDOW_UPDATE:
            allowed[frame.stream & _STREAM] += frame.increment & _STREAM
    sent: Counter[int] = Counter()
    for frame in answered:
        if frame.kind == Kind.DATA:
            sent.update({0: len(frame.payload), frame.stream: len(frame.payload)})
    for stream, size in sent.items():
        assert size <= allowed[stream] + (max([DEFAULT_WINDOW, *initial]) if stream else 0)


def _pairs(frame: Frame) -> list[tuple[int, int]]:
    return frame.settings if len(frame.payload) % 6 == 0 else []
