"""`Answers`: what the ext_proc filter does with answers: it changes parts of messages, and lets them go on."""

from __future__ import annotations

from typing import TYPE_CHECKING

from extproc.envoy.model.body_answers import BodyAnswers
from extproc.envoy.model.edits import Edits
from extproc.envoy.model.errors import SpuriousError
from extproc.envoy.model.header_answers import HeaderAnswers
from extproc.envoy.model.state import CallbackState
from extproc.phases import Part

if TYPE_CHECKING:
    from extproc.envoy.model.asking import Asking
    from extproc.envoy.model.state import ProcessorState
    from extproc.envoy.model.values import Said
    from extproc.messages import Continue

__all__ = ["Answers"]


class Answers:
    """The processor's side of the filter.

    Attributes:
        edits: what answers have changed.
        headers: what is done with answers to headers.
    """

    def __init__(self, asking: Asking) -> None:
        self.edits = Edits(asking)
        self.headers = HeaderAnswers(asking, self.edits)
        self._bodies = BodyAnswers(asking, self.edits)

    def take(self, state: ProcessorState, answer: Continue, said: Said) -> None:
        """A part of a message is answered.

        Raises:
            SpuriousError: nobody asked, or not like that.
            MutationFailedError: the changes cannot be made.
        """
        if answer.phase.part is Part.HEADERS:
            self.headers.take(state, answer)
        elif answer.phase.part is Part.BODY:
            self._bodies.take(state, answer, said)
        else:
            self._trailers(state, answer)

    def _trailers(self, state: ProcessorState, answer: Continue) -> None:
        """In full duplex they may be answered before the body is, or where there are none; what counts is the first."""
        if state.callback is not CallbackState.TRAILERS and not state.duplex:
            raise SpuriousError("spurious message")
        if state.leg.trailers is not None and not state.trailers_answered:
            state.trailers_answered = True
            self.edits.trailers(state, state.leg.trailers, answer)
        state.finish_call()
        state.go_on()
