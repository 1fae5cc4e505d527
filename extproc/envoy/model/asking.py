"""`Asking`: tells the processor something, and starts to wait for its answer."""

from __future__ import annotations

from typing import TYPE_CHECKING

from extproc.envoy.model.state import CallbackState

if TYPE_CHECKING:
    from extproc.envoy.model.clock import VirtualClock
    from extproc.envoy.model.config import ExtProcConfig
    from extproc.envoy.model.fields import Fields
    from extproc.envoy.model.requests import Requests
    from extproc.envoy.model.state import ProcessorState
    from extproc.envoy.model.stream import Stream

__all__ = ["Asking"]


class Asking:
    """What all parts of the filter share: its configuration, its stream, the time.

    Attributes:
        config: of the filter, with what the route changes of it.
        stream: to the processor.
        requests: makes the messages.
        clock: the time.
    """

    def __init__(self, config: ExtProcConfig, stream: Stream, requests: Requests, clock: VirtualClock) -> None:
        self.config = config
        self.stream = stream
        self.requests = requests
        self.clock = clock

    def ask_headers(self, state: ProcessorState, headers: Fields, *, end: bool) -> None:
        """Tells of headers."""
        self._start(state, CallbackState.HEADERS)
        self.stream.send(self.requests.headers(state, headers, end=end))

    def ask_body(self, state: ProcessorState, data: bytes, callback: CallbackState, *, end: bool) -> None:
        """Tells of a body, or a piece of it."""
        state.end_told = state.end_told or end
        self._start(state, callback)
        self.stream.send(self.requests.body(state, data, end=end))

    def ask_trailers(self, state: ProcessorState, trailers: Fields) -> None:
        """Tells of trailers, once. In full duplex pieces of the body may still be owed then."""
        if state.trailers_told:
            return
        state.trailers_told = True
        self._start(state, CallbackState.TRAILERS if state.callback is CallbackState.IDLE else state.callback)
        self.stream.send(self.requests.trailers(state, trailers))

    def _start(self, state: ProcessorState, callback: CallbackState) -> None:
        if not self.config.observability_mode:
            state.start_call(callback, self.clock.now + self.config.message_timeout)
