"""What differs between two outcomes of an exchange, and which filter made the difference."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from typing import TYPE_CHECKING, Literal, TypeAlias

from extproc.phases import Direction, Part

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from extproc.envoy.model import Outcome
    from extproc.messages import RawHeaders
    from extproc.replay.runner import Replayed
    from extproc.trace import Change, Event

__all__ = ["Comparison", "Difference", "Verdict", "compare"]

Side: TypeAlias = Literal["decision", "request", "response", "filter"]
"""Where a difference is: in what was decided, in the request that the upstream gets, in the response that the client
gets, or in how a filter fared although it made no difference to either."""

_Half: TypeAlias = Literal["request", "response"]

_FRAMING = ("content-length", "transfer-encoding")
"""Headers that follow from the body."""


class Verdict(Enum):
    """What came of comparing an exchange."""

    SAME = "same"
    DIFFERENT = "different"
    NOT_CAPTURED = "not captured"
    """The capture does not hold what the chain asks for, so nobody can tell."""
    INCOMPLETE = "incomplete"
    """The recording itself has no outcome: the client went away, for one."""


@dataclass(frozen=True, slots=True)
class Difference:
    """One thing that differs.

    Attributes:
        side: where.
        what: a header name, ``body``, ``trailer NAME``; empty for a decision.
        before: the values then, one each occurrence; empty: there was none.
        after: the values now.
        cause: the filter that made the difference; empty when it cannot be told.
    """

    side: Side
    what: str
    before: tuple[bytes, ...]
    after: tuple[bytes, ...]
    cause: str = ""


@dataclass(frozen=True, slots=True)
class Comparison:
    """One exchange, compared.

    Attributes:
        id: its id.
        request: its request line, such as ``GET /cart``.
        verdict: what came of it.
        differences: what differs.
        reason: why it could not be compared.
    """

    id: str
    request: str
    verdict: Verdict
    differences: tuple[Difference, ...] = ()
    reason: str = ""


def compare(replayed: Replayed, ignored: Iterable[str] = ()) -> Comparison:
    """Compares what came of an exchange then and now.

    Args:
        replayed: both.
        ignored: headers and trailers that may differ.
    """
    recorded = replayed.recorded
    line = _request_line(recorded.messages[0].message.headers)
    if replayed.before is None:
        return Comparison(recorded.id, line, Verdict.INCOMPLETE, reason=replayed.reason)
    if replayed.after is None:
        return Comparison(recorded.id, line, Verdict.NOT_CAPTURED, reason=replayed.reason)
    then, now = _Side(replayed.before, recorded.events), _Side(replayed.after, replayed.replayed.events)
    found = tuple(_differences(then, now, frozenset(name.lower() for name in ignored)))
    if found:
        return Comparison(recorded.id, line, Verdict.DIFFERENT, found)
    return Comparison(recorded.id, line, Verdict.NOT_CAPTURED if replayed.reason else Verdict.SAME, (), replayed.reason)


def _request_line(headers: RawHeaders) -> str:
    values = dict(headers)
    words = (values.get(":method", b""), values.get(":path", b""))
    return b" ".join(filter(None, words)).decode("utf-8", "replace") or "(no request)"


@dataclass(frozen=True, slots=True)
class _Side:
    outcome: Outcome
    events: tuple[Event, ...]

    @property
    def status(self) -> str:
        client = self.outcome.client
        return "" if client is None else (client.get(":status") or b"").decode()

    def decision(self) -> str:
        """What was decided: the request went on, or somebody answered it."""
        answered = self.answered_by()
        by = answered.filter if answered else f"Envoy ({self.outcome.details})"
        if self.outcome.upstream is None:
            return f"{self.status} by {by}"
        if answered is not None:
            return f"forwarded, then {self.status} by {by}"
        if self.outcome.reset:
            return "forwarded, then broken off"
        return "forwarded"

    def answered_by(self) -> Event | None:
        """The last filter that answered in the upstream's place, or whose failure did."""
        return next((event for event in reversed(self.events) if event.action in ("respond", "deny")), None)

    def skipped(self) -> dict[str, str]:
        return {f"{event.filter} in {event.phase.value}": event.note for event in self.events if event.action == "skip"}


def _differences(then: _Side, now: _Side, ignored: frozenset[str]) -> Iterator[Difference]:
    before, after = then.decision(), now.decision()
    if before != after:
        answered = now.answered_by() or then.answered_by()
        yield Difference("decision", "", (before.encode(),), (after.encode(),), answered.filter if answered else "")
    else:
        yield from _of_messages("request", then, now, ignored)
        yield from _of_route(then, now)
        yield from _of_messages("response", then, now, ignored)
        yield from _of_details(then, now)
    yield from _of_failures(then, now)


