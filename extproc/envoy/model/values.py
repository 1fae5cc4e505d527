"""What goes into the model and what comes out of it."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, TypeAlias

from extproc.messages import Abort, Continue, Immediate

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from extproc.messages import Message, RawHeaders

__all__ = [
    "Ask",
    "Close",
    "Context",
    "Forward",
    "HttpMessage",
    "Outcome",
    "Replies",
    "Reply",
    "Resumed",
    "Step",
    "Unhandled",
]


@dataclass(frozen=True, slots=True)
class HttpMessage:
    """A request or a response, as it is at the ext_proc filter: names in lower case, pseudo-headers included."""

    headers: RawHeaders
    chunks: tuple[bytes, ...] = ()
    """The body in the pieces in which it comes.

    None at all: there is none, as in a GET or with ``content-length: 0``. One empty piece: a body that turns out to be
    empty, as in a chunked POST.
    """
    trailers: RawHeaders | None = None

    @property
    def body(self) -> bytes:
        """The whole body."""
        return b"".join(self.chunks)

    @property
    def ends_with_headers(self) -> bool:
        """Neither body nor trailers follow the headers."""
        return not self.chunks and self.trailers is None

    def get(self, name: str) -> bytes | None:
        """The first value of a header; None when there is none."""
        return next((value for item, value in self.headers if item == name), None)


@dataclass(frozen=True, slots=True)
class Context:
    """What Envoy knows beside the HTTP messages, and tells the processor."""

    request_attributes: Mapping[str, Any] = field(default_factory=dict[str, Any])
    """Sent with the first message about the request."""
    response_attributes: Mapping[str, Any] = field(default_factory=dict[str, Any])
    """Sent with the first message about the response."""
    metadata: Mapping[str, Mapping[str, Any]] = field(default_factory=dict[str, "Mapping[str, Any]"])
    """Dynamic metadata by namespace, sent with every message."""


@dataclass(frozen=True, slots=True)
class Close:
    """The processor ends the stream with status OK: Envoy lets the rest of the exchange pass unprocessed."""


@dataclass(frozen=True, slots=True)
class Unhandled:
    """A ``ProcessingResponse`` with no answer in it that Envoy knows."""


Reply: TypeAlias = Continue | Immediate | Abort | Close | Unhandled
"""One thing that a processor does, legal or not."""

Replies: TypeAlias = "Reply | Sequence[Reply] | None"
"""All that a processor does in answer to one message: one reply, several (which is illegal), or nothing ever."""


@dataclass(frozen=True, slots=True)
class Ask:
    """Envoy sends a message and waits: resume with what the processor does."""

    message: Message


@dataclass(frozen=True, slots=True)
class Forward:
    """The request goes upstream: resume with the upstream's response, or None when nobody knows it."""

    request: HttpMessage


Step: TypeAlias = Ask | Forward
"""Where an exchange waits for its surroundings."""

Resumed: TypeAlias = "Replies | HttpMessage"
"""What a step is resumed with: `Ask` with replies, `Forward` with a response."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """What came of an exchange."""

    upstream: HttpMessage | None
    """The request that the upstream received whole; None: it received none."""
    client: HttpMessage | None
    """The response that the client received; None: unknown, because the upstream's is."""
    details: str
    """``%RESPONSE_CODE_DETAILS%``; empty when `client` is unknown, or when an immediate response gave none."""
    counters: dict[str, int] = field(default_factory=dict[str, int])
    """Envoy's ext_proc counters that moved, by their name without prefixes, such as ``streams_started``."""
    route_cleared: bool = False
    """The route is chosen anew, by the request as the processor left it."""
    reset: bool = False
    """The response broke off: `client` is what had gone out by then."""
