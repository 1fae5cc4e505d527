"""How the modelled ext_proc filter is configured: the fields of ``ExternalProcessor`` that decide an outcome."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from extproc.guard import FRAMING, Limits
from extproc.phases import BodyMode, Direction, Phase

if TYPE_CHECKING:
    from extproc.chain import Chain
    from extproc.filter import Needs

__all__ = ["ExtProcConfig", "MutationRules", "ProcessingMode"]


@dataclass(frozen=True, slots=True)
class ProcessingMode:
    """``processing_mode``, with every DEFAULT resolved: what Envoy sends."""

    request_headers: bool = True
    response_headers: bool = True
    request_body: BodyMode = BodyMode.NONE
    response_body: BodyMode = BodyMode.NONE
    request_trailers: bool = False
    response_trailers: bool = False


@dataclass(frozen=True, slots=True)
class MutationRules:
    """``config.common.mutation_rules.v3.HeaderMutationRules``: which headers a processor may touch."""

    allow_all_routing: bool = False
    """Setting ``:method``, ``:scheme``, ``:authority`` and ``host``."""
    allow_envoy: bool = False
    """``x-envoy-*``."""
    disallow_system: bool = False
    """Refuses every pseudo-header."""
    disallow_all: bool = False
    allow_expression: str = ""
    """RE2, against the whole name; wins over everything but `disallow_expression`."""
    disallow_expression: str = ""
    """RE2, against the whole name; wins over everything."""
    disallow_is_error: bool = False
    """A refused edit fails the exchange instead of being dropped."""


@dataclass(frozen=True, slots=True)
class ExtProcConfig:
    """One ext_proc filter, and what of its surroundings it depends on."""

    mode: ProcessingMode = field(default_factory=ProcessingMode)
    rules: MutationRules = field(default_factory=MutationRules)
    failure_mode_allow: bool = False
    """The exchange goes on unprocessed when the processor fails."""
    message_timeout: float = 0.2
    """Seconds that the processor may take to answer one message."""
    status_on_error: int = 500
    """What the client gets when the processor fails, but for a timeout, which is always 504."""
    disable_immediate_response: bool = False
    disable_clear_route_cache: bool = False
    buffer_limit: int = 1024 * 1024
    """``per_connection_buffer_limit_bytes`` of the listener: how much of a body Envoy holds, in bytes."""
    request_limits: Limits = field(default_factory=Limits)
    """Of the HTTP connection manager: ``max_headers_count``, ``max_request_headers_kb``."""
    response_limits: Limits = field(default_factory=lambda: Limits(header_bytes=80 * 1024))
    """Of the upstream's cluster: ``max_headers_count``, ``max_response_headers_kb``."""

    @classmethod
    def for_chain(cls, chain: Chain) -> ExtProcConfig:
        """The configuration that ``extproc envoy config`` writes for `chain`."""
        policies = {link.on_error for link in chain.links}
        return cls(
            mode=_mode(chain),
            rules=_rules(chain.needs),
            failure_mode_allow=policies == {"skip"},
            message_timeout=chain.timeout + _MARGIN,
        )


_MARGIN = 0.25
"""Seconds that Envoy waits longer than the chain may take: the chain's own failure policies come first."""


def _mode(chain: Chain) -> ProcessingMode:
    phases = chain.needs.phases
    return ProcessingMode(
        request_headers=bool(chain.links),
        response_headers=any(phase.direction is Direction.RESPONSE for phase in phases),
        request_body=BodyMode.BUFFERED if Phase.REQUEST_BODY in phases else BodyMode.NONE,
        response_body=BodyMode.BUFFERED if Phase.RESPONSE_BODY in phases else BodyMode.NONE,
        request_trailers=chain.needs.asks_for(Phase.REQUEST_TRAILERS),
        response_trailers=chain.needs.asks_for(Phase.RESPONSE_TRAILERS),
    )


def _rules(needs: Needs) -> MutationRules:
    """Privileges, and framing headers out of reach; content-length only where no body is edited."""
    forbidden = {name for name in FRAMING if not name.startswith("proxy-")}
    if needs.phases & {Phase.REQUEST_BODY, Phase.RESPONSE_BODY}:
        forbidden.discard("content-length")
    return MutationRules(
        allow_all_routing="routing" in needs.requires,
        allow_envoy="envoy_headers" in needs.requires,
        disallow_expression="|".join(sorted(forbidden)),
    )
