"""`Flowing`: a body on its way through filters that all take it in pieces.

What `ExchangeMachine` does for any message, this does in one go for another piece of such a body: nothing but the piece
is new since the last one, so it takes half the time. As soon as there is more to it (a hook has to be waited for, fails
or answers, metadata is to go with it), the machine goes on from there.
"""

from __future__ import annotations

# What filters see (exchange, http, headers) and the machine are one unit: their underscore means "not for filters".
# pyright: reportPrivateUsage=false
from typing import TYPE_CHECKING

from extproc.answers import LARGEST_PIECE
from extproc.content import is_bodiless
from extproc.lane import NO_EXTRAS, Stage
from extproc.messages import Message
from extproc.phases import FLOWS, RULES

if TYPE_CHECKING:
    from extproc.body import BodyPipeline
    from extproc.lane import Lane
    from extproc.machine import ExchangeMachine
    from extproc.phases import Flow, Phase

__all__ = ["Flowing", "flowing"]


def flowing(machine: ExchangeMachine, phase: Phase) -> Flowing | None:
    """The body that a phase is about, where another piece of it has come and can perhaps be answered in one go."""
    lane = machine._lanes.get(phase.direction)
    return None if lane is None or machine.over else lane.flowing or _begin(machine, lane, phase)


def _begin(machine: ExchangeMachine, lane: Lane, phase: Phase) -> Flowing | None:
    pipeline, exchange = lane.pipeline, machine.exchange
    if lane.last is not phase or pipeline is None or not pipeline.in_pieces or pipeline.ended or exchange.watched:
        return None
    mode, side = machine._mode(phase.direction), machine._side(phase)
    fields = side._headers
    stage = Stage(lane, phase, RULES[phase, mode], side, fields, fields._items, None)  # as the last piece has left it
    lane.flowing = begun = Flowing(machine, stage, FLOWS[mode], pipeline)
    return begun


class Flowing:
    """One body; good until the machine is given something of its direction.

    Attributes:
        carried: what goes on is what we send: a piece is not the answer to a message.
    """

    __slots__ = (
        "_exchange",
        "_flow",
        "_is_request",
        "_lane",
        "_machine",
        "_pipeline",
        "_stage",
        "_timeout",
        "_times",
        "carried",
    )

    def __init__(self, machine: ExchangeMachine, stage: Stage, flow: Flow, pipeline: BodyPipeline) -> None:
        self.carried = flow.carried
        self._machine = machine
        self._exchange = machine.exchange
        self._times, self._timeout = machine._terms.times, machine._chain.timeout
        self._lane = stage.lane
        self._stage = stage
        self._flow = flow
        self._pipeline = pipeline
        self._is_request = stage.is_request

    def take(self, piece: bytes) -> bytes | None:
        """Runs the hooks on another piece, which is neither empty nor the last.

        Returns:
            What takes its place; that very object, if it stays as it is. None: the machine is to be given the message
            that it came in, to begin with it, or to go on where this has begun.
        """
        exchange, lane, stage = self._exchange, self._lane, self._stage
        exchange._lane = lane
        lane.now, lane.deadline = self._times(self._timeout)
        lane.extended = False
        stage.body = piece
        outcome = self._pipeline.pass_on(stage, piece)
        if (
            isinstance(outcome, bytes)
            and 0 < len(outcome) <= LARGEST_PIECE
            and lane.extras is NO_EXTRAS
            and (self._is_request or not is_bodiless(exchange, stage.side))
        ):
            return piece if outcome == piece else outcome
        later = self._pipeline.put(outcome)
        machine, message = self._machine, Message(stage.phase, body=piece)
        machine.begun = machine._pending(machine._on_body_later(later, message, stage, self._flow), lane)
        return None
