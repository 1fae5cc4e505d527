"""What goes into the model and what comes out of it."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, TypeAlias

from extproc.messages import Continue, Immediate, Output

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from extproc.envoy.model.processing_mode import ModeOverride
    from extproc.messages import Message, RawHeaders

__all__ = [
    "Ask",
    "Close",
    "Context",
    "Deed",
    "Forward",
    "HttpMessage",
    "Later",
    "Lost",
    "Outcome",
    "Replies",
    "Reply",
    "Resumed",
    "Said",
    "Step",
    "Streamed",
    "StreamedBody",
    "StreamedHeaders",
    "StreamedTrailers",
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
class Lost:
    """The connection to the processor is gone: it has been killed."""

    refused: bool = False
    """There was nobody to connect to in the first place."""


@dataclass(frozen=True, slots=True)
class Unhandled:
    """A ``ProcessingResponse`` with no answer in it that Envoy knows."""


@dataclass(frozen=True, slots=True)
class StreamedHeaders:
    """The first piece of a streamed immediate response: its headers, ``:status`` among them."""

    headers: RawHeaders
    end_of_stream: bool = False


@dataclass(frozen=True, slots=True)
class StreamedBody:
    """A piece of the body of a streamed immediate response."""

    body: bytes
    end_of_stream: bool = False


@dataclass(frozen=True, slots=True)
class StreamedTrailers:
    """The last piece of a streamed immediate response."""

    trailers: RawHeaders


Streamed: TypeAlias = StreamedHeaders | StreamedBody | StreamedTrailers
"""A piece of a streamed immediate response."""


@dataclass(frozen=True, slots=True)
class Said:
    """A ``ProcessingResponse`` with what only a processor of its own mind puts there."""

    answer: Continue | Immediate | Streamed | None = None
    """None: no answer in it, or none that Envoy knows."""
    streamed: bool = False
    """The body of `answer` is a ``streamed_response``, a piece of the new body."""
    end_of_stream: bool = False
    """It is the last piece, and no trailers follow."""
    end_of_stream_without_message: bool = False
    """GRPC: the end, and no gRPC message, not even an empty one."""
    mode_override: ModeOverride | None = None
    timeout_override: float | None = None
    """``override_message_timeout``, in seconds."""
    typed_metadata: Mapping[str, Any] = field(default_factory=dict[str, Any])
    """``typed_dynamic_metadata``: anything, by namespace."""
    drain_requests: bool = False
    """``request_drain_requests``."""
    drain_responses: bool = False
    """``request_drain_responses``."""
    window_update: tuple[int, int] | None = None
    """``server_window_update``: bytes added downstream to sidestream, and upstream to sidestream."""


Deed: TypeAlias = Output | Close | Lost | Unhandled | Said
"""One thing that a processor does: ours, or one of its own mind, which may do what is not legal."""


@dataclass(frozen=True, slots=True)
class Later:
    """What a processor does some time after the thing before it, or after the message that it answers."""

    seconds: float
    deed: Deed


Reply: TypeAlias = Deed | Later
"""One thing that a processor does, at once or later."""

Replies: TypeAlias = "Reply | Sequence[Reply] | None"
"""All that a processor does in answer to one message: one reply, several, or nothing yet."""


@dataclass(frozen=True, slots=True)
class Ask:
    """Envoy sends a message and waits: resume with what the processor does."""

    message: Message
    filter: int = 0
    """Whose processor is told, where there are several filters in a row."""


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
    metadata: Mapping[str, Mapping[str, Any]] = field(default_factory=dict[str, "Mapping[str, Any]"])
    """Dynamic metadata by namespace, with what the processor has put there."""
    reset: bool = False
    """The response broke off: `client` is what had gone out by then."""
