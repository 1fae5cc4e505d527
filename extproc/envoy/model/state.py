"""`ProcessorState`: how far the ext_proc filter has come with one direction, in Envoy's own words for it."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from enum import Enum
from typing import TYPE_CHECKING

from extproc.phases import BodyMode, Direction, Part, Phase

if TYPE_CHECKING:
    from extproc.envoy.model.config import ExtProcConfig
    from extproc.envoy.model.fields import Fields
    from extproc.envoy.model.leg import Leg
    from extproc.envoy.model.processing_mode import ProcessingMode

__all__ = ["CallbackState", "ChunkQueue", "ProcessorState", "QueuedChunk"]

_PHASES = {(phase.direction, phase.part): phase for phase in Phase}


class CallbackState(Enum):
    """What the filter waits for."""

    IDLE = "Idle"
    HEADERS = "HeadersCallback"
    BUFFERED_BODY = "BufferedBodyCallback"
    STREAMED_BODY = "StreamedBodyCallback"
    BUFFERED_PARTIAL_BODY = "BufferedPartialBodyCallback"
    TRAILERS = "TrailersCallback"


@dataclass(slots=True)
class QueuedChunk:
    """A piece of a body that the processor has been told of, until it answers."""

    data: bytes
    end: bool


class ChunkQueue:
    """The pieces that wait for their answers, in order."""

    def __init__(self) -> None:
        self._chunks: deque[QueuedChunk] = deque()

    def __bool__(self) -> bool:
        """Whether a piece waits."""
        return bool(self._chunks)

    @property
    def size(self) -> int:
        """Bytes that wait."""
        return sum(len(chunk.data) for chunk in self._chunks)

    @property
    def first(self) -> QueuedChunk:
        """The one that is answered next."""
        return self._chunks[0]

    def push(self, data: bytes, *, end: bool) -> None:
        """Another piece waits."""
        self._chunks.append(QueuedChunk(data, end))

    def pop(self) -> QueuedChunk:
        """The first piece is answered."""
        return self._chunks.popleft()

    def consolidate(self) -> QueuedChunk:
        """Makes one piece of all."""
        whole = QueuedChunk(b"".join(chunk.data for chunk in self._chunks), self._chunks[-1].end)
        self._chunks = deque([whole])
        return whole

    def clear(self) -> None:
        """Nothing waits any more."""
        self._chunks.clear()


class ProcessorState:
    """One direction: what has come, what the processor has been told, what it still owes.

    Attributes:
        direction: request or response.
        leg: where the message is held.
        callback: what is waited for.
        body_mode: how the processor is told of the body.
        send_headers: it is told of the headers.
        send_trailers: it is told of trailers.
        headers: as long as an answer may change them.
        queue: pieces of the body that wait to be answered.
        paused: the message waits, and goes on when an answer lets it.
        no_body: nothing followed the headers.
        body_here: the body is here to its end.
        body_begun: some of it has come.
        body_replaced: an answer has replaced it, and what comes of it is dropped.
        partial_done: BUFFERED_PARTIAL: the processor has seen as much as it will.
        end_told: the processor has been told that the body is over.
        trailers_told: the processor has been told of the trailers.
        trailers_answered: it has answered them: they may have left, and nothing changes them any more.
        attributes_told: it has been told the attributes.
        done: the last answer about it is here.
        choked: it has stopped the sender: more waits for answers than the buffer limit allows ("watermark").
        deadline: when the message timer fires; None: it does not run.
        extended: the processor has already been given more time for this message.
    """

    def __init__(self, leg: Leg, config: ExtProcConfig) -> None:
        self.direction = leg.direction
        self.leg = leg
        self.callback = CallbackState.IDLE
        self.queue = ChunkQueue()
        self.headers: Fields | None = None
        self.paused = False
        self.no_body = False
        self.body_here = False
        self.body_begun = False
        self.body_replaced = False
        self.partial_done = False
        self.end_told = False
        self.trailers_told = False
        self.trailers_answered = False
        self.attributes_told = False
        self.done = False
        self.choked = False
        self.deadline: float | None = None
        self.extended = False
        self.set_mode(config.mode)
        self._keeps_length = config.allow_content_length_header
        request = self.direction is Direction.REQUEST
        self.limits = config.request_limits if request else config.response_limits

    def set_mode(self, mode: ProcessingMode) -> None:
        """What the processor is told of from here on."""
        request = self.direction is Direction.REQUEST
        self.send_headers = mode.request_headers if request else mode.response_headers
        self.send_trailers = mode.request_trailers if request else mode.response_trailers
        self.body_mode = mode.request_body if request else mode.response_body

    def phase(self, part: Part) -> Phase:
        """The phase of a part of this direction."""
        return _PHASES[self.direction, part]

    @property
    def nothing_asked(self) -> bool:
        """The processor is told nothing of this direction."""
        return not self.send_headers and not self.send_trailers and self.body_mode is BodyMode.NONE

    @property
    def ended_in_body(self) -> bool:
        """The message is here to its end, which was in its body."""
        return self.body_begun and self.leg.arrived and self.leg.trailers is None

    @property
    def duplex(self) -> bool:
        """Whether answers come when, and in as many pieces as, the processor likes; no timer runs meanwhile."""
        return self.body_mode is BodyMode.FULL_DUPLEX_STREAMED

    @property
    def drops_content_length(self) -> bool:
        """Whether Envoy cannot know how long the body will be when the headers leave."""
        if self._keeps_length:
            return False
        if self.body_mode is BodyMode.BUFFERED:
            return not self.send_headers
        return self.body_mode not in (BodyMode.NONE, BodyMode.GRPC)

    @property
    def over_limit(self) -> bool:
        """Whether more waits for answers than Envoy holds."""
        return self.queue.size > self.leg.buffer.limit

    def choke_over_limit(self) -> None:
        """Stops the sender where more waits for answers than Envoy holds."""
        self.choked = self.choked or self.over_limit

    def release_sender(self, *, below_half: bool = False) -> None:
        """Lets the sender go on; `below_half`: only where little enough waits."""
        if not below_half or self.queue.size < self.leg.buffer.limit // 2:
            self.choked = False

    # The message timer

    def start_call(self, callback: CallbackState, deadline: float) -> None:
        """The processor has been told something, and is to answer by `deadline`; in full duplex, when it likes."""
        self.callback = callback
        self.deadline = None if self.duplex else deadline
        self.extended = False

    def finish_call(self, callback: CallbackState = CallbackState.IDLE) -> None:
        """It has answered; what is waited for now."""
        self.callback = callback
        self.deadline = None
        self.extended = False

    def extend_call(self, deadline: float) -> bool:
        """Gives the processor until `deadline`, once for a message; whether that is possible."""
        if self.deadline is None or self.extended:
            return False
        self.deadline = deadline
        self.extended = True
        return True

    def go_on(self) -> None:
        """Lets the message go on, if it waits."""
        if self.paused:
            self.paused = False
            self.leg.go_on()

    def let_headers_go(self) -> None:
        """Lets only the headers go on, if they wait."""
        self.paused = False
        self.leg.let_headers_go()

    def abandon(self) -> None:
        """Nothing is asked any more: lets everything go on as it is."""
        self.finish_call()
        if self.queue:
            rest = self.queue.consolidate()
            self.queue.clear()
            if rest.data or rest.end:
                self.leg.inject(rest.data, end=rest.end)
        self.release_sender()
        self.go_on()
