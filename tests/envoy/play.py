"""Plays a scenario move by move, on either stage: the real Envoy or the model."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from itertools import islice
from typing import Protocol

from tests.envoy.moves import Leave, Move, Pass, Reply, Say, Send, Wait
from tests.envoy.observed import Moment
from tests.envoy.raw_processor import Action
from tests.envoy.received import COMPLETE, Part, Received, parts_of
from tests.envoy.scenario import Scenario

__all__ = ["Stage", "play"]


class Stage(Protocol):
    """Somewhere an exchange can take place. Each move returns when it has had all its effects."""

    @property
    def client(self) -> Received: ...

    @property
    def upstream(self) -> Received | None: ...

    async def send(self, parts: Sequence[Part]) -> None: ...

    async def reply(self, parts: Sequence[Part]) -> None: ...

    async def say(self, actions: Sequence[Action], *, second: bool) -> None: ...

    async def wait(self) -> None: ...

    async def pass_(self, seconds: float) -> None: ...

    async def leave(self, *, upstream: bool) -> None: ...

    def moment(self, move: str) -> Moment: ...


async def play(scenario: Scenario, stage: Stage) -> list[Moment]:
    """Makes the moves, as far as they can still be made; in the end a client that still waits leaves."""
    unsent, unreplied = deque(parts_of(scenario.request)), deque(parts_of(scenario.response))
    moves = (*scenario.plan, Leave())
    return [stage.moment(str(move)) for move in moves if await _make(move, stage, unsent, unreplied)]


async def _make(move: Move, stage: Stage, unsent: deque[Part], unreplied: deque[Part]) -> bool:
    """Makes a move; False: there is nothing to be made of it."""
    over = stage.client.over
    if isinstance(move, Send):
        parts = _take(unsent, move.parts)
        if over or not parts:
            return False
        await stage.send(parts)
    elif isinstance(move, Reply):
        if not _has_request(stage.upstream, early=move.early):
            return False
        parts = _take(unreplied, move.parts)
        if not parts:
            return False
        await stage.reply(parts)
    elif isinstance(move, Say):
        await stage.say(move.actions, second=move.second)
    elif isinstance(move, Wait):
        await stage.wait()
    elif isinstance(move, Pass):
        await stage.pass_(move.seconds)
    elif over and not move.upstream:
        return False
    else:
        await stage.leave(upstream=move.upstream)
    return True


def _take(parts: deque[Part], count: int) -> list[Part]:
    taken = list(islice(parts, count))
    for _ in taken:
        parts.popleft()
    return taken


def _has_request(upstream: Received | None, *, early: bool) -> bool:
    if upstream is None or upstream.headers is None:
        return False
    return upstream.state == COMPLETE or (early and not upstream.over)
