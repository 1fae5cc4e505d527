"""`Lane`: one direction of an exchange; `Stage`: the message in it that hooks are looking at."""

from __future__ import annotations

# What filters see (headers, http) and this are one unit: their underscore means "not for filters".
# pyright: reportPrivateUsage=false
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from extproc.messages import TypedValue
from extproc.phases import Direction

if TYPE_CHECKING:
    from collections.abc import Callable

    from extproc.body import BodyPipeline
    from extproc.chain import Link
    from extproc.flowing import Flowing
    from extproc.headers import Headers
    from extproc.http import Request, Response
    from extproc.messages import Namespaced, Output, RawHeaders, Typed
    from extproc.phases import Phase, Rule

__all__ = ["GONE", "NO_EXTRAS", "Extras", "Lane", "Stage"]

GONE = "it has left already; edit it in an earlier phase"
"""Why something cannot be edited any more."""


@dataclass(frozen=True, slots=True)
class Extras:
    """What filters have asked for since the last answer, beside edits; each change makes a new one.

    Attributes:
        clear_route_cache: Envoy is to choose the route again.
        metadata: dynamic metadata, by namespace.
        typed: the same, typed.
    """

    clear_route_cache: bool = False
    metadata: Namespaced = field(default_factory=dict[str, Mapping[str, Any]])
    typed: Typed = field(default_factory=dict[str, TypedValue])

    def clearing(self) -> Extras:
        """These, and the route cache is cleared."""
        return _CLEARING if self is NO_EXTRAS else replace(self, clear_route_cache=True)


NO_EXTRAS = Extras()
"""Always this very object where nothing was asked for."""
_CLEARING = Extras(clear_route_cache=True)


class Lane:
    """What is true of one direction: the request and the response may be under way at once.

    Attributes:
        phase: the phase that is running.
        last: the phase of the latest message; None before the first.
        pending: a message waits for its answer.
        emit: takes answers, in order.
        now: seconds since the Unix epoch when the current message came.
        deadline: by when it has to be answered, on the exchange's clock.
        link: the filter that is running.
        extras: what goes out with the next answer, beside edits.
        pipeline: the filters that want the body which is under way.
        unwanted: the filters that have said they do not want it, by index.
        flowing: the same body, while the next piece of it can be answered in one go.
        held: the headers whose answer waits for the body.
        replaced: the answer to the headers brought another body: what comes of the old one is dropped.
        extended: Envoy has been asked for more time for the current message.
    """

    # Defaults stand here rather than in __init__: this is the hot path.
    phase: Phase | None = None
    last: Phase | None = None
    pending = False
    emit: Callable[[Output], object]
    now = 0.0
    deadline = 0.0
    link: Link | None = None
    extras = NO_EXTRAS
    pipeline: BodyPipeline | None = None
    flowing: Flowing | None = None
    unwanted: frozenset[int] = frozenset()
    held: Stage | None = None
    replaced = False
    extended = False

    def close(self) -> None:
        """The exchange is over: lets go of what leads back here, or circles would be left to the garbage collector."""
        self.emit, self.pipeline, self.flowing, self.held = _drop, None, None, None


def _drop(_: Output) -> None:
    """Where answers go when the exchange is over."""


class Stage:
    """A message under way through the hooks of a phase.

    Attributes:
        lane: the direction in which it is.
        phase: the phase whose hooks run.
        rule: what an answer may hold.
        side: what they edit.
        fields: the phase's headers: the headers, or in a trailers phase the trailers.
        headers: `fields`, as Envoy has them.
        body: the body, as Envoy has it; None if it is still to come.
    """

    __slots__ = ("body", "fields", "headers", "lane", "phase", "rule", "side")

    def __init__(  # noqa: PLR0917 (made for every message: keywords take time)
        self,
        lane: Lane,
        phase: Phase,
        rule: Rule,
        side: Request | Response,
        fields: Headers,
        headers: RawHeaders,
        body: bytes | None,
    ) -> None:
        self.lane = lane
        self.phase = phase
        self.rule = rule
        self.side = side
        self.fields = fields
        self.headers = headers
        self.body = body

    def in_phase(self, phase: Phase) -> Stage:
        """The same message in the hooks of another phase."""
        return Stage(self.lane, phase, self.rule, self.side, self.fields, self.headers, self.body)

    def open(self) -> None:
        """Lets hooks edit what an answer of this stage can still change, and nothing else."""
        side, fields = self.side, self.fields
        side._headers._sealed = GONE if fields is not side._headers else ""
        fields._sealed = "" if self.rule.headers else GONE
        side._body_sealed = "" if self.rule.body or self.rule.replace else GONE

    @property
    def is_request(self) -> bool:
        """Whether it is a part of the request."""
        return self.phase.direction is Direction.REQUEST
