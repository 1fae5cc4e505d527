"""Answers, built from what became of a message: the arithmetic that makes Envoy's copy of it equal to ours."""

from __future__ import annotations

# What filters see (headers, http) and the machine are one unit: their underscore means "not for filters".
# pyright: reportPrivateUsage=false
from typing import TYPE_CHECKING, Any

from extproc.guard import FRAMING
from extproc.messages import Continue, Immediate
from extproc.mutation import header_mutation
from extproc.phases import Part, Phase

if TYPE_CHECKING:
    from collections.abc import Mapping

    from extproc.headers import Headers
    from extproc.http import Response
    from extproc.messages import RawHeaders

__all__ = ["UNCHANGED", "going_on", "immediate", "without_length"]

UNCHANGED: dict[Phase, Continue] = {phase: Continue(phase) for phase in Phase}
"""The answers that change nothing; always these very objects, so that a front can serve them from constants."""

_ROUTING = frozenset({":authority", ":method", ":path", ":scheme"})
_NO_METADATA: Mapping[str, Mapping[str, Any]] = {}


def going_on(
    phase: Phase,
    before: RawHeaders,
    fields: Headers,
    body: bytes | None,
    *,
    clear_route_cache: bool,
    metadata: Mapping[str, Mapping[str, Any]] = _NO_METADATA,
) -> Continue:
    """The answer that turns what Envoy has into what the filters made of it.

    Args:
        phase: the phase that is answered.
        before: the headers (or trailers) as Envoy has them; empty if it never showed them.
        fields: the headers (or trailers) as they are to be.
        body: the new body; None leaves it.
        clear_route_cache: a filter asked for it; a changed pseudo-header asks for it by itself.
        metadata: what filters emitted.
    """
    replace = body is not None and phase.part is Part.HEADERS
    if replace:  # Envoy takes the old length away by itself, and counts it as a rejected mutation if we ask for it
        without_length(fields)
        before = [item for item in before if item[0] != "content-length"]
    elif body is not None:
        _frame(fields, body)
    elif fields._items is before and not clear_route_cache and not metadata:
        return UNCHANGED[phase]
    edits, removals = header_mutation(before, fields._items)
    if body is not None and not before and not replace:
        removals = ("content-length",)  # Envoy never showed us the headers: whatever they say, it is wrong now
    if not clear_route_cache:
        for edit in edits:
            clear_route_cache = clear_route_cache or edit.name in _ROUTING
    if not (edits or removals or clear_route_cache or metadata) and body is None:
        return UNCHANGED[phase]
    return Continue(phase, edits, removals, body, replace, clear_route_cache, metadata)


def immediate(response: Response, body: bytes, metadata: Mapping[str, Mapping[str, Any]]) -> Immediate:
    """The answer that ends the exchange with `response`, whose body is to be `body`."""
    headers = [item for item in response.headers._items if item[0] != ":status" and item[0] not in FRAMING]
    return Immediate(
        status=response.status,
        set_headers=header_mutation([], headers)[0],
        body=body,
        details=response.details,
        grpc_status=response.grpc_status,
        metadata=metadata,
    )


def _frame(fields: Headers, body: bytes) -> None:
    """Keeps content-length true to a changed body: Envoy answers 500 when the two disagree."""
    if any(name == "content-length" for name, _ in fields._items):
        fields._put("content-length", b"%d" % len(body))


def without_length(fields: Headers) -> None:
    """Takes content-length away: Envoy knows best what it is, if it is anything."""
    fields._drop("content-length")
