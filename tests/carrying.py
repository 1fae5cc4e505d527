"""Envoy's side of a message with a body, in every body mode: what it sends, when, and what it makes of the answers.

Everything that an answer may not do in a mode fails an assertion here.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from extproc import Chain
from extproc.machine import ExchangeMachine
from extproc.messages import (
    Abort,
    Continue,
    Immediate,
    Message,
    Output,
    Piece,
    Protocol,
    RawHeaders,
    ReplyBody,
    ReplyHeaders,
)
from extproc.phases import BodyMode, Direction, Phase
from tests.envoy_side import apply, request
from tests.jumping_loop import LoopClock, run

__all__ = ["IN_ALL", "Passed", "Replied", "carry"]

IN_ALL = (BodyMode.STREAMED, BodyMode.BUFFERED, BodyMode.BUFFERED_PARTIAL, BodyMode.FULL_DUPLEX_STREAMED)
"""The modes in which a filter sees every byte of a body."""

MAX_BODY = 1024 * 1024


@dataclass
class Passed:
    """What went on to the other side."""

    headers: RawHeaders
    body: bytes = b""
    trailers: RawHeaders | None = None


@dataclass
class Replied:
    """An immediate response that came in pieces."""

    headers: RawHeaders
    body: list[bytes] = field(default_factory=list[bytes])
    ended: bool = False


def carry(  # noqa: PLR0917 (in the order in which they are sent)
    chain: Chain,
    mode: BodyMode,
    direction: Direction,
    headers: RawHeaders,
    chunks: Sequence[bytes],
    trailers: RawHeaders | None = None,
) -> Passed | Immediate | Abort | Replied:
    """What comes of a request, or of the response to a GET; no chunks and no trailers: it ends with its headers."""
    return run(_Carrier(chain, mode, direction).all(list(headers), chunks, trailers))


class _Carrier:
    def __init__(self, chain: Chain, mode: BodyMode, direction: Direction) -> None:
        self.machine = ExchangeMachine(chain, "x-1", clock=LoopClock(), trace=True, max_body_bytes=MAX_BODY)
        self.mode = mode
        self.protocol: Protocol | None = Protocol(mode, mode)
        self.phases = [phase for phase in Phase if phase.direction is direction]
        self.direction = direction
        self.passed = Passed([])
        self.end: Immediate | Abort | Replied | None = None
        self.answered: list[Phase] = []
        self.replaced = False
        self.eos = False

    async def all(
        self, headers: RawHeaders, chunks: Sequence[bytes], trailers: RawHeaders | None
    ) -> Passed | Immediate | Abort | Replied:
        try:
            if self.direction is Direction.RESPONSE:
                first = await self.machine.receive(request(protocol=self.protocol))
                assert isinstance(first, Continue), first
                self.protocol = None
            await self.play(headers, chunks, trailers)
            return self.end or self.passed
        finally:
            await self.machine.close()

    async def play(self, headers: RawHeaders, chunks: Sequence[bytes], trailers: RawHeaders | None) -> None:
        head, body, tail = self.phases
        carried = self.mode is BodyMode.FULL_DUPLEX_STREAMED
        self.passed.headers = headers
        await self.say(Message(head, list(headers), end_of_stream=not chunks and trailers is None))
        assert carried or self.end or self.answered == [head]
        for number, chunk in enumerate(self.sent(chunks, last=trailers is None)):
            if self.end or (self.replaced and not carried):
                break
            eos = trailers is None and number == len(self.sent(chunks, last=True)) - 1
            before = len(self.answered)
            self.waiting = chunk
            await self.say(Message(body, body=chunk, end_of_stream=eos))
            assert carried or self.end or len(self.answered) == before + 1
        if trailers is not None and not self.end and not (self.replaced and not carried):
            self.passed.trailers = trailers
            await self.say(Message(tail, list(trailers), end_of_stream=True))
        self.finished(trailers)

    def sent(self, chunks: Sequence[bytes], *, last: bool) -> list[bytes]:
        if self.mode in (BodyMode.BUFFERED, BodyMode.BUFFERED_PARTIAL):
            body = b"".join(chunks)
            return [body] if chunks and (body or last) else []
        pieces = [chunk for chunk in chunks if chunk]
        if self.mode is BodyMode.FULL_DUPLEX_STREAMED:
            return [*pieces, b""] if chunks and last else pieces
        return pieces or ([b""] if chunks and last else [])

    def finished(self, trailers: RawHeaders | None) -> None:
        if isinstance(self.end, Replied):
            assert self.end.ended
        if self.end or self.replaced:
            return
        assert not self.machine.owes
        assert self.phases[0] in self.answered
        if trailers is not None:
            assert self.answered[-1] is self.phases[2]
            assert not self.eos
        elif self.mode is BodyMode.FULL_DUPLEX_STREAMED and self.phases[1] in self.answered:
            assert self.eos

    async def say(self, message: Message) -> None:
        if self.protocol is not None:
            message = Message(
                message.phase, message.headers, message.body, message.end_of_stream, protocol=self.protocol
            )
            self.protocol = None
        for output in await self.machine.receive_all(message):
            assert self.end is None or isinstance(output, ReplyBody | Abort), f"{output} follows {self.end}"
            self.take(output)

    def take(self, output: Output) -> None:
        if isinstance(output, Immediate | Abort):
            self.end = output
        elif isinstance(output, ReplyHeaders):
            assert self.answered == []
            self.end = Replied(output.headers)
        elif isinstance(output, ReplyBody):
            assert isinstance(self.end, Replied)
            assert not self.end.ended
            self.end.body.append(output.body)
            self.end.ended = output.end_of_stream
        elif isinstance(output, Piece):
            self.piece(output)
        else:
            assert isinstance(output, Continue)
            self.go_on(output)

    def piece(self, piece: Piece) -> None:
        assert self.mode is BodyMode.FULL_DUPLEX_STREAMED
        assert self.answered, "a body before its headers"
        assert self.phases[2] not in self.answered, "a body after its trailers"
        assert not self.eos, "a body after its end"
        assert len(piece.body) <= 64 * 1024
        assert piece.body or piece.end_of_stream
        self.answered.append(piece.phase)
        self.passed.body += piece.body
        self.eos = piece.end_of_stream

    def go_on(self, answer: Continue) -> None:
        head, body, tail = self.phases
        edits = bool(answer.set_headers or answer.remove_headers)
        self.answered.append(answer.phase)
        if answer.phase is head:
            assert self.answered == [head]
            self.passed.headers = apply(self.passed.headers, answer.set_headers, answer.remove_headers)
            assert (answer.body is None) is not answer.replace
            self.replaced = answer.replace
            self.passed.body = answer.body or b""
        elif answer.phase is body:
            assert self.mode is not BodyMode.FULL_DUPLEX_STREAMED
            assert not edits or self.mode in (BodyMode.BUFFERED, BodyMode.BUFFERED_PARTIAL)
            self.passed.headers = apply(self.passed.headers, answer.set_headers, answer.remove_headers)
            self.passed.body += self.waiting if answer.body is None else answer.body
        else:
            assert answer.phase is tail
            self.passed.trailers = apply(self.passed.trailers or [], answer.set_headers, answer.remove_headers)
