"""What each filter did to an exchange: kept only when somebody wants to know (a recorder, a replay, a test)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from extproc.messages import RawHeaders
    from extproc.phases import Phase

__all__ = ["Change", "Event", "changes"]


@dataclass(frozen=True, slots=True)
class Change:
    """One thing that a filter changed.

    Attributes:
        what: a header name, a pseudo-header such as ``:path``, or ``body``.
        before: its values (one each occurrence); empty: it was not there.
        after: its values now; empty: it is gone.
    """

    what: str
    before: tuple[bytes, ...]
    after: tuple[bytes, ...]


@dataclass(frozen=True, slots=True)
class Event:
    """What came of one hook.

    Attributes:
        action: it edited, it answered the client itself, or it failed and its policy let (``skip``) or did not let
            (``deny``) the exchange go on; or it was cancelled and swallowed that.
        note: the details of the response, the error's sentence, or what it did once it was cancelled.
    """

    filter: str
    phase: Phase
    action: Literal["edit", "respond", "skip", "deny", "swallow"]
    changes: tuple[Change, ...] = ()
    note: str = ""


def changes(
    before: RawHeaders, after: RawHeaders, body_before: bytes | None, body_after: bytes | None
) -> tuple[Change, ...]:
    """What differs between two states of a message, by header."""
    found: list[Change] = []
    if before is not after:
        for name in dict.fromkeys(name for name, _ in before + after):
            old = tuple(value for item, value in before if item == name)
            new = tuple(value for item, value in after if item == name)
            if old != new:
                found.append(Change(name, old, new))
    if body_before != body_after:
        found.append(Change("body", () if body_before is None else (body_before,), (body_after or b"",)))
    return tuple(found)
