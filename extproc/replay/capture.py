"""What a capture holds: the values, free of any file.

A capture is one run of a processor: a header, then the exchanges in the order in which they ended, then a footer. On
disk each of them is a line of JSON (see `codec`); a capture without a footer was cut off.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from extproc.filter import Needs, OnError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from extproc.exchange import Ended
    from extproc.messages import Answer, Message
    from extproc.trace import Event

__all__ = [
    "FORMAT",
    "MIGRATIONS",
    "VERSION",
    "CapturedExchange",
    "CapturedMessage",
    "Footer",
    "Header",
    "Redaction",
]

FORMAT = "extproc-capture"
VERSION = 1
"""The version of the format that is written; readers take this one and, by `MIGRATIONS`, all before it."""

MIGRATIONS: Mapping[int, Callable[[dict[str, Any]], dict[str, Any]]] = {}
"""By version, what turns a line of that version into a line of the next. Version 1 is the first: nothing to do yet."""


@dataclass(frozen=True, slots=True)
class Redaction:
    """How the secrets of a capture were replaced.

    Attributes:
        key: the fingerprint of the key that made the pseudonyms; the key itself is never in a capture.
        headers: the secret headers that the chain named, beside those that are secret by their name.
    """

    key: str
    headers: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class Header:
    """The first line: what made the capture.

    Attributes:
        created: when, in Unix seconds.
        tool: the version of this SDK.
        filters: the chain's filters, in order: by name, the failure policy of each.
        needs: what the chain asked of Envoy, and so what the capture can hold.
        redaction: how secrets were replaced; None: they were not.
    """

    created: float
    tool: str
    filters: Mapping[str, OnError] = field(default_factory=dict[str, OnError])
    needs: Needs = field(default_factory=Needs)
    redaction: Redaction | None = None


@dataclass(frozen=True, slots=True)
class CapturedMessage:
    """One message, when it came, and the answer it got (None: none was sent)."""

    message: Message
    answer: Answer | None
    now: float
    """Unix seconds; exactly the `exchange.now` that the filters saw."""
    number: int = 0
    """Its place among all messages of the capture, for those that came at the very same time."""

    @property
    def place(self) -> tuple[float, int]:
        """What to sort by for the order in which messages came."""
        return self.now, self.number


@dataclass(frozen=True, slots=True)
class CapturedExchange:
    """One exchange as the processor saw it.

    Attributes:
        id: its id, which also seeds ``exchange.random``.
        messages: what Envoy said, in order, with our answers.
        events: what each filter did.
        ended: how it ended.
    """

    id: str
    messages: tuple[CapturedMessage, ...]
    events: tuple[Event, ...] = ()
    ended: Ended = "complete"

    @property
    def started(self) -> float:
        """When the first message came, in Unix seconds."""
        return self.messages[0].now

    @property
    def place(self) -> tuple[float, int]:
        """What to sort by for the order in which exchanges began."""
        return self.messages[0].place


@dataclass(frozen=True, slots=True)
class Footer:
    """The last line: the capture was closed in order.

    Attributes:
        closed: when, in Unix seconds.
        exchanges: how many exchanges it holds.
        dropped: how many more there were, for which there was no room.
    """

    closed: float
    exchanges: int
    dropped: int
