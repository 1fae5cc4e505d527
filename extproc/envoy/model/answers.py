"""What the ext_proc filter does with an answer about a part of a message: changes it, and lets it go on.

Envoy's ``handleHeadersResponse``, ``handleBodyResponse``, ``handleTrailersResponse``.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from extproc.envoy.model.errors import MutationFailedError, SpuriousError
from extproc.envoy.model.mutation import Mutation
from extproc.envoy.model.options import RouteCacheAction
from extproc.envoy.model.state import CallbackState
from extproc.phases import BodyMode, Direction

if TYPE_CHECKING:
    from extproc.envoy.model.asking import Asking
    from extproc.envoy.model.fields import Fields
    from extproc.envoy.model.state import ProcessorState
    from extproc.envoy.model.values import Said
    from extproc.messages import Continue, HeaderEdit

__all__ = ["Answers"]

_SPURIOUS = "spurious message"
_NOT_A_PIECE = "spurious message: Normal body mutation response is received while body_mode_ is FULL_DUPLEX_STREAMED"
_A_PIECE = "spurious message: streamed_response is received while body_mode_ is not FULL_DUPLEX_STREAMED"
_MISMATCH = "mismatch between content length and the length of the mutated body"
_NUMBER = re.compile(rb"\s*\+?(\d+)\s*")


class Answers:
    """The processor's side of the filter.

    Attributes:
        route_cleared: the route is chosen anew, by the request as it stands.
    """

    def __init__(self, asking: Asking) -> None:
        self._asking = asking
        self._config = asking.config
        self.route_cleared = False

    # Headers

    def headers(self, state: ProcessorState, answer: Continue) -> None:
        """Headers are answered.

        Raises:
            SpuriousError: nobody asked.
            MutationFailedError: the changes cannot be made.
        """
        if state.callback is not CallbackState.HEADERS:
            raise SpuriousError(_SPURIOUS)
        self._edit_headers(state, answer)
        self._clear_route(state, answer)
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
            if state.leg.held is None:
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
            state.go_on()
            return True
        if state.duplex:
            self.tell_ahead(state, CallbackState.STREAMED_BODY)
            state.go_on()
            return True
        if state.body_mode is BodyMode.BUFFERED_PARTIAL:
            self._collect_partial(state)
            return True
        return self._tell_trailers(state)

    def _tell_whole_body(self, state: ProcessorState) -> bool:
        """All of it is here: told whole, in whatever mode; unless the processor has been told of some already."""
        leg = state.leg
        if state.duplex:
            self.tell_ahead(state, state.callback)
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

    def tell_ahead(self, state: ProcessorState, callback: CallbackState) -> None:
        """Full duplex has just begun: tells whatever has been held until then."""
        leg = state.leg
        if leg.held is not None:
            self._asking.ask_body(state, leg.release(), callback, end=leg.arrived and leg.trailers is None)
        if leg.trailers is not None:
            self._asking.ask_trailers(state, leg.trailers)

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

    # Body

    def body(self, state: ProcessorState, answer: Continue, said: Said) -> None:
        """A body, or a piece of it, is answered. Raises as `headers` does."""
        if state.callback is CallbackState.BUFFERED_BODY:
            done = self._buffered(state, answer, said)
        elif state.callback is CallbackState.STREAMED_BODY:
            done = self._streamed(state, answer, said)
        elif state.callback is CallbackState.BUFFERED_PARTIAL_BODY:
            done = self._buffered_partial(state, answer, said)
        else:
            raise SpuriousError(_SPURIOUS)
        state.release_sender(below_half=state.body_mode is BodyMode.STREAMED)
        self._clear_route(state, answer)
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
        self._edit_headers(state, answer)
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
        """An end goes on with its piece; only a request whose trailers are here goes on to those."""
        trailed = state.direction is Direction.REQUEST and state.leg.trailers is not None
        state.leg.inject(piece, end=end and not trailed)
        state.finish_call(CallbackState.IDLE if end else CallbackState.STREAMED_BODY)
        return end

    def _buffered_partial(self, state: ProcessorState, answer: Continue, said: Said) -> bool:
        chunk = state.queue.pop()
        self._edit_headers(state, answer)
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

    # Trailers

    def trailers(self, state: ProcessorState, answer: Continue) -> None:
        """Trailers are answered; in full duplex perhaps before the body is, or where there are none.

        Raises as `headers` does.
        """
        if state.callback is not CallbackState.TRAILERS and not state.duplex:
            raise SpuriousError(_SPURIOUS)
        if state.leg.trailers is not None:
            self._edit(state, state.leg.trailers, answer.set_headers, answer)
        state.finish_call()
        state.go_on()

    # What answers have in common

    def _edit_headers(self, state: ProcessorState, answer: Continue) -> None:
        """Where they have left already, in vain, and Envoy says nothing; nor where it wants no content-length."""
        if state.headers is None:
            return
        sets = answer.set_headers
        if state.drops_content_length:
            sets = tuple(edit for edit in sets if edit.name.lower() != "content-length")
        self._edit(state, state.headers, sets, answer)

    def _edit(self, state: ProcessorState, fields: Fields, sets: tuple[HeaderEdit, ...], answer: Continue) -> None:
        if not sets and not answer.remove_headers:
            return
        edits = Mutation(sets, answer.remove_headers, self._config.rules, self._asking.stream.counters, answer.replace)
        edits.apply(fields, state.limits)

    def _clear_route(self, state: ProcessorState, answer: Continue) -> None:
        """Ignored without a word in a response, where it is too late.

        Envoy ignores it too in an answer without a header mutation, which ours never are: they hold an empty one then.
        """
        edits = answer.set_headers or answer.remove_headers or answer.clear_route_cache
        if state.direction is Direction.RESPONSE or not edits:
            return
        action = self._config.route_cache_action
        if action is RouteCacheAction.RETAIN or self._config.disable_clear_route_cache:
            if answer.clear_route_cache:
                self._asking.stream.counters["clear_route_cache_disabled"] += 1
        elif action is RouteCacheAction.CLEAR or answer.clear_route_cache:
            self.route_cleared = True


def _claims_otherwise(headers: Fields, size: int) -> bool:
    """Whether a content-length is a number, and another one."""
    length = headers.get("content-length")
    number = None if length is None else _NUMBER.fullmatch(length)
    return number is not None and int(number[1]) != size
