"""The one table of the protocol: which answers each phase admits, by body mode.

Theory of operation
-------------------
Envoy opens one gRPC stream per HTTP exchange and tells us about it in *messages*, one per phase; every message wants
exactly one *answer* of the same phase. The two directions are independent: a response may start while the request body
is still under way, and a reply made by Envoy itself shows up as response phases with no request phase before them.
Within a direction the order is fixed: headers, then body, then trailers; each of them may be missing.

What an answer may contain depends on what Envoy still holds back. In ``BUFFERED`` mode it holds the headers until the
body is answered, so a body answer may still edit headers; in ``STREAMED`` mode they may already have left, so it may
not. An immediate response is possible as long as no byte of a response has reached the client.

Every rule of that kind stands in `RULES`, and nowhere else.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum, IntEnum

__all__ = ["RULES", "BodyMode", "Direction", "Part", "Phase", "Rule", "can_follow"]


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
    """An immediate response still reaches the client whole."""


_HEADERS = Rule(headers=True, body=False, replace=True, immediate=True)
_REQUEST_TRAILERS = Rule(headers=True, body=False, replace=False, immediate=True)
_RESPONSE_TRAILERS = Rule(headers=True, body=False, replace=False, immediate=False)
_HELD_BODY = Rule(headers=True, body=True, replace=False, immediate=True)
_REQUEST_CHUNK = Rule(headers=False, body=True, replace=False, immediate=True)
_RESPONSE_CHUNK = Rule(headers=False, body=True, replace=False, immediate=False)

_HOLDING = (BodyMode.BUFFERED, BodyMode.BUFFERED_PARTIAL)


def _rule(phase: Phase, mode: BodyMode) -> Rule:
    if phase.part is Part.HEADERS:
        return _HEADERS
    if phase.part is Part.TRAILERS:
        return _REQUEST_TRAILERS if phase.direction is Direction.REQUEST else _RESPONSE_TRAILERS
    if mode in _HOLDING:
        return _HELD_BODY
    return _REQUEST_CHUNK if phase.direction is Direction.REQUEST else _RESPONSE_CHUNK


RULES: dict[tuple[Phase, BodyMode], Rule] = {(phase, mode): _rule(phase, mode) for phase in Phase for mode in BodyMode}
"""The rule for a phase, by the body mode of its direction."""


def can_follow(last: Phase | None, phase: Phase, mode: BodyMode) -> bool:
    """Whether `phase` may come when `last` was the latest phase seen of the same direction.

    Only a body may repeat, and only in a mode that sends it in pieces. `last` is None when the direction has not begun.
    """
    if last is None:
        return True
    return phase.part > last.part or (phase is last and phase.part is Part.BODY and mode not in _HOLDING)
