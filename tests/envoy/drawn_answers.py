"""Random doings of a processor, legal and not."""

from __future__ import annotations

from typing import Any

from hypothesis import strategies as st

from extproc.envoy.model import Close, ExtProcConfig, HeaderMode, Lost, ModeOverride
from extproc.messages import Abort
from extproc.phases import BodyMode, Direction, Part, Phase
from extproc.wire.ext_proc_pb2 import ProcessingResponse
from tests.envoy.answers import answer_now, beside, more_time, say, stream, stream_now, unchanged
from tests.envoy.drawn_settings import MODES
from tests.envoy.raw_processor import Action
from tests.envoy.scenario import PATIENT, Turns

__all__ = ["actions", "doings"]

_DUPLEX = BodyMode.FULL_DUPLEX_STREAMED

_LENGTHS = (("content-length", b"3"), ("content-length", b"8"))
_edits = st.tuples(st.sampled_from(_LENGTHS), st.just(False)) | st.tuples(
    st.sampled_from(
        (
            ("x-a", b"new"),
            ("x-d", b"new"),
            (":path", b"/canary/new"),
            (":status", b"201"),
            (":status", b"99"),
            (":method", b"PUT"),
            (":authority", b"other"),
            ("x-envoy-a", b"1"),
            ("x-bad", b"1\n2"),
            ("bad name", b"1"),
        )
    ),
    st.booleans(),
)


@st.composite
def _commons(draw: st.DrawFn, phase: Phase) -> ProcessingResponse:
    """An answer to a phase, that may do more than is allowed."""
    edits = draw(st.lists(_edits, max_size=2)) if draw(st.integers(0, 2)) == 0 else []
    if phase.part is Part.TRAILERS:  # no HTTP/1.1 parser takes a pseudo-header for a trailer
        edits = [edit for edit in edits if not edit[0][0].startswith(":")]
    options: dict[str, Any] = {}
    if phase.part is not Part.TRAILERS and draw(st.integers(0, 3)) == 0:
        options = draw(
            st.sampled_from(
                (
                    {"body": b"new"},
                    {"body": b"longer body"},
                    {"clear_body": True},
                    {"clear_route": True},
                    {"body": b"whole", "replace": True},
                    {"replace": True},
                )
            )
        )
    return say(
        phase,
        *[edit for edit, appends in edits if not appends],
        add=[edit for edit, appends in edits if appends],
        remove=draw(st.lists(st.sampled_from(("x-a", "x-b", "content-length", ":path")), max_size=1)) if edits else (),
        **options,
    )


_overrides = st.builds(
    ModeOverride, *[st.sampled_from(HeaderMode)] * 2, *[st.sampled_from(MODES)] * 2, *[st.sampled_from(HeaderMode)] * 2
)
_PIECES: tuple[Action, ...] = (
    stream_now([(":status", b"200"), ("x-n", b"1")]),
    stream_now([(":status", b"403")], end=True),
    stream_now(b"piece"),
    stream_now(b"last", end=True),
    stream_now([("x-t", b"1")], trailers=True),
)
_ILLEGAL: tuple[Action, ...] = (
    ProcessingResponse(),
    Close(),
    Abort("INTERNAL", "failed"),
    Lost(),
    answer_now(403, ("x-n", b"1"), body=b"no", details="because of this"),
    answer_now(None),
)


@st.composite
def actions(draw: st.DrawFn, phase: Phase, config: ExtProcConfig) -> Action:
    mode = config.mode.request_body if phase.direction is Direction.REQUEST else config.mode.response_body
    kind = draw(st.integers(0, 19))
    if kind >= 18:
        return draw(st.sampled_from(_ILLEGAL))
    if kind == 17:
        pieces = st.sampled_from(_PIECES) if _may_reply_in_pieces(config) else st.just(more_time(PATIENT))
        return draw(st.sampled_from(Phase).map(unchanged) | pieces | st.just(more_time(PATIENT)))
    if phase.part is Part.BODY and (mode is _DUPLEX) == (kind < 15):
        return stream(phase, draw(st.sampled_from((b"", b"piece", b"P"))), end=draw(st.booleans()))
    answer = draw(_commons(phase))
    if kind in (13, 14):
        return beside(answer, mode=draw(_overrides))
    if kind == 12:
        return beside(answer, metadata={"told": {"k": "v"}})
    if kind == 11:
        return beside(answer, drain_requests=draw(st.booleans()), drain_responses=draw(st.booleans()))
    return answer


def _may_reply_in_pieces(config: ExtProcConfig) -> bool:
    """In full duplex Envoy 1.40 then sends an unfinished request on, and its response after the one it has begun."""
    return config.mode.request_body is not _DUPLEX and not config.allow_mode_override and not config.per_route


def doings(phase: Phase, config: ExtProcConfig) -> st.SearchStrategy[Turns]:
    turn = st.lists(actions(phase, config), min_size=1, max_size=1) | st.lists(actions(phase, config), max_size=2)
    return st.lists(turn, min_size=1, max_size=3).map(lambda turns: Turns(tuple(turns)))
