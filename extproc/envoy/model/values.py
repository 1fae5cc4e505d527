"""What goes into the model and what comes out of it."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, TypeAlias

from extproc.messages import Abort, Continue, Immediate

if TYPE_CHECKING:
    from extproc.messages import RawHeaders

__all__ = ["Close", "HttpMessage", "Outcome", "Reply", "Unhandled"]


@dataclass(frozen=True, slots=True)
class HttpMessage:
    """A request or a response, as it is at the ext_proc filter: names in lower case, pseudo-headers included."""

    headers: RawHeaders
    chunks: tuple[bytes, ...] = ()
    """The body in the pieces in which it comes.

    None at all: the headers end the message (a GET, ``content-length: 0``). One empty piece: a body that turns out to
    be empty, as in a chunked POST.
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


@dataclass(frozen=True, slots=True)
class Close:
    """The processor ends the stream with status OK: Envoy lets the rest of the exchange pass unprocessed."""


@dataclass(frozen=True, slots=True)
class Unhandled:
    """A ``ProcessingResponse`` with no answer in it."""


Reply: TypeAlias = Continue | Immediate | Abort | Close | Unhandled
"""Anything a processor can do in answer to a message, legal or not; saying nothing is None."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """What came of an exchange."""

    upstream: HttpMessage | None
    """The request that the upstream received whole; None: it received none."""
    client: HttpMessage | None
    """The response that the client received; None: unknown, because the upstream's answer is."""
    details: str
    """``%RESPONSE_CODE_DETAILS%``."""
    counters: dict[str, int] = field(default_factory=dict[str, int])
    """Envoy's ext_proc counters that moved, by their name without a prefix, such as ``streams_started``."""
    route_cleared: bool = False
    """The route was looked up anew, for the request as the processor left it."""
    reset: bool = False
    """The response broke off: `client` is what had gone out by then."""
