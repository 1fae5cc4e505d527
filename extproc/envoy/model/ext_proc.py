"""`ExtProc`: the modelled ext_proc filter of one exchange, between the filter manager and the gRPC stream."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from extproc.envoy.model.answers import Answers
from extproc.envoy.model.arrivals import Arrivals
from extproc.envoy.model.asking import Asking
from extproc.envoy.model.errors import MutationFailedError, SpuriousError
from extproc.envoy.model.hearing import heard
from extproc.envoy.model.local_reply import immediate_reply, local_reply
from extproc.envoy.model.local_streaming import LocalStreaming
from extproc.envoy.model.mutation import Mutation
from extproc.envoy.model.overrides import extend_timeout, override_mode
from extproc.envoy.model.quirks import Quirk
from extproc.envoy.model.requests import Requests
from extproc.envoy.model.state import CallbackState, ProcessorState
from extproc.envoy.model.values import Close, Lost
from extproc.grpc_codes import GRPC_CODES
from extproc.messages import Abort, Continue, Immediate
from extproc.phases import BodyMode, Direction, Part

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from extproc.envoy.model.clock import VirtualClock
    from extproc.envoy.model.config import ExtProcConfig
    from extproc.envoy.model.fields import Fields
    from extproc.envoy.model.leg import Leg
    from extproc.envoy.model.processing_mode import ModeOverride, ProcessingMode
    from extproc.envoy.model.stream import Stream
    from extproc.envoy.model.values import Context, Deed, HttpMessage, Said, Streamed
    from extproc.phases import Phase

__all__ = ["ExtProc"]

_TIMEOUT_STATUS = 504
_UNAVAILABLE, _INTERNAL = GRPC_CODES.index("UNAVAILABLE"), GRPC_CODES.index("INTERNAL")
_NEVER = "upstream connect error or disconnect/reset before headers. reset reason: "
_LOST: dict[tuple[bool, bool], tuple[int, str, str]] = {
    (True, False): (
        _UNAVAILABLE,
        f"{_NEVER}remote connection failure",
        "upstream_reset_before_response_started{remote_connection_failure|delayed_connect_error:_Connection_refused}",
    ),
    (False, False): (
        _UNAVAILABLE,
        f"{_NEVER}connection termination",
        "upstream_reset_before_response_started{connection_termination}",
    ),
    (False, True): (_INTERNAL, "", "upstream_reset_after_response_started{connection_termination}"),
}
"""What Envoy makes of a connection that was refused, or has broken, before and after it has been answered on it."""


class ExtProc:
    """The filter.

    Attributes:
        arrivals: what it does with what comes from the client and the upstream.
        answers: what it does with answers.
        stream: to the processor.
        states: how far each direction has come.
    """

    def __init__(
        self,
        config: ExtProcConfig,
        context: Context,
        legs: tuple[Leg, ...],
        clock: VirtualClock,
        stream: Stream,
        *,
        configured: ProcessingMode,
        metadata: dict[str, Mapping[str, Any]],
        request_headers: Callable[[], Fields],
        reply: Callable[[HttpMessage, str], None],
        send: Callable[[Streamed], None],
    ) -> None:
        """A filter that has heard nothing.

        Args:
            config: its configuration.
            context: what Envoy knows beside the HTTP messages.
            legs: of the request and the response.
            clock: the time.
            stream: to the processor.
            configured: the mode of the filter itself, whatever a route says.
            metadata: the dynamic metadata of the exchange by namespace, to which answers may add.
            request_headers: of the request, which decide what a response of Envoy's own looks like.
            reply: sends a response in place of the upstream's, with its ``%RESPONSE_CODE_DETAILS%``.
            send: sends a piece of a response that the processor makes itself.
        """
        request, response = (ProcessorState(leg, config) for leg in legs)
        self._config = config
        self._configured = configured
        self._request_headers = request_headers
        self._reply = reply
        self._request = request
        self._clock = clock
        self.stream = stream
        self.states = {Direction.REQUEST: request, Direction.RESPONSE: response}
        self._requests = Requests(config, context, request, response, metadata)
        asking = Asking(config, self.stream, self._requests, clock)
        self.arrivals = Arrivals(asking)
        self.answers = Answers(asking)
        self._local = LocalStreaming(asking, request, response, send)

    @property
    def deadline(self) -> float | None:
        """When a message timer fires; None: none runs."""
        return min((state.deadline for state in self.states.values() if state.deadline is not None), default=None)

    def leave(self) -> None:
        """``onDestroy``: with the exchange the stream is closed; in observability mode, some seconds later."""
        if not self._config.observability_mode:
            self.stream.close()

    # What the processor does

    def receive(self, deed: Deed) -> None:
        """The processor says something, or ends the stream."""
        if self.stream.complete or not self.stream.is_open:
            return
        if isinstance(deed, Close):
            self._half_closed()
        elif isinstance(deed, Abort):
            self._failed(GRPC_CODES.index(deed.code), deed.reason, "via_upstream")
        elif isinstance(deed, Lost):
            self._failed(*_LOST[deed.refused, self.stream.answered])
        else:
            self.stream.answered = True
            if not self._config.observability_mode:
                self._take_in(heard(deed))

    def _take_in(self, said: Said) -> None:
        states = tuple(self.states.values())
        if said.timeout_override is not None:
            granted = extend_timeout(self._config, states, said.timeout_override, self._clock.now)
            self._count(f"override_message_timeout_{'received' if granted else 'ignored'}")
            return  # all else in there is ignored
        if said.mode_override is not None and self._override_mode(said.mode_override, alone=said.answer is None):
            return
        ends_body = self._ends_body(said)
        try:
            self._take(said)
        except SpuriousError as error:
            self._count("spurious_msgs_received")
            anyway = Quirk.SPURIOUS_PASSES in self._config.quirks
            self._fail(self._config.status_on_error, str(error), pass_anyway=anyway)
        except MutationFailedError as error:
            self._count("stream_msgs_received")
            self._refuse(self._config.status_on_error, str(error))
        else:
            self._count("stream_msgs_received")
        if isinstance(said.answer, Continue):
            self._close_if_last(said.answer.phase, ends_body=ends_body)

    def _override_mode(self, override: ModeOverride, *, alone: bool) -> bool:
        """Takes another mode. Alone it may come where it puts a request that is not held into full duplex; whether so.

        The processor then has the body before it answers the headers, and all the time it wants for that.
        """
        request = self._request
        not_held = request.body_mode in (BodyMode.NONE, BodyMode.STREAMED)
        waiting = request.callback is CallbackState.HEADERS and not_held
        taken = override_mode(self._config, self._configured, tuple(self.states.values()), override)
        alone = alone and Quirk.NO_LONE_OVERRIDE not in self._config.quirks
        if not (alone and taken and waiting and request.duplex and request.send_trailers):
            return False
        request.deadline = None
        self.answers.headers.tell_ahead(request)
        return True

    def _take(self, said: Said) -> None:
        answer = said.answer
        if isinstance(answer, Immediate):
            self._immediate(answer)
        elif answer is None:
            raise SpuriousError("unhandled message")
        elif not isinstance(answer, Continue):
            if Quirk.NO_STREAMED_IMMEDIATE in self._config.quirks:
                raise SpuriousError("unhandled message")
            self._local.take(answer)
        elif self.stream.replying:
            raise SpuriousError("spurious message")
        else:
            self._continue(answer, said)

    def _continue(self, answer: Continue, said: Said) -> None:
        self._requests.keep_metadata(answer.metadata)
        self.answers.take(self.states[answer.phase.direction], answer, said)

    def _immediate(self, answer: Immediate) -> None:
        if self._config.disable_immediate_response:
            raise SpuriousError("unhandled immediate response due to config disabled it")
        self._requests.keep_metadata(answer.metadata)
        self._finish_calls()
        self.stream.close()
        edits = Mutation(answer.set_headers, (), self._config.rules, self.stream.counters)
        self._send_instead(immediate_reply(self._request_headers(), answer, edits), answer.details)

    def _ends_body(self, said: Said) -> bool:
        """Whether this is the last answer about a body; Envoy does not look that far where a body is held."""
        answer = said.answer
        if not isinstance(answer, Continue) or answer.phase.part is not Part.BODY:
            return False
        state = self.states[answer.phase.direction]
        if state.duplex:
            return said.streamed and said.end_of_stream
        return state.body_mode is BodyMode.STREAMED and bool(state.queue) and state.queue.first.end

    def _close_if_last(self, phase: Phase, *, ends_body: bool) -> None:
        """Envoy closes the stream when it has had the last answer about either direction."""
        state = self.states[phase.direction]
        if phase.part is Part.HEADERS:
            trailers_may_come = state.send_trailers and not (state.body_here and state.leg.trailers is None)
            last = state.no_body or (state.body_mode is BodyMode.NONE and not trailers_may_come)
        else:
            last = phase.part is Part.TRAILERS or ends_body
        unasked = not state.send_trailers and state.leg.trailers is not None and state.callback is CallbackState.IDLE
        before = state.done and phase.part is not Part.HEADERS  # trailers, perhaps, that nobody had asked about
        state.done = before or last or unasked
        if Quirk.STAYS_IN_TOUCH in self._config.quirks:
            return
        if not self.stream.complete and all(one.done or one.nothing_asked for one in self.states.values()):
            self.stream.close()

    # What goes wrong

    def time_out(self) -> None:
        """The processor has not answered in time."""
        self._count("message_timeouts")
        self._fail(_TIMEOUT_STATUS, "ext_proc_error_per-message_timeout_exceeded")

    @property
    def failure_mode_allow(self) -> bool:
        """Whether the exchange may go on without the processor: not when it has the body, or is replying itself."""
        gone = Quirk.DUPLEX_OPENS_LATE not in self._config.quirks
        begun = gone and any(state.duplex and state.body_begun for state in self.states.values())
        return self._config.failure_mode_allow and not begun and not self.stream.replying

    def _half_closed(self) -> None:
        """A clean end is no failure: whatever follows passes unprocessed."""
        self._count("server_half_closed")
        self.stream.close()
        self._abandon()

    def _failed(self, code: int, reason: str, whose: str) -> None:
        """The stream has ended with an error; `whose` says in Envoy's words where it was made."""
        self._count("streams_failed")
        self._count("server_half_closed")
        if self.failure_mode_allow:
            self._half_closed()  # counted again: it goes on as if it had been a clean end
            self._count("failure_mode_allowed")
            return
        self.stream.lose()
        why = f"{reason}{{{whose}}}" if reason else whose
        self._refuse(self._config.status_on_error, f"ext_proc_error_gRPC_error_{code}{{{why}}}")

    def _fail(self, status: int, details: str, *, pass_anyway: bool = False) -> None:
        """Lets the exchange go on unprocessed, if that is allowed, or does so anyway."""
        if self.failure_mode_allow:
            self._count("failure_mode_allowed")
        elif not pass_anyway:
            self._refuse(status, details)
            return
        self.stream.close()
        self._abandon()

    def _refuse(self, status: int, details: str) -> None:
        """Ends processing and the exchange."""
        self._finish_calls()
        self.stream.close()
        self._send_instead(local_reply(self._request_headers(), status), details)

    def _send_instead(self, response: HttpMessage, details: str) -> None:
        self._count("immediate_responses_sent")
        self._reply(response, re.sub(r"\s", "_", details))

    def _abandon(self) -> None:
        for state in self.states.values():
            state.abandon()

    def _finish_calls(self) -> None:
        for state in self.states.values():
            state.finish_call()

    def _count(self, name: str) -> None:
        self.stream.counters[name] += 1
