"""Bodies that we carried, in a capture: folded into one message and one answer, as if Envoy had buffered them.

What a filter decides and what becomes of a body is the same in both modes, and so a capture need not know how a body
travelled: it can be replayed, compared and read in one form.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from extproc.messages import Abort, Continue, HeaderEdit, Immediate, Message, Output, Piece, the_answer
from extproc.phases import FLOWS, BodyMode, Direction, Part, Phase
from extproc.replay.capture import CapturedMessage

if TYPE_CHECKING:
    from collections.abc import Sequence

    from extproc.messages import Answer, Protocol

__all__ = ["Said", "fold"]


@dataclass(frozen=True, slots=True)
class Said:
    """A message, all that was said after it, when it came, and its place in the capture."""

    message: Message
    outputs: Sequence[Output]
    now: float
    number: int


def fold(said: Sequence[Said]) -> tuple[CapturedMessage, ...]:
    """The messages of an exchange, one answer each."""
    protocol = said[0].message.protocol if said else None
    carried = [] if protocol is None else [direction for direction in Direction if _is_carried(protocol, direction)]
    if protocol is None or not carried:
        return tuple(CapturedMessage(item.message, the_answer(item.outputs), item.now, item.number) for item in said)
    folded = list(_whole(said, carried))
    first = folded[0]
    modes = dict.fromkeys(carried, BodyMode.BUFFERED)
    told = replace(
        protocol,
        request_body=modes.get(Direction.REQUEST, protocol.request_body),
        response_body=modes.get(Direction.RESPONSE, protocol.response_body),
    )
    folded[0] = replace(first, message=replace(first.message, protocol=told))
    return tuple(sorted(folded, key=lambda item: item.number))


def _is_carried(protocol: Protocol, direction: Direction) -> bool:
    return FLOWS[protocol.request_body if direction is Direction.REQUEST else protocol.response_body].carried


def _whole(said: Sequence[Said], carried: Sequence[Direction]) -> list[CapturedMessage]:
    folded: list[CapturedMessage] = []
    for direction in Direction:
        own = [item for item in said if item.message.phase.direction is direction]
        if direction not in carried:
            folded += [CapturedMessage(i.message, the_answer(i.outputs), i.now, i.number) for i in own]
        elif own:
            folded += _one_direction(own)
    return sorted(folded, key=lambda item: item.number)


def _one_direction(own: list[Said]) -> list[CapturedMessage]:
    outputs = [output for item in own for output in item.outputs]
    end = next((output for output in outputs if isinstance(output, Immediate | Abort)), None)
    answers: dict[Phase, Answer] = {output.phase: output for output in outputs if isinstance(output, Continue)}
    folded: list[CapturedMessage] = []
    bodies = [item for item in own if item.message.phase.part is Part.BODY]
    for item in own:
        message = item.message
        is_last = item is own[-1]
        if message.phase.part is Part.BODY:
            if item is not bodies[-1]:
                continue
            message = replace(message, body=b"".join(body.message.body for body in bodies))
            given = b"".join(output.body for output in outputs if isinstance(output, Piece))
            answer: Answer | None = Continue(message.phase)
            if given != message.body:
                answer = Continue(message.phase, _length(own, given), body=given)
        else:
            answer = _with_length(answers.get(message.phase, Continue(message.phase)))
        folded.append(CapturedMessage(message, end if is_last and end is not None else answer, item.now, item.number))
        if isinstance(answer, Continue) and answer.replace:
            break  # what came of the old body was dropped
    return folded


def _with_length(answer: Answer) -> Answer:
    """An answer that leaves content-length, which only a body in pieces has to lose."""
    if not isinstance(answer, Continue) or "content-length" not in answer.remove_headers:
        return answer
    return replace(answer, remove_headers=tuple(name for name in answer.remove_headers if name != "content-length"))


def _length(own: Sequence[Said], body: bytes) -> tuple[HeaderEdit, ...]:
    """Keeps it true to a changed body, where there is one."""
    if not any(name == "content-length" for item in own for name, _ in item.message.headers):
        return ()
    return (HeaderEdit("content-length", b"%d" % len(body)),)
