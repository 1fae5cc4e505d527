"""`Half`: one direction of an exchange, its message as it stands and what Envoy asks about it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from extproc.envoy.model.fields import Fields, Kind
from extproc.envoy.model.values import HttpMessage
from extproc.phases import BodyMode, Direction, Part, Phase

if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any

    from extproc.envoy.model.config import ExtProcConfig
    from extproc.envoy.model.values import Context

__all__ = ["Half"]

_KINDS = {
    Direction.REQUEST: (Kind.REQUEST, Kind.REQUEST_TRAILERS),
    Direction.RESPONSE: (Kind.RESPONSE, Kind.RESPONSE_TRAILERS),
}
_PHASES = {(phase.direction, phase.part): phase for phase in Phase}


class Half:
    """A request or a response while Envoy holds it.

    Attributes:
        direction: which of the two.
        headers: as they stand.
        chunks: the body as it stands.
        trailers: as they stand; None when there are none.
        ends_with_headers: nothing followed the headers when they came.
        asks_headers: the processor is asked about the headers.
        asks_trailers: the processor is asked about trailers.
        body_mode: how it is asked about the body.
        limits: how many headers there may be, and how large.
        attributes: what it is told with the first message of this direction; then nothing any more.
        told: it has been told of the headers, so they are held until the body is answered.
    """

    def __init__(self, direction: Direction, message: HttpMessage, config: ExtProcConfig, context: Context) -> None:
        """Takes a copy of a message's headers and trailers."""
        mode, request = config.mode, direction is Direction.REQUEST
        kind, trailers_kind = _KINDS[direction]
        self.direction = direction
        self.headers = Fields(kind, message.headers)
        self.chunks = message.chunks
        self.trailers = None if message.trailers is None else Fields(trailers_kind, message.trailers)
        self.ends_with_headers = message.ends_with_headers
        self.asks_headers = mode.request_headers if request else mode.response_headers
        self.asks_trailers = mode.request_trailers if request else mode.response_trailers
        self.body_mode = mode.request_body if request else mode.response_body
        self.limits = config.request_limits if request else config.response_limits
        self.attributes: Mapping[str, Any] = context.request_attributes if request else context.response_attributes
        self.told = False

    def phase(self, part: Part) -> Phase:
        """The phase of a part of this direction."""
        return _PHASES[self.direction, part]

    @property
    def body(self) -> bytes:
        """The whole body."""
        return b"".join(self.chunks)

    @property
    def has_data(self) -> bool:
        """Whether Envoy sees a body: bytes, or an empty end. Before trailers, no bytes are nothing at all."""
        return any(self.chunks) or (bool(self.chunks) and self.trailers is None)

    @property
    def held(self) -> bool:
        """Whether the body is collected before anything goes on."""
        return self.body_mode is BodyMode.BUFFERED

    def message(self) -> HttpMessage:
        """All of it, as it stands."""
        return HttpMessage(self.headers.items, self.chunks, None if self.trailers is None else self.trailers.items)

    def gone(self) -> HttpMessage | None:
        """What has left already: headers that the processor is not asked about, and a body that is not held.

        What remains is a reset. (Envoy 1.40 even crashes when it is the processor's body that turns out to be too large
        then: never hold a response body whose headers the processor is not asked about.)
        """
        if self.asks_headers:
            return None
        return HttpMessage(self.headers.items, (b"",) if self.held else self.chunks)
