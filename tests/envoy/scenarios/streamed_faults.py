"""Broken conversations where bodies come in pieces: each mode, each phase, wrong answers, none, streams that end."""

from __future__ import annotations

from collections.abc import Iterator

from extproc.envoy.model import Close, ExtProcConfig
from extproc.messages import Abort
from extproc.phases import BodyMode, Direction, Part, Phase
from extproc.wire.ext_proc_pb2 import ProcessingResponse
from tests.envoy.answers import answer_now, say, stream, stream_now, unchanged
from tests.envoy.moves import ALL_PARTS, Leave, Move, Reply, Send, Wait, stepwise
from tests.envoy.raw_processor import Action
from tests.envoy.scenario import (
    RQB,
    RQH,
    RQT,
    RSB,
    RSH,
    RST,
    TRAILED_POST,
    TRAILED_REPLY,
    Scenario,
    config,
    split,
    turns,
)

_MODES = (BodyMode.STREAMED, BodyMode.BUFFERED_PARTIAL, BodyMode.FULL_DUPLEX_STREAMED)
_ABORT = Abort("INTERNAL", "failed")
_OTHER = {RQH: RSH, RQB: RQH, RQT: RQB, RSH: RQH, RSB: RSH, RST: RSB}
_POST, _REPLY = split(TRAILED_POST, 3), split(TRAILED_REPLY, 3)
_STEPS = stepwise(4, 4)
_SOON = 0.1


def _faults(phase: Phase, mode: BodyMode) -> dict[str, list[Action]]:
    return {
        "empty": [ProcessingResponse()],
        "of-another-phase": [unchanged(_OTHER[phase])],
        "closed": [Close()],
        "aborted": [_ABORT],
        "immediate": [answer_now(403, body=b"no")],
        "immediate-in-pieces": [stream_now([(":status", b"200")])],
        "twice": [_going_on(phase, mode), _going_on(phase, mode)],
        "twice-the-second-edits": [_going_on(phase, mode), say(phase, ("x-envoy-a", b"1"), ("x-n", b"1"))],
        "and-then-aborted": [_going_on(phase, mode), _ABORT],
        "and-then-closed": [_going_on(phase, mode), Close()],
        "illegal-header": [say(phase, ("x-a", b"1\n2"))],
    }


def _going_on(phase: Phase, mode: BodyMode) -> ProcessingResponse:
    duplex = mode is BodyMode.FULL_DUPLEX_STREAMED and phase.part is Part.BODY
    return stream(phase, b"piece") if duplex else unchanged(phase)


def _faulty(mode: BodyMode, how: str, where: ExtProcConfig) -> Iterator[Scenario]:
    for phase in Phase:
        for what, faults in _faults(phase, mode).items():
            name = f"{mode.name.lower()}-{phase.value}-{what}-{how}"
            yield Scenario(name, where, {phase: turns(faults)}, _POST, _REPLY, moves=_STEPS)
            if phase.part is Part.BODY and mode is not BodyMode.BUFFERED_PARTIAL:
                yield Scenario(f"{name}-late", where, {phase: turns(None, faults)}, _POST, _REPLY, moves=_STEPS)


def _of_the_response() -> Iterator[Scenario]:
    """Only the response is in full duplex: what begins another one in its place is too late, and yet undoes some."""
    where = config(
        "response_headers response_body response_trailers", body=BodyMode.FULL_DUPLEX_STREAMED, failure_mode_allow=True
    )
    for phase in (RSH, RSB, RST):
        for what, faults in _faults(phase, BodyMode.FULL_DUPLEX_STREAMED).items():
            yield Scenario(f"the-response-in-full-duplex-{phase.value}-{what}", where, {phase: faults}, _POST, _REPLY)


def _silent(mode: BodyMode, phase: Phase, how: str, *, allow: bool) -> Scenario:
    """The processor says nothing about a phase: a timer fires, or, in full duplex, the client leaves."""
    end: Move = Leave() if mode is BodyMode.FULL_DUPLEX_STREAMED else Wait()
    request = (Send(ALL_PARTS), end, Reply(ALL_PARTS))
    moves = request if phase.direction is Direction.REQUEST else (Send(ALL_PARTS), Reply(ALL_PARTS), end)
    where = config("all", body=mode, timeout=_SOON, failure_mode_allow=allow)
    return Scenario(f"{mode.name.lower()}-{phase.value}-silent-{how}", where, {phase: []}, _POST, _REPLY, moves=moves)


SCENARIOS = [
    *(
        scenario
        for mode in _MODES
        for how, allow in {"shut": False, "open": True}.items()
        for scenario in _faulty(mode, how, config("all", body=mode, failure_mode_allow=allow))
    ),
    *_of_the_response(),
    *(_silent(mode, phase, "shut", allow=False) for mode in _MODES for phase in Phase),
    *(_silent(mode, phase, "open", allow=True) for mode in _MODES for phase in Phase),
]
