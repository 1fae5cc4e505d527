"""What a capture does not hold although a chain asks for it, in sentences."""

from __future__ import annotations

from typing import TYPE_CHECKING

from extproc.phases import Direction, Part

if TYPE_CHECKING:
    from extproc.filter import Needs
    from extproc.replay.files import CaptureReader
    from extproc.replay.play import BrokenOffError

__all__ = ["asks_response", "lacking", "not_captured", "unanswered"]


def not_captured(what: str) -> str:
    """Why an exchange cannot be replayed to its end: `what` is a phase, or the response."""
    return f"the capture holds no {what}: nobody asked Envoy for it when this was recorded"


def unanswered(error: BrokenOffError) -> str:
    """Why an exchange has no outcome to compare with."""
    return f"the recording ends at {error.phase.value}, unanswered"


def asks_response(needs: Needs) -> bool:
    """Whether Envoy is asked to send anything about the response."""
    return any(phase.direction is Direction.RESPONSE for phase in needs.phases)


def lacking(reader: CaptureReader, wanted: Needs) -> list[str]:
    """What filters would be told on live traffic that the capture does not hold."""
    had = reader.header.needs
    pairs = {
        "attributes": (
            wanted.request_attributes | wanted.response_attributes,
            had.request_attributes | had.response_attributes,
        ),
        "metadata": (wanted.metadata_in, had.metadata_in),
        "phases": (
            frozenset(phase.value for phase in wanted.phases if phase.part is Part.TRAILERS),
            frozenset(phase.value for phase in had.phases),
        ),
    }
    return [
        f"{reader.path}: holds no {kind} {', '.join(sorted(names - known))}: the recorded chain did not ask for them, "
        "so filters that read them may decide otherwise than on live traffic"
        for kind, (names, known) in pairs.items()
        if names - known
    ]
