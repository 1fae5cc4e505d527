"""What the ext_proc filter does when headers are answered: ``handleHeadersResponse``."""

from __future__ import annotations

from typing import TYPE_CHECKING

from extproc.envoy.model.errors import SpuriousError
from extproc.envoy.model.state import CallbackState
from extproc.phases import BodyMode

if TYPE_CHECKING:
    from extproc.envoy.model.asking import Asking
    from extproc.envoy.model.edits import Edits
    from extproc.envoy.model.state import ProcessorState
    from extproc.messages import Continue

__all__ = ["HeaderAnswers"]


class HeaderAnswers:
    """Answers to headers: they are changed, and what has come since is told, or goes on."""

    def __init__(self, asking: Asking, edits: Edits) -> None:
        self._asking = asking
        self._edits = edits

    def take(self, state: ProcessorState, answer: Continue) -> None:
        """Headers are answered.

        Raises:
            SpuriousError: nobody asked.
            MutationFailedError: the changes cannot be made.
        """
        if state.callback is not CallbackState.HEADERS:
            raise SpuriousError("spurious message")
        self._edits.headers(state, answer)
        self._edits.clear_route(state, answer)
        state.finish_call(self._owed_after_headers(state, answer))
        state.release_sender(below_half=not answer.replace)
        if answer.replace:
            self._replace(state, answer.body)
        elif self._go_on_to_body(state):
            return
        state.headers = None
        state.go_on()

    def _owed_after_headers(self, state: ProcessorState, answer: Continue) -> CallbackState:
        """What the processor has been told of while it had not answered the headers."""
        if answer.replace:
            return CallbackState.IDLE
        if state.body_mode is BodyMode.STREAMED and state.queue:
            return CallbackState.STREAMED_BODY
        if state.duplex and state.body_begun:
            return CallbackState.STREAMED_BODY
        if state.duplex and state.leg.trailers is not None:
            return CallbackState.TRAILERS
        return CallbackState.IDLE

    def _replace(self, state: ProcessorState, body: bytes | None) -> None:
        """CONTINUE_AND_REPLACE: nothing more is asked in this direction; Envoy frames the new body itself."""
        if body is not None:
            assert state.headers is not None  # noqa: S101 (they are held until they are answered)
            state.headers.remove("content-length")
            state.body_replaced = True
            if state.leg.held is None and not state.ended_in_body:
                state.leg.hold_more(body)
            else:
                state.leg.hold_instead(body)
        state.queue.clear()
        state.body_mode = BodyMode.NONE
        state.send_trailers = False

    def _go_on_to_body(self, state: ProcessorState) -> bool:
        """Tells what has come of the body, or of trailers, since the headers; whether the headers are dealt with."""
        if state.no_body:
            return self._tell_trailers(state)
        if state.body_here and state.body_mode is not BodyMode.NONE:
            return self._tell_whole_body(state) or self._tell_trailers(state)
        if state.body_mode is BodyMode.BUFFERED:
            return True
        if state.body_mode is BodyMode.STREAMED:
            self._tell_held(state, end=False)
            state.let_headers_go()
            return True
        if state.duplex:
            self._tell_body(state, CallbackState.STREAMED_BODY)
            state.let_headers_go()
            return True
        if state.body_mode is BodyMode.BUFFERED_PARTIAL:
            self._collect_partial(state)
            return True
        return self._tell_trailers(state)

    def _tell_whole_body(self, state: ProcessorState) -> bool:
        """All of it is here: told whole, in whatever mode; unless the processor has been told of some already.

        Where that has just become full duplex, trailers are told when some of the body is answered; without a body,
        never: Envoy waits for an answer to trailers that it has not told of.
        """
        leg = state.leg
        if state.duplex:
            self._tell_body(state, state.callback)
            return True
        if state.callback is not CallbackState.IDLE:
            self._tell_held(state, end=leg.trailers is None)
            return True
        if leg.held is None:
            return False
        self._asking.ask_body(state, leg.held, CallbackState.BUFFERED_BODY, end=leg.trailers is None)
        return True

    def _tell_held(self, state: ProcessorState, *, end: bool) -> None:
        if state.leg.held:
            data = state.leg.release()
            state.queue.push(data, end=end)
            state.choke_over_limit()
            self._asking.ask_body(state, data, CallbackState.STREAMED_BODY, end=end)

    def tell_ahead(self, state: ProcessorState) -> None:
        """Full duplex begins before the headers are answered: tells whatever has been held until then."""
        self._tell_body(state, CallbackState.HEADERS)
        if state.leg.trailers is not None:
            self._asking.ask_trailers(state, state.leg.trailers)

    def _tell_body(self, state: ProcessorState, callback: CallbackState) -> None:
        leg = state.leg
        if leg.held or (leg.held is not None and state.ended_in_body and not state.end_told):
            self._asking.ask_body(state, leg.release(), callback, end=state.ended_in_body)

    def _collect_partial(self, state: ProcessorState) -> None:
        if state.leg.held:
            state.queue.push(state.leg.release(), end=False)
        if state.over_limit:
            whole = state.queue.consolidate()
            self._asking.ask_body(state, whole.data, CallbackState.BUFFERED_PARTIAL_BODY, end=False)

    def _tell_trailers(self, state: ProcessorState) -> bool:
        if not state.send_trailers or state.leg.trailers is None:
            return False
        self._asking.ask_trailers(state, state.leg.trailers)
        return True
