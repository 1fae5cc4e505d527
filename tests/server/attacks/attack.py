"""`Attack`: a case of a peer that means harm, the limit that stops it, and the counter that tells."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from extproc.server.native import Http2Limits, Rate
from tests.server.conformance.script import Case, Step


@dataclass(frozen=True, slots=True)
class Attack:
    """What a peer does, and what comes of it.

    Attributes:
        case: what it sends, and how the server ends it.
        limits: of the server, where its own would take long to reach.
        counter: has moved afterwards; empty where what the peer does is allowed.
    """

    case: Case
    limits: Http2Limits = field(default_factory=Http2Limits)
    counter: str = ""


def attack(
    what: str, why: str, *steps: Step, counter: str = "", limits: Http2Limits | None = None, raw: bool = False
) -> Attack:
    """A row of a table."""
    return Attack(Case(what, why, steps, raw), limits or Http2Limits(), counter)


def only(limit: str, value: Rate | float) -> Http2Limits:
    """The usual limits, but for one."""
    fields: dict[str, Any] = {limit: value}
    return Http2Limits(**fields)
