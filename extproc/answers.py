"""Answers, built from what became of a message: the arithmetic that makes Envoy's copy of it equal to ours."""

from __future__ import annotations

# What filters see (headers, http) and the machine are one unit: their underscore means "not for filters".
# pyright: reportPrivateUsage=false
from functools import lru_cache
from typing import TYPE_CHECKING

from extproc.guard import FRAMING
from extproc.lane import NO_EXTRAS
from extproc.messages import Continue, HeaderEdit, Immediate, Piece
from extproc.mutation import header_mutation
from extproc.phases import Part, Phase

if TYPE_CHECKING:
    from extproc.headers import Headers
    from extproc.http import Request, Response
    from extproc.lane import Lane, Stage
    from extproc.messages import ModeChange, RawHeaders

__all__ = [
    "LARGEST_PIECE",
    "UNCHANGED",
    "cut",
    "going_on",
    "immediate",
    "immediate_headers",
    "pieces",
    "without_length",
]

UNCHANGED: dict[Phase, Continue] = {phase: Continue(phase) for phase in Phase}
"""The answers that change nothing; always these very objects, so that a front can serve them from constants."""

_ROUTING = frozenset({":authority", ":method", ":path", ":scheme"})
_LARGEST_KEPT = 2048
"""What `Headers` thinks that edits may add, at most, where their answer is remembered."""
LARGEST_PIECE = 64 * 1024
"""What Envoy recommends at most for a message."""
_PIECE = 62 * 1024


def going_on(stage: Stage, body: bytes | None, mode: ModeChange | None = None) -> Continue:
    """The answer that turns what Envoy has into what the filters made of it.

    Args:
        stage: what is answered.
        body: the new body; None leaves it.
        mode: what Envoy need not ask about any more.
    """
    phase, fields, extras = stage.phase, stage.fields, stage.lane.extras
    if extras is NO_EXTRAS and mode is None and not stage.rule.headers:
        return UNCHANGED[phase] if body is None else Continue(phase, (), (), body)  # a piece of a body, nearly always
    if body is None and mode is None and not (extras.metadata or extras.typed):
        if fields._items is stage.headers and extras is NO_EXTRAS:
            return UNCHANGED[phase]
        plain = fields._plain_mutation() if stage.rule.headers else None
        if plain is not None:
            known = _edited if fields._at_most - fields._size < _LARGEST_KEPT else _edited.__wrapped__
            edits, removals = plain
            return known(phase, edits, removals, extras.clear_route_cache)
    return _worked_out(stage, body, mode)


def _worked_out(stage: Stage, body: bytes | None, mode: ModeChange | None) -> Continue:
    """The same, whatever happened."""
    phase, fields, before, extras = stage.phase, stage.fields, stage.headers, stage.lane.extras
    clear_route_cache, metadata, typed = extras.clear_route_cache, extras.metadata, extras.typed
    replace = body is not None and phase.part is Part.HEADERS
    if not stage.rule.headers:
        before = fields._items  # they have left
    elif replace:  # Envoy takes the old length away by itself, and counts it as a rejected mutation if we ask for it
        without_length(fields)
        before = [item for item in before if item[0] != "content-length"]
    elif body is not None:
        _frame(fields, body)
    edits, removals = header_mutation(before, fields._items)
    if body is not None and not before and not replace and stage.rule.headers:
        removals = ("content-length",)  # Envoy never showed us the headers: whatever they say, it is wrong now
    if not clear_route_cache:
        for edit in edits:
            clear_route_cache = clear_route_cache or edit.name in _ROUTING
    if body is None and not (edits or removals or clear_route_cache or metadata or typed or mode):
        return UNCHANGED[phase]
    return Continue(phase, edits, removals, body, replace, clear_route_cache, metadata, typed, mode)


@lru_cache(maxsize=1024)
def _edited(  # a cache is slower with keywords
    phase: Phase,
    edits: tuple[tuple[str, bytes], ...],
    removals: tuple[str, ...],
    clear_route_cache: bool,  # noqa: FBT001
) -> Continue:
    """The answer that edits headers, each of which occurs once: often word for word the same."""
    if not (edits or removals or clear_route_cache):
        return UNCHANGED[phase]
    clear_route_cache = clear_route_cache or any(name in _ROUTING for name, _ in edits)
    set_headers = tuple(HeaderEdit(name, value) for name, value in edits)
    return Continue(phase, set_headers, removals, clear_route_cache=clear_route_cache)


def pieces(lane: Lane, phase: Phase, body: bytes, *, end: bool) -> list[Piece]:
    """A body, or what has come of it so far, in pieces that Envoy takes; the last one says so at the end of a body."""
    if not body and not end:
        return []
    cuts = cut(body)
    made = [Piece(phase, cut, end and index == len(cuts) - 1) for index, cut in enumerate(cuts)]
    extras = lane.extras
    if extras.metadata or extras.typed:
        made[0] = Piece(phase, made[0].body, made[0].end_of_stream, extras.metadata, extras.typed)
        lane.extras = NO_EXTRAS  # no route is chosen any more when pieces go out
    return made


def cut(body: bytes) -> list[bytes]:
    """A body in pieces of a size that Envoy takes; at least one."""
    return [body] if len(body) <= LARGEST_PIECE else [body[at : at + _PIECE] for at in range(0, len(body), _PIECE)]


def immediate_headers(response: Request | Response) -> RawHeaders:
    """What goes out of a response that comes in pieces: its status and its headers, without framing."""
    return [item for item in response._headers._items if item[0] not in FRAMING]


def immediate(response: Response, body: bytes, lane: Lane) -> Immediate:
    """The answer that ends the exchange with `response`, whose body is to be `body`."""
    headers = [item for item in immediate_headers(response) if item[0] != ":status"]
    return Immediate(
        status=response.status,
        set_headers=header_mutation([], headers)[0],
        body=body,
        details=response.details,
        grpc_status=response.grpc_status,
        metadata=lane.extras.metadata,
        typed_metadata=lane.extras.typed,
    )


def _frame(fields: Headers, body: bytes) -> None:
    """Keeps content-length true to a changed body: Envoy answers 500 when the two disagree."""
    if any(name == "content-length" for name, _ in fields._items):
        fields._put("content-length", b"%d" % len(body))


def without_length(fields: Headers) -> None:
    """Takes content-length away: Envoy knows best what it is, if it is anything."""
    fields._drop("content-length")
