"""Which phases Envoy need not ask about any more: ``mode_override``, worked out from the filters that take part."""

from __future__ import annotations

# The exchange and its parts are one unit: their underscore means "not for filters".
# pyright: reportPrivateUsage=false
from typing import TYPE_CHECKING

from extproc.messages import ModeChange
from extproc.phases import FLOWS, BodyMode, Part, Phase

if TYPE_CHECKING:
    from collections.abc import Mapping

    from extproc.exchange import Exchange
    from extproc.lane import Lane
    from extproc.messages import Protocol
    from extproc.phases import Direction

__all__ = ["PERHAPS_A_PART", "fewer_phases", "not_sent", "wants"]

_RESPONSE = (Phase.RESPONSE_HEADERS, Phase.RESPONSE_BODY, Phase.RESPONSE_TRAILERS)


PERHAPS_A_PART = (
    "this may be only a part of the body, and Envoy lets the rest of it pass: set the body mode to BUFFERED or "
    "FULL_DUPLEX_STREAMED in Envoy's ext_proc filter (in BUFFERED_PARTIAL, what has trailers needs a content-length)"
)
"""Why a filter that wants a body whole fails where it comes BUFFERED_PARTIAL."""


def not_sent(direction: Direction, mode: BodyMode) -> str:
    """Why a filter that wants a body fails where it does not come."""
    return (
        f"the body comes {mode.name}, and a filter needs it: set {direction.value}_body_mode to BUFFERED in Envoy's "
        "ext_proc filter (extproc envoy config writes it)"
    )


def _can_change(protocol: Protocol) -> bool:
    """Whether Envoy listens to ``mode_override`` at all, given how it sends bodies (and its configuration)."""
    flows = (FLOWS[protocol.request_body], FLOWS[protocol.response_body])
    return not (protocol.send_body_without_waiting or any(flow.carried for flow in flows))


def wants(exchange: Exchange, lanes: Mapping[Direction, Lane], phase: Phase) -> bool:
    """Whether a filter that still takes part has a hook for `phase`, and wants it called."""
    lane, off = lanes.get(phase.direction), exchange._off
    if lane is not None and phase.part is Part.BODY:
        off |= lane.unwanted
    return any(step.link.index not in off for step in exchange._chain.steps[phase])


def fewer_phases(exchange: Exchange, lanes: Mapping[Direction, Lane], protocol: Protocol | None) -> ModeChange | None:
    """What Envoy may leave out from now on, told with the answer to headers, the one place where it listens.

    None: nothing beyond what its configuration leaves out; or it does not listen.
    """
    if protocol is None or not _can_change(protocol):
        return None
    request_body = wants(exchange, lanes, Phase.REQUEST_BODY)
    response_body = wants(exchange, lanes, Phase.RESPONSE_BODY)
    asks_for = exchange._chain.needs.asks_for
    change = ModeChange(
        protocol.request_body if request_body else BodyMode.NONE,
        protocol.response_body if response_body else BodyMode.NONE,
        skip_request_trailers=asks_for(Phase.REQUEST_TRAILERS)
        and not (request_body or wants(exchange, lanes, Phase.REQUEST_TRAILERS)),
        skip_response_headers=any(exchange._chain.steps[phase] for phase in _RESPONSE)
        and not any(wants(exchange, lanes, phase) for phase in _RESPONSE),
        skip_response_trailers=asks_for(Phase.RESPONSE_TRAILERS)
        and not (response_body or wants(exchange, lanes, Phase.RESPONSE_TRAILERS)),
    )
    same = ModeChange(protocol.request_body, protocol.response_body)
    return None if change == same else change
