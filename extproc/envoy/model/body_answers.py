"""What the ext_proc filter does when a body, or a piece of one, is answered: ``handleBodyResponse``."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from extproc.envoy.model.errors import MutationFailedError, SpuriousError
from extproc.envoy.model.state import CallbackState
from extproc.phases import BodyMode

if TYPE_CHECKING:
    from extproc.envoy.model.asking import Asking
    from extproc.envoy.model.edits import Edits
    from extproc.envoy.model.fields import Fields
    from extproc.envoy.model.state import ProcessorState
    from extproc.envoy.model.values import Said
    from extproc.messages import Continue

__all__ = ["BodyAnswers"]

_NOT_A_PIECE = "spurious message: Normal body mutation response is received while body_mode_ is FULL_DUPLEX_STREAMED"
_A_PIECE = "spurious message: streamed_response is received while body_mode_ is not FULL_DUPLEX_STREAMED"
_MISMATCH = "mismatch between content length and the length of the mutated body"
_NUMBER = re.compile(rb"\s*\+?(\d+)\s*")


class BodyAnswers:
    """Answers to bodies: what takes a body's place goes on, or is held in its place."""

    def __init__(self, asking: Asking, edits: Edits) -> None:
        self._asking = asking
        self._edits = edits

    def take(self, state: ProcessorState, answer: Continue, said: Said) -> None:
        """A body, or a piece of it, is answered. Raises as `HeaderAnswers.take` does."""
        if state.callback is CallbackState.BUFFERED_BODY:
            done = self._buffered(state, answer, said)
        elif state.callback is CallbackState.STREAMED_BODY:
            done = self._streamed(state, answer, said)
        elif state.callback is CallbackState.BUFFERED_PARTIAL_BODY:
            done = self._buffered_partial(state, answer, said)
        else:
            raise SpuriousError("spurious message")
        state.release_sender(below_half=state.body_mode is BodyMode.STREAMED)
        self._edits.clear_route(state, answer)
        state.headers = None
        trailers = state.leg.trailers
        if trailers is not None and not state.queue:
            if state.send_trailers:
                self._asking.ask_trailers(state, trailers)
                return
            done = True
        if done:
            state.go_on()

    def _buffered(self, state: ProcessorState, answer: Continue, said: Said) -> bool:
        """A piece of a body changes nothing here; but it passes for an empty body where the length is checked."""
        self._edits.headers(state, answer)
        if answer.body is not None:
            size = 0 if said.streamed else len(answer.body)
            if state.headers is not None and _claims_otherwise(state.headers, size):
                raise MutationFailedError(_MISMATCH)
            if not said.streamed:
                state.leg.hold_instead(answer.body)
        state.finish_call()
        return True

    def _streamed(self, state: ProcessorState, answer: Continue, said: Said) -> bool:
        if said.streamed:
            if not state.duplex:
                raise SpuriousError(_A_PIECE)
            return self._duplex(state, answer.body or b"", end=said.end_of_stream)
        if state.duplex:
            raise SpuriousError(_NOT_A_PIECE)
        chunk = state.queue.pop()
        self._inject(state, chunk.data if answer.body is None else answer.body, end=chunk.end)
        state.finish_call(CallbackState.STREAMED_BODY if state.queue else CallbackState.IDLE)
        return chunk.end

    def _duplex(self, state: ProcessorState, piece: bytes, *, end: bool) -> bool:
        """An end goes on with its piece."""
        state.leg.inject(piece, end=end)
        state.finish_call(CallbackState.IDLE if end else CallbackState.STREAMED_BODY)
        return end

    def _buffered_partial(self, state: ProcessorState, answer: Continue, said: Said) -> bool:
        chunk = state.queue.pop()
        self._edits.headers(state, answer)
        unchanged = answer.body is None or said.streamed
        self._inject(state, chunk.data if unchanged else answer.body or b"", end=chunk.end)
        state.finish_call()
        if state.queue:
            rest = state.queue.consolidate()  # and there it stays, without its data
            if rest.data:
                state.leg.inject(rest.data, end=rest.end)
            rest.data = b""
        state.partial_done = True
        return True

    def _inject(self, state: ProcessorState, data: bytes, *, end: bool) -> None:
        """Lets a piece pass, unless it is nothing at all."""
        if data or end:
            state.leg.inject(data, end=end)


def _claims_otherwise(headers: Fields, size: int) -> bool:
    """Whether a content-length is a number, and another one."""
    length = headers.get("content-length")
    number = None if length is None else _NUMBER.fullmatch(length)
    return number is not None and int(number[1]) != size
