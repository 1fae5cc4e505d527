"""Drains and windows of bodies: Envoy 1.40 takes what a processor says of them, and does nothing with it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from extproc.messages import Message
from extproc.phases import BodyMode, Part, Phase
from extproc.wire.ext_proc_pb2 import ProcessingResponse
from tests.envoy.answers import answer_now, beside, stream, unchanged
from tests.envoy.moves import stepwise
from tests.envoy.raw_processor import Action
from tests.envoy.scenario import RQB, RQH, TRAILED_POST, TRAILED_REPLY, Scenario, Script, config, post, split, turns

_DUPLEX = BodyMode.FULL_DUPLEX_STREAMED
_POST, _REPLY = split(TRAILED_POST, 2), split(TRAILED_REPLY, 2)
_STEPS = stepwise(5, 5)
_SAID: dict[str, dict[str, Any]] = {
    "drain": {"drain": True},
    "drain-requests": {"drain_requests": True},
    "drain-responses": {"drain_responses": True},
    "drain-both": {"drain_requests": True, "drain_responses": True},
    "window": {"window": (65536, 65536)},
    "window-narrower": {"window": (-65536, -65536)},
}


@dataclass(frozen=True)
class _Beside:
    """An answer that changes nothing, with more beside it."""

    mode: BodyMode
    more: dict[str, Any]

    def __call__(self, message: Message) -> list[Action]:
        piece = message.phase.part is Part.BODY and self.mode is _DUPLEX
        answer = stream(message.phase, message.body, end=message.end_of_stream) if piece else unchanged(message.phase)
        return [beside(answer, **self.more)]


def _beside_answers() -> Iterator[Scenario]:
    for mode in (BodyMode.NONE, BodyMode.BUFFERED, BodyMode.STREAMED, _DUPLEX):
        for what, more in _SAID.items():
            says: Callable[[Message], list[Action]] = _Beside(mode, more)
            where = config("all", body=mode)
            name = f"{what}-{mode.name.lower().replace('_', '-')}"
            yield Scenario(f"{name}-always", where, dict.fromkeys(Phase, says), _POST, _REPLY, moves=_STEPS)
            yield Scenario(f"{name}-in-the-first-answer", where, {RQH: says}, _POST, _REPLY, moves=_STEPS)


def _alone() -> Iterator[Scenario]:
    """Nothing but that is no answer that Envoy knows."""
    for what, more in _SAID.items():
        for how, allow in {"shut": False, "open": True}.items():
            alone: Script = {RQH: [beside(ProcessingResponse(), **more)]}
            yield Scenario(f"{what}-alone-{how}", config("all", failure_mode_allow=allow), alone, _POST, _REPLY)


SCENARIOS = [
    *_beside_answers(),
    *_alone(),
    Scenario("drain-with-an-immediate-response", script={RQH: [beside(answer_now(403), **_SAID["drain-both"])]}),
    *(
        Scenario(
            f"drained-{what}",
            config("all", body=_DUPLEX),
            {RQB: turns(*([piece] for piece in pieces))},
            split(post(b"onetwosix", chunked=True), 3),
            moves=stepwise(4, 2),
        )
        for what, pieces in (
            ("with-the-first-piece", (stream(RQB, b"a", drained=True), stream(RQB, b"b"), stream(RQB, b"c", end=True))),
            ("with-the-last-piece", (stream(RQB, b"a"), stream(RQB, b"b"), stream(RQB, b"c", end=True, drained=True))),
            ("instead-of-an-end", (stream(RQB, b"a"), stream(RQB, b"b"), stream(RQB, b"c", drained=True))),
        )
    ),
]
