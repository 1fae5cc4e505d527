"""The one table of the protocol: which answers each phase admits, by body mode.

Theory of operation
-------------------
Envoy opens one gRPC stream per HTTP exchange and tells us about it in *messages*, one per phase; every message wants
exactly one *answer* of the same phase. The two directions are independent: a response may start while the request body
is still under way, and a reply made by Envoy itself shows up as response phases with no request phase before them.
Within a direction the order is fixed: headers, then body, then trailers; each of them may be missing.

What an answer may contain depends on what Envoy still holds back. In ``BUFFERED`` mode it holds the headers until the
body is answered, so a body answer may still edit headers; in ``STREAMED`` mode they may already have left, so it may
not. An immediate response is possible as long as no byte of a response has reached the client; later, Envoy breaks that
response off.

How a body travels is another table, `FLOWS`. Envoy either waits for the answer to each message of a body, and puts the
answer in the message's place; or it hands the body over to us (``FULL_DUPLEX_STREAMED``), sends what comes without
waiting, and takes what we send in its place, in pieces of our own. Then it does not wait for the answer to the headers
either, and so that answer can wait for the body: filters that want it whole decide as if it had been buffered, and
Envoy's timer does not run.

Mode ``GRPC`` is in Envoy's interface and not in Envoy 1.40: a body that comes later than the answer to its headers goes
by without a question, and one that is there already comes as if it were buffered. So no filter can count on it.

Every rule of that kind stands in `RULES` and `FLOWS`, and nowhere else.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum, IntEnum

__all__ = ["FLOWS", "REPLY_IN_PIECES", "RULES", "BodyMode", "Direction", "Flow", "Part", "Phase", "Rule", "can_follow"]


class Direction(Enum):
    """Which half of an exchange a phase belongs to."""

    REQUEST = "request"
    RESPONSE = "response"

    __hash__ = object.__hash__  # members are singletons; Enum's own hash runs Python code, on the hot path


class Part(IntEnum):
    """What a phase carries, in the order in which a direction sends them."""

    HEADERS = 0
    BODY = 1
    TRAILERS = 2


class Phase(Enum):
    """A step of an exchange about which Envoy asks the processor."""

    REQUEST_HEADERS = "request_headers"
    REQUEST_BODY = "request_body"
    REQUEST_TRAILERS = "request_trailers"
    RESPONSE_HEADERS = "response_headers"
    RESPONSE_BODY = "response_body"
    RESPONSE_TRAILERS = "response_trailers"

    __hash__ = object.__hash__

    def __init__(self, label: str) -> None:
        half, _, tail = label.partition("_")
        self.direction = Direction(half)
        """The half of the exchange this phase belongs to."""
        self.part = Part[tail.upper()]
        """What this phase carries."""


class BodyMode(IntEnum):
    """How Envoy sends a body; numbered as ``ProcessingMode.BodySendMode`` is on the wire."""

    NONE = 0
    STREAMED = 1
    BUFFERED = 2
    BUFFERED_PARTIAL = 3
    FULL_DUPLEX_STREAMED = 4
    GRPC = 5


@dataclass(frozen=True, slots=True)
class Rule:
    """What an answer to one phase may contain so that Envoy applies all of it."""

    headers: bool
    """Header edits (or trailer edits, in a trailers phase) take effect."""

    body: bool
    """The body may be replaced in this answer."""

    replace: bool
    """The answer may be CONTINUE_AND_REPLACE: it carries the whole body, and no body phase follows."""

    immediate: bool
    """An immediate response still reaches the client whole; or, where a body comes in pieces and its headers may or may
    not have left, Envoy breaks the response off that is under way: nothing that was refused gets out."""


_HEADERS = Rule(headers=True, body=False, replace=True, immediate=True)
_REQUEST_TRAILERS = Rule(headers=True, body=False, replace=False, immediate=True)
_RESPONSE_TRAILERS = Rule(headers=True, body=False, replace=False, immediate=False)
_HELD_BODY = Rule(headers=True, body=True, replace=False, immediate=True)
_CHUNK = Rule(headers=False, body=True, replace=False, immediate=True)

_HOLDING = (BodyMode.BUFFERED, BodyMode.BUFFERED_PARTIAL)


def _rule(phase: Phase, mode: BodyMode) -> Rule:
    if phase.part is Part.HEADERS:
        return _HEADERS
    if phase.part is Part.TRAILERS:
        return _REQUEST_TRAILERS if phase.direction is Direction.REQUEST else _RESPONSE_TRAILERS
    if mode in _HOLDING:
        return _HELD_BODY
    return _CHUNK


RULES: dict[tuple[Phase, BodyMode], Rule] = {(phase, mode): _rule(phase, mode) for phase in Phase for mode in BodyMode}
"""The rule for a phase, by the body mode of its direction."""


@dataclass(frozen=True, slots=True)
class Flow:
    """How a body travels between Envoy and us."""

    sent: bool
    """All of the body comes, whatever comes of the headers, so that a filter can decide by it."""

    whole: bool = False
    """It comes in one message."""

    partial: bool = False
    """It comes in one message, which ends early when it is too large: Envoy lets the rest pass."""

    carried: bool = False
    """Envoy keeps nothing of it: what goes on is what we send, in pieces of our own, with an end of our own. It waits
    neither for an answer to a message nor for the one to the headers."""

    framed: bool = True
    """Envoy keeps content-length, and an answer has to keep it true."""


FLOWS: dict[BodyMode, Flow] = {
    BodyMode.NONE: Flow(sent=False),
    BodyMode.STREAMED: Flow(sent=True, framed=False),
    BodyMode.BUFFERED: Flow(sent=True, whole=True),
    BodyMode.BUFFERED_PARTIAL: Flow(sent=True, whole=True, partial=True),
    BodyMode.FULL_DUPLEX_STREAMED: Flow(sent=True, carried=True, framed=False),
    BodyMode.GRPC: Flow(sent=False),
}
"""How a body travels, by the body mode of its direction."""

REPLY_IN_PIECES = frozenset({BodyMode.NONE, BodyMode.FULL_DUPLEX_STREAMED})
"""Where both bodies travel so, an immediate response to request headers may come in pieces."""


def can_follow(last: Phase | None, phase: Phase, mode: BodyMode) -> bool:
    """Whether `phase` may come when `last` was the latest phase seen of the same direction.

    Only a body may repeat, and only in a mode that sends it in pieces. `last` is None when the direction has not begun.
    """
    if last is None:
        return True
    return phase.part > last.part or (phase is last and phase.part is Part.BODY and mode not in _HOLDING)
