"""What the ext_proc filter does when a part of a message comes: tells the processor, and lets pass or holds.

Envoy's ``decodeHeaders`` and ``encodeHeaders``, ``onData``, ``onTrailers``.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from extproc.envoy.model.leg import Verdict
from extproc.envoy.model.quirks import Quirk
from extproc.envoy.model.state import CallbackState
from extproc.phases import BodyMode, Direction

if TYPE_CHECKING:
    from extproc.envoy.model.asking import Asking
    from extproc.envoy.model.fields import Fields
    from extproc.envoy.model.state import ProcessorState

__all__ = ["Arrivals"]


class Arrivals:
    """The HTTP side of the filter."""

    def __init__(self, asking: Asking) -> None:
        self._asking = asking
        self._config = asking.config
        self._stream = asking.stream

    # Headers

    def headers(self, state: ProcessorState, headers: Fields, *, end: bool) -> Verdict:
        """Headers have come; the body's length is taken out of them where it may change after they have left."""
        if self._config.observability_mode and state.send_headers:
            if not self._stream.complete:
                self._asking.ask_headers(state, headers, end=end)
            return Verdict.CONTINUE
        state.body_here = end
        if self._is_processors_own(state):
            return Verdict.CONTINUE
        verdict = Verdict.CONTINUE
        if state.send_headers and not self._stream.complete:
            verdict = self._hold_headers(state, headers, end=end)
        if not self._stream.complete and state.drops_content_length:
            headers.remove("content-length")
        if self._leaves_here(state):
            self._stream.close()
        return verdict

    def _leaves_here(self, state: ProcessorState) -> bool:
        """An Envoy that stays in touch leaves at last when a response comes about which nobody is asked."""
        stays = Quirk.STAYS_IN_TOUCH in self._config.quirks
        return stays and state.direction is Direction.RESPONSE and state.nothing_asked

    def _is_processors_own(self, state: ProcessorState) -> bool:
        """Whether this is a response that the processor sends itself: nobody asks it about that."""
        return self._stream.replying and state.direction is Direction.RESPONSE

    def _hold_headers(self, state: ProcessorState, headers: Fields, *, end: bool) -> Verdict:
        state.headers = headers
        state.no_body = end
        self._asking.ask_headers(state, headers, end=end)
        state.paused = True
        return Verdict.STOP

    # Body

    def data(self, state: ProcessorState, data: bytes, *, end: bool) -> Verdict:
        """Some of the body has come."""
        state.body_begun = state.body_begun or bool(data) or end
        if self._config.observability_mode:
            return self._observe_data(state, data, end=end)
        if end:
            state.body_here = True
        if state.body_replaced:
            return Verdict.DRAIN
        if self._stream.complete or self._is_processors_own(state):
            return Verdict.CONTINUE
        if self._stream.replying and not state.duplex:
            return Verdict.NO_BUFFER  # a request that goes nowhere
        if state.callback is CallbackState.HEADERS and not self._may_run_ahead(state):
            state.paused = True
            return Verdict.BUFFER if state.body_mode is BodyMode.BUFFERED else Verdict.WATERMARK
        return self._process_data(state, data, end=end)

    def _may_run_ahead(self, state: ProcessorState) -> bool:
        """Whether the processor is told of the body before it has answered the headers."""
        ahead = self._config.send_body_without_waiting_for_header_response
        return state.duplex or (ahead and state.body_mode is BodyMode.STREAMED)

    def _process_data(self, state: ProcessorState, data: bytes, *, end: bool) -> Verdict:
        mode = state.body_mode
        if mode is BodyMode.BUFFERED:
            return self._buffered(state, data, end=end)
        if mode is BodyMode.STREAMED or state.duplex:
            return self._streamed(state, data, end=end)
        if mode is BodyMode.BUFFERED_PARTIAL:
            return self._buffered_partial(state, data, end=end)
        return Verdict.CONTINUE

    def _buffered(self, state: ProcessorState, data: bytes, *, end: bool) -> Verdict:
        state.paused = True
        if not end:
            return Verdict.BUFFER
        state.leg.hold_more(data)
        self._asking.ask_body(state, state.leg.held or b"", CallbackState.BUFFERED_BODY, end=True)
        return Verdict.NO_BUFFER

    def _streamed(self, state: ProcessorState, data: bytes, *, end: bool) -> Verdict:
        """Each piece is told as it comes. It waits for its answer in a queue, but in full duplex, where it is gone."""
        waiting = state.callback is CallbackState.HEADERS
        if data or end:
            if not state.duplex:
                state.queue.push(data, end=end)
            callback = CallbackState.HEADERS if waiting else CallbackState.STREAMED_BODY
            self._asking.ask_body(state, data, callback, end=end)
        if end or waiting:
            state.paused = True
        return Verdict.NO_BUFFER

    def _buffered_partial(self, state: ProcessorState, data: bytes, *, end: bool) -> Verdict:
        """Collected up to the buffer limit, and told then, or at the end; what comes later passes unseen."""
        if state.partial_done:
            state.headers = None
            return Verdict.CONTINUE
        state.queue.push(data, end=end)
        if state.callback is CallbackState.BUFFERED_PARTIAL_BODY:
            state.paused = True
        elif end or state.over_limit:
            self._tell_partial(state, end=state.queue.consolidate().end)
        return Verdict.NO_BUFFER

    def _tell_partial(self, state: ProcessorState, *, end: bool) -> None:
        whole = state.queue.consolidate()
        self._asking.ask_body(state, whole.data, CallbackState.BUFFERED_PARTIAL_BODY, end=end)
        state.paused = True

    def _observe_data(self, state: ProcessorState, data: bytes, *, end: bool) -> Verdict:
        """Only STREAMED tells anything in observability mode."""
        if state.body_mode is BodyMode.STREAMED and not self._stream.complete:
            self._asking.ask_body(state, data, CallbackState.IDLE, end=end)
        return Verdict.CONTINUE

    # Trailers

    def trailers(self, state: ProcessorState, trailers: Fields) -> Verdict:
        """Trailers have come, and so the body is here to its end."""
        if self._stream.complete or self._is_processors_own(state):
            return Verdict.CONTINUE
        if self._config.observability_mode:
            if state.send_trailers:
                self._asking.ask_trailers(state, trailers)
            return Verdict.CONTINUE
        body_told = state.body_here
        state.body_here = True
        if state.callback is not CallbackState.IDLE and not state.duplex:
            state.paused = True
            return Verdict.STOP
        if not body_told and self._tell_rest(state):
            return Verdict.STOP
        if not state.send_trailers:
            return Verdict.STOP if self._stream.replying else Verdict.CONTINUE
        self._asking.ask_trailers(state, trailers)
        state.paused = True
        return Verdict.STOP

    def _tell_rest(self, state: ProcessorState) -> bool:
        """Tells what was collected of the body, if anything was; whether so."""
        if state.body_mode is BodyMode.BUFFERED and state.leg.held is not None:
            self._asking.ask_body(state, state.leg.held, CallbackState.BUFFERED_BODY, end=False)
        elif state.body_mode is BodyMode.BUFFERED_PARTIAL and state.queue:
            self._tell_partial(state, end=False)
        else:
            return False
        state.paused = True
        return True
