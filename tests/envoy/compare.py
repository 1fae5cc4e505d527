"""Where two Envoys differ about an exchange."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import fields, replace
from itertools import zip_longest

from extproc.messages import Message, RawHeaders
from tests.envoy.observed import Moment, Observed
from tests.envoy.received import RESET, Received

__all__ = ["differences"]

_ADDED_BY_ENVOY = ("date", "connection")
"""What the HTTP connection manager adds to a response: the date, and that it closes where a request has not ended."""

_LONG = 1000


def differences(expected: Observed, seen: Observed) -> list[str]:
    """One line for each thing that is not the same; nothing if all is."""
    return list(_differences(expected, seen))


def _differences(expected: Observed, seen: Observed) -> Iterator[str]:
    for index, (one, other) in enumerate(zip_longest(expected.moments, seen.moments)):
        if one is None or other is None or one.move != other.move:
            yield f"move {index}: {_move(one)} in the model, {_move(other)} in Envoy"
            return
        for line in _in_moment(one, other):
            yield f"move {index}, {one.move}: {line}"
    for name in ("details", "counters", "counters_second", "metadata", "calls"):
        yield from _unlike(name, getattr(expected, name), getattr(seen, name))
    if any(moment.upstream for moment in expected.moments):
        yield from _unlike("cluster", expected.cluster, seen.cluster)


def _in_moment(expected: Moment, seen: Moment) -> Iterator[str]:
    yield from _in_heard("heard", expected.heard, seen.heard)
    yield from _in_heard("the second heard", expected.heard_second, seen.heard_second)
    yield from _in_message("client", expected.client, _without_envoys_own(seen.client, expected.client))
    yield from _in_message("upstream", expected.upstream, seen.upstream)
    yield from _unlike("hung up", expected.hung_up, seen.hung_up)
    yield from _unlike("hung up on the second", expected.hung_up_second, seen.hung_up_second)


def _in_heard(who: str, expected: list[Message], seen: list[Message]) -> Iterator[str]:
    for index, (one, other) in enumerate(zip_longest(expected, seen)):
        yield from _unlike(f"{who} {index}", one, other)


def _in_message(who: str, expected: Received | None, seen: Received | None) -> Iterator[str]:
    if expected is None or seen is None:
        if RESET in (expected and expected.state, seen and seen.state):
            return  # begun and broken off in one move, it need not have reached anybody
        yield from _unlike(who, expected, seen)
        return
    for field in fields(Received):
        yield from _unlike(f"{who} {field.name}", getattr(expected, field.name), getattr(seen, field.name))


def _unlike(what: str, expected: object, seen: object) -> Iterator[str]:
    if expected != seen:
        yield f"{what}: {_shown(expected)} in the model, {_shown(seen)} in Envoy"


def _without_envoys_own(seen: Received, expected: Received) -> Received:
    if seen.headers is None:
        return seen
    names = {name for name, _ in expected.headers or []}
    kept: RawHeaders = [item for item in seen.headers if item[0] not in _ADDED_BY_ENVOY or item[0] in names]
    return replace(seen, headers=kept)


def _shown(value: object) -> str:
    text = repr(value)
    return text if len(text) <= _LONG else f"{text[:_LONG]}…"


def _move(moment: Moment | None) -> str:
    return "nothing" if moment is None else moment.move