def _of_route(then: _Side, now: _Side) -> Iterator[Difference]:
    """Whether Envoy chooses the route again, by the request as it is then."""
    if then.outcome.route_cleared != now.outcome.route_cleared:
        before, after = (b"chosen anew" if side.outcome.route_cleared else b"kept" for side in (then, now))
        yield Difference("request", "route", (before,), (after,))


def _of_details(then: _Side, now: _Side) -> Iterator[Difference]:
    """What Envoy's access log says about a response that is not the upstream's."""
    answered = now.answered_by()
    if answered and then.outcome.details != now.outcome.details:
        before, after = then.outcome.details.encode(), now.outcome.details.encode()
        yield Difference("response", "details", (before,), (after,), answered.filter)


def _of_failures(then: _Side, now: _Side) -> Iterator[Difference]:
    """Filters that failed and were left out: what came of it may be the same by chance."""
    before, after = then.skipped(), now.skipped()
    for what in sorted(before.keys() ^ after.keys()):
        old, new = before.get(what), after.get(what)
        yield Difference(
            "filter",
            what,
            (b"worked" if old is None else b"failed: " + old.encode(),),
            (b"worked" if new is None else b"failed: " + new.encode(),),
            what.partition(" ")[0],
        )


def _of_messages(side: _Half, then: _Side, now: _Side, ignored: frozenset[str]) -> Iterator[Difference]:
    old, new = (part.outcome.upstream if side == "request" else part.outcome.client for part in (then, now))
    if old is None or new is None:
        return
    blame = _Blame(side, then, now)
    for name, before, after in _of_headers(old.headers, new.headers, ignored):
        yield Difference(side, name, before, after, blame.for_header(name))
    if old.body != new.body:
        yield Difference(side, "body", (old.body,), (new.body,), blame.for_header("body"))
    for name, before, after in _of_headers(old.trailers or [], new.trailers or [], ignored):
        yield Difference(side, f"trailer {name}", before, after, blame.for_trailer(name))


def _of_headers(
    old: RawHeaders, new: RawHeaders, ignored: frozenset[str]
) -> Iterator[tuple[str, tuple[bytes, ...], tuple[bytes, ...]]]:
    for name in dict.fromkeys(name for name, _ in [*old, *new]):
        before = tuple(value for item, value in old if item == name)
        after = tuple(value for item, value in new if item == name)
        if before != after and name not in ignored:
            yield name, before, after


_Changes: TypeAlias = "dict[str, list[Change]]"


class _Blame:
    """Finds the filter behind a difference, from what each filter changed then and now."""

    def __init__(self, side: _Half, then: _Side, now: _Side) -> None:
        self._direction = Direction(side)
        self._then = then
        self._now = now

    def for_header(self, name: str) -> str:
        """The filter behind a difference in a header or the body."""
        if cause := self._root(name, trailers=False):
            return cause
        if name in _FRAMING:
            return self._root("body", trailers=False) or self._answerer()
        return self._answerer()

    def for_trailer(self, name: str) -> str:
        """The filter behind a difference in a trailer."""
        return self._root(name, trailers=True)

    def _root(self, what: str, *, trailers: bool) -> str:
        """The first filter that did something else with the same, or did it only once; others but followed."""
        old, new = (self._changes(side.events, what, trailers=trailers) for side in (self._then, self._now))
        changed = [name for name in old | new if old.get(name) != new.get(name)]
        roots = [name for name in changed if _is_root(old.get(name), new.get(name))]
        return next(iter(roots or changed), "")

    def _changes(self, events: tuple[Event, ...], what: str, *, trailers: bool) -> _Changes:
        found: _Changes = {}
        for event in events:
            if event.phase.direction is self._direction and (event.phase.part is Part.TRAILERS) is trailers:
                for change in event.changes:
                    if change.what == what:
                        found.setdefault(event.filter, []).append(change)
        return found

    def _answerer(self) -> str:
        """Whoever answered in the upstream's place made all of its response."""
        answered = self._now.answered_by() if self._direction is Direction.RESPONSE else None
        return answered.filter if answered else ""


def _is_root(old: list[Change] | None, new: list[Change] | None) -> bool:
    return old is None or new is None or old[0].before == new[0].before
