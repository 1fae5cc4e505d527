"""What Envoy makes of a thing that our own processor says: all of it is a ``ProcessingResponse`` to Envoy."""

from __future__ import annotations

from typing import TYPE_CHECKING

from extproc.envoy.model.processing_mode import HeaderMode, ModeOverride
from extproc.envoy.model.values import Said, StreamedBody, StreamedHeaders, Unhandled
from extproc.messages import Continue, Immediate, MoreTime, Piece, ReplyBody, ReplyHeaders

if TYPE_CHECKING:
    from extproc.messages import ModeChange

__all__ = ["Spoken", "heard"]

Spoken = Continue | Immediate | Piece | ReplyHeaders | ReplyBody | MoreTime | Unhandled | Said
"""All that is said, and not done to the stream itself."""


def heard(spoken: Spoken) -> Said:
    """The one form that the filter knows."""
    if isinstance(spoken, Said):
        return spoken
    if isinstance(spoken, Unhandled):
        return Said()
    if isinstance(spoken, MoreTime):
        return Said(timeout_override=spoken.seconds)
    if isinstance(spoken, ReplyHeaders):
        return Said(StreamedHeaders(spoken.headers))
    if isinstance(spoken, ReplyBody):
        return Said(StreamedBody(spoken.body, spoken.end_of_stream))
    if isinstance(spoken, Piece):
        answer = Continue(spoken.phase, body=spoken.body, metadata=spoken.metadata)
        return Said(answer, streamed=True, end_of_stream=spoken.end_of_stream)
    return _answer(spoken)


def _answer(answer: Continue | Immediate) -> Said:
    mode = answer.mode if isinstance(answer, Continue) else None
    return Said(answer, mode_override=None if mode is None else _override(mode))


def _override(change: ModeChange) -> ModeOverride:
    return ModeOverride(
        response_headers=_skipped(change.skip_response_headers),
        request_body=change.request_body,
        response_body=change.response_body,
        request_trailers=_skipped(change.skip_request_trailers),
        response_trailers=_skipped(change.skip_response_trailers),
    )


def _skipped(skip: bool) -> HeaderMode:  # noqa: FBT001 (it is converted)
    return HeaderMode.SKIP if skip else HeaderMode.DEFAULT
