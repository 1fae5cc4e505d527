"""Drives a chain as Envoy would, and says what came of it."""

from __future__ import annotations

from collections.abc import Coroutine, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeVar

from extproc import Chain, Filter, Phase
from extproc.machine import ExchangeMachine
from extproc.messages import Answer, Continue, HeaderEdit, Immediate, Message, RawHeaders

T = TypeVar("T")
Pairs = Sequence[tuple[str, str | bytes]]

START = 1_700_000_000.0


@dataclass
class FakeClock:
    """Time stands still until a test moves it."""

    now: float = START

    def time(self) -> float:
        return self.now

    def monotonic(self) -> float:
        return self.now


@dataclass
class Outcome:
    """What upstream and client would have seen."""

    request: RawHeaders | None
    """What went upstream; None when a filter answered."""
    response: RawHeaders
    immediate: Immediate | None = None
    route_cleared: bool = False
    answers: list[Answer | None] = field(default_factory=list[Answer | None])

    @property
    def status(self) -> int:
        return self.immediate.status if self.immediate else int(one(self.response, ":status"))

    @property
    def details(self) -> str:
        return self.immediate.details if self.immediate else ""

    def sent(self, name: str) -> list[str]:
        """Occurrences of a header in what went upstream."""
        assert self.request is not None, f"answered by the filter: {self.immediate}"
        return values(self.request, name)

    def got(self, name: str) -> list[str]:
        """Occurrences of a header in what the client got."""
        return values(self.response, name)


def finished(coroutine: Coroutine[Any, Any, T]) -> T:
    """The result of a coroutine that must not suspend: none of the filters' hooks waits for anything."""
    try:
        coroutine.send(None)
    except StopIteration as stop:
        result: T = stop.value
        return result
    raise AssertionError("a hook suspended")


def started(*filters: Filter) -> Chain:
    """A chain, ready for exchanges."""
    chain = Chain(filters)
    finished(chain.start())
    return chain


def exchange(
    chain: Chain,
    headers: Pairs = (),
    *,
    method: str = "GET",
    target: str | bytes = "/",
    host: str = "api.example",
    response: Pairs = (),
    attributes: Mapping[str, Any] | None = None,
    clock: FakeClock | None = None,
    exchange_id: str = "exchange-1",
) -> Outcome:
    """One exchange: Envoy sends only the phases that the chain asked for, and applies what it is told."""
    machine = ExchangeMachine(chain, exchange_id, clock=clock or FakeClock())
    pseudo: Pairs = [(":method", method), (":scheme", "http"), (":authority", host), (":path", target)]
    sent = raw([*pseudo, *headers])
    outcome = Outcome(sent, raw([(":status", "200"), *response]))
    if Phase.REQUEST_HEADERS in chain.needs.phases:
        message = Message(Phase.REQUEST_HEADERS, sent, end_of_stream=True, attributes=attributes or {})
        outcome.request = _answered(machine, message, outcome, sent)
    if outcome.immediate is None and Phase.RESPONSE_HEADERS in chain.needs.phases:
        message = Message(Phase.RESPONSE_HEADERS, outcome.response, end_of_stream=True, attributes=attributes or {})
        outcome.response = _answered(machine, message, outcome, outcome.response) or outcome.response
    finished(machine.close())
    return outcome


def _answered(machine: ExchangeMachine, message: Message, outcome: Outcome, before: RawHeaders) -> RawHeaders | None:
    answer = finished(machine.receive(message))
    outcome.answers.append(answer)
    if isinstance(answer, Immediate):
        outcome.immediate = answer
        outcome.response = applied([(":status", b"%d" % answer.status)], answer.set_headers)
        return None
    assert isinstance(answer, Continue), answer
    outcome.route_cleared = outcome.route_cleared or answer.clear_route_cache
    return applied(before, answer.set_headers, answer.remove_headers)


def applied(headers: RawHeaders, edits: Sequence[HeaderEdit], removals: Sequence[str] = ()) -> RawHeaders:
    """Envoy's rule: removals first; an edit overwrites unless it says append."""
    result = [item for item in headers if item[0] not in removals]
    for edit in edits:
        if not edit.append:
            result = [item for item in result if item[0] != edit.name]
        result.append((edit.name, edit.value))
    return result


def raw(pairs: Pairs) -> RawHeaders:
    return [(name, value.encode() if isinstance(value, str) else value) for name, value in pairs]


def values(headers: RawHeaders, name: str) -> list[str]:
    return [value.decode("utf-8", "surrogateescape") for item, value in headers if item == name]


def one(headers: RawHeaders, name: str) -> str:
    found = values(headers, name)
    assert len(found) == 1, found
    return found[0]
