"""`answer_at_once`: exchanges that are over with the answer to their first message, as most are.

What `ExchangeMachine` does for any exchange, this does in one go for those of a chain that wants nothing but request
headers, where Envoy shows us nothing else: it takes half the time. As soon as there is more to it (a hook has to be
waited for, a filter answers itself or brings a body), a machine goes on from there.
"""

from __future__ import annotations

# What filters see (exchange, http, headers) and the machine are one unit: their underscore means "not for filters".
# pyright: reportPrivateUsage=false
from inspect import iscoroutinefunction
from typing import TYPE_CHECKING

from extproc.answers import going_on
from extproc.exchange import Exchange
from extproc.hooks import advance
from extproc.http import Request
from extproc.lane import GONE, Stage
from extproc.machine import ExchangeMachine
from extproc.phases import RULES, BodyMode, Direction, Phase

if TYPE_CHECKING:
    from extproc.chain import Chain
    from extproc.messages import Continue, HeadersMessage
    from extproc.terms import Terms

__all__ = ["answer_at_once", "can_answer_at_once"]

_HEADERS = Phase.REQUEST_HEADERS
_NONE = BodyMode.NONE
_RULE = RULES[_HEADERS, _NONE]


def can_answer_at_once(chain: Chain, terms: Terms) -> bool:
    """Whether exchanges of a chain can be over with the answer to their first message, and usually are."""
    waits = any(step.link.offload == "thread" or iscoroutinefunction(step.hook) for step in chain.steps[_HEADERS])
    return chain.ends_with_request_headers and not (waits or terms.trace)


def answer_at_once(
    chain: Chain, terms: Terms, exchange_id: str, said: HeadersMessage, size: int
) -> Continue | ExchangeMachine | None:
    """Answers a stream's first message, if `can_answer_at_once` and no other follows.

    Args:
        chain: the filters; started by whoever owns it.
        terms: what all exchanges have in common.
        exchange_id: as the machine takes it.
        said: the message.
        size: bytes that it takes.

    Returns:
        The answer, after which the exchange is over; or a machine that has begun with the message, so that its `begin`
        gives the rest of it; or None: it is another kind of message, or more may follow, and nothing has happened.
    """
    phase, headers, by_name, end_of_stream, (attributes, metadata, typed, protocol, watched) = said
    if phase is not _HEADERS or watched or protocol is None:
        return None
    if protocol.request_body is not _NONE or protocol.response_body is not _NONE:
        return None
    exchange = Exchange(exchange_id, terms.clock)
    exchange._chain, exchange._off, exchange._limits = chain, chain.conditional, terms.by_direction
    if attributes or metadata or typed:
        exchange._note(attributes, metadata, typed)
    lane = exchange._lane
    lane.phase = lane.last = _HEADERS
    lane.now, lane.deadline = terms.times(chain.timeout)
    request = exchange._request = Request(headers, size, by_name)
    request._body = body = b"" if end_of_stream else None
    fields = request._headers
    stage = Stage(lane, _HEADERS, _RULE, request, fields, headers, body)
    queue = iter(chain.steps[_HEADERS])
    outcome = advance(exchange, stage, queue)
    if outcome is None and request._body is body:
        answer = going_on(stage, None)
        fields._sealed = request._body_sealed = GONE
        exchange.ended = "complete"
        for task in exchange._tasks or ():
            task.cancel()
        return answer
    machine = ExchangeMachine(chain, exchange_id, terms)
    machine.exchange, machine._lanes = exchange, {Direction.REQUEST: lane}
    machine.begun = machine._pending(machine._on_headers(stage, queue, outcome), lane)
    return machine
