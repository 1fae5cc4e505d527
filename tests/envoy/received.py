"""HTTP messages in parts: what is sent, a part at a time, and what has come of one so far."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TypeAlias

from extproc.envoy.model import HttpMessage
from extproc.messages import RawHeaders

__all__ = ["COMPLETE", "RESET", "UNDER_WAY", "Data", "Head", "Part", "Received", "Stir", "Trailers", "parts_of"]

UNDER_WAY, COMPLETE, RESET = "under way", "complete", "reset"

Stir: TypeAlias = Callable[[], None]
"""Called by an endpoint whenever something has reached it."""


@dataclass(frozen=True, slots=True)
class Head:
    """The headers, pseudo-headers included."""

    headers: RawHeaders
    end: bool = False


@dataclass(frozen=True, slots=True)
class Data:
    """A piece of the body."""

    data: bytes
    end: bool = False


@dataclass(frozen=True, slots=True)
class Trailers:
    """The trailers, which end a message."""

    headers: RawHeaders
    end: bool = True


Part: TypeAlias = Head | Data | Trailers


def parts_of(message: HttpMessage) -> list[Part]:
    """A message in the order in which it is sent; the last part ends it, unless it asks for another protocol."""
    upgrades = message.get("upgrade") is not None
    last = len(message.chunks) - 1 if message.trailers is None and not upgrades else -1
    parts: list[Part] = [Head(message.headers, message.ends_with_headers and not upgrades)]
    parts += [Data(chunk, index == last) for index, chunk in enumerate(message.chunks)]
    if message.trailers is not None:
        parts.append(Trailers(message.trailers))
    return parts


@dataclass(slots=True)
class Received:
    """A message as far as it has come."""

    headers: RawHeaders | None = None
    body: bytes = b""
    trailers: RawHeaders | None = None
    state: str = UNDER_WAY
    interim: list[RawHeaders] = field(default_factory=list[RawHeaders])
    """Informational responses before it."""

    @property
    def over(self) -> bool:
        """Nothing more can come."""
        return self.state != UNDER_WAY
