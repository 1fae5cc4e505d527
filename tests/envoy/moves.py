"""What happens in an exchange, move by move.

The next move is made when everything that the last one set off has happened: Envoy has nothing more to say to anybody.
So streamed bodies are as deterministic as whole ones, and nobody has to sleep.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeAlias

from extproc.wire.ext_proc_pb2 import ProcessingResponse
from tests.envoy.raw_processor import Action

__all__ = ["ALL_PARTS", "Leave", "Move", "Pass", "Reply", "Say", "Send", "Wait", "stepwise", "waiting", "whole"]

ALL_PARTS = 1_000_000


@dataclass(frozen=True)
class Send:
    """The client sends the next parts of its request (headers, a chunk, trailers) in one go."""

    parts: int = 1

    def __str__(self) -> str:
        return f"the client sends {_count(self.parts)}"


@dataclass(frozen=True)
class Reply:
    """The upstream sends the next parts of its response in one go, if it has the request."""

    parts: int = 1
    early: bool = False
    """It does not wait for the end of the request; its headers are enough."""

    def __str__(self) -> str:
        return f"the upstream sends {_count(self.parts)}"


@dataclass(frozen=True)
class Say:
    """The processor does something without having been told something new."""

    actions: tuple[Action, ...]
    second: bool = False
    """It is the one of the second filter."""

    def __str__(self) -> str:
        who = "second processor" if self.second else "processor"
        return f"the {who} says {', '.join(map(_said, self.actions))}"


@dataclass(frozen=True)
class Wait:
    """Nobody does anything, until a timer of Envoy's fires."""

    def __str__(self) -> str:
        return "a timer fires"


@dataclass(frozen=True)
class Pass:
    """Nobody does anything for a while, in which no timer of Envoy's fires."""

    seconds: float

    def __str__(self) -> str:
        return f"{self.seconds} s pass"


@dataclass(frozen=True)
class Leave:
    """The client goes away, or the upstream does."""

    upstream: bool = False

    def __str__(self) -> str:
        return f"the {'upstream' if self.upstream else 'client'} leaves"


Move: TypeAlias = Send | Reply | Say | Wait | Pass | Leave


def whole(*, early: bool = False) -> tuple[Move, ...]:
    """The whole request at once, then the whole response."""
    return (Send(ALL_PARTS), Reply(ALL_PARTS, early))


def waiting(*, for_response: bool = False) -> tuple[Move, ...]:
    """The whole request, then the whole response, with a timer firing after one of them."""
    send, reply = whole()
    return (send, reply, Wait()) if for_response else (send, Wait(), reply)


def stepwise(request_parts: int, response_parts: int) -> tuple[Move, ...]:
    """Part by part."""
    return (*[Send()] * request_parts, *[Reply()] * response_parts)


def _count(parts: int) -> str:
    return "the rest" if parts == ALL_PARTS else f"{parts} part{'s' if parts > 1 else ''}"


def _said(action: Action) -> str:
    if not isinstance(action, ProcessingResponse):
        return str(action)
    return " ".join(str(action).split()) or "nothing"
