"""A case: what to send, step by step, and what has to come back.

A step is bytes, which are sent, or an expectation, which is waited for. Unless a case says otherwise, both sides have
exchanged their settings before the first step.

What the RFC calls a stream error may be answered with a connection error of the same code (RFC 9113 section 5.4.2).
"""

from __future__ import annotations

import ssl
from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol, TypeAlias

from tests.server.raw.frames import ACK, Code, Frame, Kind
from tests.server.raw.peer import Gone, Peer, connected


class Expectation(Protocol):
    """Something that has to happen."""

    async def met(self, peer: Peer) -> None:
        """Returns once it has; fails once it cannot any more."""


@dataclass(frozen=True, slots=True)
class Settled:
    """A SETTINGS frame that is no acknowledgement, before anything else."""

    async def met(self, peer: Peer) -> None:
        first = await peer.frame()
        assert (first.kind, first.flags, first.stream) == (Kind.SETTINGS, 0, 0)


@dataclass(frozen=True, slots=True)
class Acknowledged:
    """The settings of this side are acknowledged by the next SETTINGS frame, `times` times."""

    times: int = 1

    async def met(self, peer: Peer) -> None:
        for _ in range(self.times):
            frame = await peer.until(lambda frame: frame.kind == Kind.SETTINGS)
            assert (frame.flags, frame.payload) == (ACK, b"")


@dataclass(frozen=True, slots=True)
class Alive:
    """The connection still answers a PING of its own; or has been closed without an error, where it may be."""

    or_closed: bool = False

    async def met(self, peer: Peer) -> None:
        try:
            await peer.alive()
        except Gone as gone:
            if not self.or_closed or gone.code not in {None, Code.NO_ERROR}:
                raise


@dataclass(frozen=True, slots=True)
class Ponged:
    """The next PING frame is the answer to one with this content."""

    opaque: bytes

    async def met(self, peer: Peer) -> None:
        frame = await peer.until(lambda frame: frame.kind == Kind.PING)
        assert (frame.flags, frame.payload) == (ACK, self.opaque)


@dataclass(frozen=True, slots=True)
class Responds:
    """Response headers come on the stream."""

    stream: int = 1

    async def met(self, peer: Peer) -> None:
        frame = await peer.until(_on(self.stream, Kind.HEADERS, Kind.RST_STREAM))
        assert frame.kind == Kind.HEADERS, f"reset with {Code(frame.code).name}"


@dataclass(frozen=True, slots=True)
class Ends:
    """The server ends its side of the stream, cleanly."""

    stream: int = 1

    async def met(self, peer: Peer) -> None:
        frame = await peer.until(lambda frame: frame.stream == self.stream and _is_last(frame))
        assert frame.ends_stream or frame.code == Code.NO_ERROR


@dataclass(frozen=True, slots=True)
class Sends:
    """The next DATA frame on the stream has exactly this length."""

    length: int
    stream: int = 1

    async def met(self, peer: Peer) -> None:
        frame = await peer.until(_on(self.stream, Kind.DATA, Kind.RST_STREAM))
        assert (frame.kind, len(frame.payload)) == (Kind.DATA, self.length)


@dataclass(frozen=True, slots=True)
class Holds:
    """Nothing that flow control holds back comes before a PING is answered."""

    async def met(self, peer: Peer) -> None:
        before = len(peer.seen)
        await peer.alive()
        assert not [frame for frame in peer.seen[before:] if frame.kind == Kind.DATA]


class Resets:
    """The stream fails with one of the codes, or the whole connection does."""

    def __init__(self, *codes: Code, stream: int = 1) -> None:
        self.codes = codes
        self.stream = stream

    async def met(self, peer: Peer) -> None:
        try:
            frame = await peer.until(_on(self.stream, Kind.RST_STREAM, Kind.GOAWAY))
        except Gone as gone:
            raise AssertionError(f"{gone}, and not after one of {self.codes}") from gone
        assert frame.code in self.codes
        if frame.kind == Kind.RST_STREAM:
            await peer.alive()
        else:
            await peer.closed()


class Fails:
    """The connection fails: GOAWAY with one of the codes, and the end."""

    def __init__(self, *codes: Code, last_stream: int | None = None) -> None:
        self.codes = codes
        self.last_stream = last_stream

    async def met(self, peer: Peer) -> None:
        gone = await peer.closed()
        assert gone.code in self.codes, gone
        if self.last_stream is not None:
            assert gone.last_stream == self.last_stream


@dataclass(frozen=True, slots=True)
class Answers:
    """A gRPC call ends with this status."""

    status: int = 0
    stream: int = 1

    async def met(self, peer: Peer) -> None:
        answer = await peer.answer(self.stream)
        assert answer.status == str(self.status), answer


class Closes:
    """The server closes the connection, whatever it says before."""

    async def met(self, peer: Peer) -> None:
        await peer.closed()


Step: TypeAlias = bytes | Expectation | Callable[[Peer], bytes]
"""Bytes may depend on what the server has announced."""


@dataclass(frozen=True, slots=True)
class Case:
    """One rule.

    Attributes:
        id: names it in a report.
        rule: what the RFC says, in short, and where.
        steps: what happens.
        raw: not even the preface has been sent before the first step.
    """

    id: str
    rule: str
    steps: tuple[Step, ...]
    raw: bool = False

    async def play(self, address: str, tls: ssl.SSLContext | None = None) -> None:
        """Goes through the steps on a connection of its own."""
        async with connected(address, tls=tls) as peer:
            if not self.raw:
                await peer.handshake()
            for step in self.steps:
                if isinstance(step, bytes):
                    peer.send(step)
                elif callable(step):
                    peer.send(step(peer))
                else:
                    await step.met(peer)


def case(id: str, rule: str, *steps: Step, raw: bool = False) -> Case:  # noqa: A002 (as a column of a table)
    """A row of a table."""
    return Case(id, rule, steps, raw)


def _on(stream: int, *kinds: Kind) -> Callable[[Frame], bool]:
    return lambda frame: frame.kind in kinds and frame.stream in ({0} if frame.kind == Kind.GOAWAY else {stream})


def _is_last(frame: Frame) -> bool:
    return frame.ends_stream or frame.kind == Kind.RST_STREAM
