"""`Traffic`: the HTTP messages behind a captured exchange, as far as the capture holds them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from extproc.envoy.model import HttpMessage
from extproc.phases import Direction, Part, Phase

if TYPE_CHECKING:
    from extproc.messages import Message, Protocol
    from extproc.replay.capture import CapturedExchange

__all__ = ["Traffic", "traffic_of"]

_NOT_CAPTURED = (b"",)
"""A body that there was but nobody asked for: where nobody asks for it now, it makes no difference."""


@dataclass(frozen=True, slots=True)
class Traffic:
    """One request, and the upstream's response to it.

    Attributes:
        request: as it came to the filter; empty when Envoy answered it before.
        response: as the upstream sent it; None when nobody knows.
        unknown: the bodies that there were but that the capture does not hold.
        protocol: how Envoy sent bodies, if it said so.
        asked: what Envoy asked about, in order.
    """

    request: HttpMessage
    response: HttpMessage | None
    unknown: frozenset[Phase]
    protocol: Protocol | None
    asked: tuple[Phase, ...]

    @property
    def has_request(self) -> bool:
        """Whether Envoy asked about the request at all; it does not when it answers a broken one itself."""
        return any(phase.direction is Direction.REQUEST for phase in self.asked)


def traffic_of(exchange: CapturedExchange) -> Traffic:
    """The HTTP messages of an exchange."""
    messages = [item.message for item in exchange.messages]
    unknown: set[Phase] = set()
    request = _half(messages, Direction.REQUEST, unknown)
    return Traffic(
        request=request or HttpMessage([]),
        response=_half(messages, Direction.RESPONSE, unknown),
        unknown=frozenset(unknown),
        protocol=next((message.protocol for message in messages if message.protocol is not None), None),
        asked=tuple(message.phase for message in messages),
    )


def _half(messages: list[Message], direction: Direction, unknown: set[Phase]) -> HttpMessage | None:
    own = [message for message in messages if message.phase.direction is direction]
    if not own:
        return None
    headers = next((message for message in own if message.phase.part is Part.HEADERS), None)
    trailers = next((message.headers for message in own if message.phase.part is Part.TRAILERS), None)
    chunks = tuple(message.body for message in own if message.phase.part is Part.BODY)
    bodiless = headers is not None and headers.end_of_stream
    if not chunks and not bodiless:
        unknown.add(Phase.REQUEST_BODY if direction is Direction.REQUEST else Phase.RESPONSE_BODY)
        chunks = _NOT_CAPTURED
    return HttpMessage(headers.headers if headers else [], chunks, trailers)
