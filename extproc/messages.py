"""What Envoy says and what we answer, without protobuf: the values that fronts, machine, model and captures share."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, TypeAlias

from extproc.values import quick

if TYPE_CHECKING:
    from collections.abc import Sequence

    from extproc.phases import BodyMode, Phase

__all__ = [
    "Abort",
    "Answer",
    "AnyBytes",
    "Beside",
    "ByName",
    "Continue",
    "HeaderEdit",
    "HeadersMessage",
    "Immediate",
    "Message",
    "ModeChange",
    "MoreTime",
    "Output",
    "Piece",
    "Protocol",
    "RawHeaders",
    "ReplyBody",
    "ReplyHeaders",
    "TypedValue",
    "the_answer",
]

AnyBytes: TypeAlias = bytes | bytearray | memoryview
"""Bytes, wherever they lie."""

RawHeaders: TypeAlias = list[tuple[str, bytes]]
"""Headers in wire order, duplicates and pseudo-headers included: lower-case name, raw value."""

ByName: TypeAlias = dict[str, bytes]
"""Headers by name: the last value of each."""

Namespaced: TypeAlias = Mapping[str, Mapping[str, Any]]
"""Dynamic metadata: JSON-like values by namespace."""


@dataclass(frozen=True, slots=True)
class TypedValue:
    """A protobuf message that we need not understand: ``google.protobuf.Any``."""

    type_url: str
    value: bytes


Typed: TypeAlias = Mapping[str, TypedValue]
"""Typed dynamic metadata by namespace."""


@dataclass(frozen=True, slots=True)
class Protocol:
    """How Envoy will send bodies: ``protocol_config`` of a stream's first message."""

    request_body: BodyMode
    response_body: BodyMode
    send_body_without_waiting: bool = False


Beside: TypeAlias = "tuple[Mapping[str, Any], Namespaced, Typed, Protocol | None, bool]"
"""What a message says beside its phase: attributes, metadata, typed metadata, body modes, observability mode."""

HeadersMessage: TypeAlias = "tuple[Phase, RawHeaders, ByName, bool, Beside]"
"""A `Message` of headers in parts: its phase, the headers, these by name (whoever takes them keeps and changes that),
whether they end the stream, what is said beside them."""


@quick
@dataclass(frozen=True, slots=True)
class Message:
    """One ``ProcessingRequest``: what Envoy says about one phase."""

    phase: Phase
    headers: RawHeaders = field(default_factory=list[tuple[str, bytes]])
    """The headers, or in a trailers phase the trailers."""
    body: bytes = b""
    end_of_stream: bool = False
    """Nothing of this direction follows."""
    attributes: Mapping[str, Any] = field(default_factory=dict[str, Any])
    metadata: Namespaced = field(default_factory=dict[str, Mapping[str, Any]])
    typed_metadata: Typed = field(default_factory=dict[str, TypedValue])
    protocol: Protocol | None = None
    observability: bool = False
    """Envoy neither waits for an answer nor reads one."""
    size: int = field(default=0, compare=False, repr=False)
    """Bytes that the message took on the wire, and so more than its headers take; 0 if nobody knows."""


@dataclass(frozen=True, slots=True)
class ModeChange:
    """``mode_override``: what Envoy is to ask about from now on. Whoever is not allowed to change modes is ignored.

    The body modes always count: there is no value that leaves one as it is.
    """

    request_body: BodyMode
    response_body: BodyMode
    skip_request_trailers: bool = False
    skip_response_headers: bool = False
    skip_response_trailers: bool = False


@quick
@dataclass(frozen=True, slots=True)
class HeaderEdit:
    """One ``set_headers`` entry.

    Only the deprecated ``append`` flag counts in Envoy's ext_proc (``append_action`` is ignored), so it is all we keep.
    """

    name: str
    value: bytes
    append: bool = False
    """Adds an occurrence instead of replacing those there are."""


@quick
@dataclass(frozen=True, slots=True)
class Continue:
    """Go on, with these changes."""

    phase: Phase
    set_headers: tuple[HeaderEdit, ...] = ()
    remove_headers: tuple[str, ...] = ()
    """Applied by Envoy before `set_headers`."""
    body: bytes | None = None
    """What takes the body's place; None leaves it."""
    replace: bool = False
    """CONTINUE_AND_REPLACE: `body` is the whole message body and no body phase follows."""
    clear_route_cache: bool = False
    metadata: Namespaced = field(default_factory=dict[str, Mapping[str, Any]])
    """Dynamic metadata for Envoy."""
    typed_metadata: Typed = field(default_factory=dict[str, TypedValue])
    mode: ModeChange | None = None
    """What Envoy need not ask about in the rest of the exchange."""
    encoded: list[bytes] = field(default_factory=list[bytes], compare=False, repr=False)
    """Room for the serialized answer: the same answer may go out many times."""


@quick
@dataclass(frozen=True, slots=True)
class Piece:
    """A piece of a body, in a mode that has us carry it: not the answer to a message, but the next that goes on."""

    phase: Phase
    body: bytes
    end_of_stream: bool = False
    """It is the last, and no trailers follow."""
    metadata: Namespaced = field(default_factory=dict[str, Mapping[str, Any]])
    typed_metadata: Typed = field(default_factory=dict[str, TypedValue])


@dataclass(frozen=True, slots=True)
class MoreTime:
    """Asks for more time to answer the message at hand; the answer itself follows."""

    seconds: float


@dataclass(frozen=True, slots=True)
class ReplyHeaders:
    """The beginning of an immediate response that comes in pieces, in answer to the request's headers."""

    headers: RawHeaders
    """``:status`` among them."""


@dataclass(frozen=True, slots=True)
class ReplyBody:
    """A piece of the body of such a response."""

    body: bytes
    end_of_stream: bool = False


@dataclass(frozen=True, slots=True)
class Immediate:
    """Send this response to the client and end the exchange."""

    status: int
    set_headers: tuple[HeaderEdit, ...] = ()
    body: bytes = b""
    details: str = ""
    """Shows up as ``%RESPONSE_CODE_DETAILS%``, with spaces turned into underscores."""
    grpc_status: int | None = None
    metadata: Namespaced = field(default_factory=dict[str, Mapping[str, Any]])
    typed_metadata: Typed = field(default_factory=dict[str, TypedValue])


@dataclass(frozen=True, slots=True)
class Abort:
    """End the stream with an error, so that Envoy's own failure mode decides.

    Never a clean end: Envoy takes that for "let everything through", whatever its failure mode says.
    """

    code: str
    """The name of a gRPC status code, such as ``INTERNAL``."""
    reason: str
    """A stable code for Envoy's access log, such as ``extproc.message_order``; never a filter's exception text."""


Answer: TypeAlias = Continue | Immediate | Abort
"""What answers one message."""

Output: TypeAlias = Answer | Piece | ReplyHeaders | ReplyBody | MoreTime
"""All that we may say to Envoy."""


def the_answer(outputs: Sequence[Output]) -> Answer | None:
    """What answers the message, of all that was said after it; None if nothing does, as while Envoy only watches."""
    return next((item for item in reversed(outputs) if isinstance(item, Continue | Immediate | Abort)), None)
