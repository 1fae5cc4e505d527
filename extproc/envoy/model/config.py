"""How the modelled ext_proc filter is configured: the fields of ``ExternalProcessor`` that decide an outcome."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from extproc.phases import BodyMode, Phase

if TYPE_CHECKING:
    from extproc.chain import Chain

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
    """RE2, matched against the whole name; wins over the other rules."""
    disallow_expression: str = ""
    """RE2, matched against the whole name; wins over all other rules."""
    disallow_is_error: bool = False
    """A refused edit fails the exchange instead of being dropped."""


@dataclass(frozen=True, slots=True)
class ExtProcConfig:
    """One ext_proc filter, and what of its surroundings it depends on."""

    mode: ProcessingMode = field(default_factory=ProcessingMode)
    rules: MutationRules = field(default_factory=MutationRules)
    failure_mode_allow: bool = False
    message_timeout: float = 0.2
    """Seconds that the processor may take to answer one message."""
    status_on_error: int = 500
    disable_immediate_response: bool = False
    disable_clear_route_cache: bool = False
    request_attributes: frozenset[str] = frozenset()
    response_attributes: frozenset[str] = frozenset()
    buffer_limit: int = 1024 * 1024
    """``per_connection_buffer_limit_bytes``: how many bytes of a body Envoy holds."""
    max_headers: int = 100
    """``common_http_protocol_options.max_headers_count``."""
    max_header_bytes: int = 60 * 1024
    """``max_request_headers_kb`` in bytes."""

    @classmethod
    def for_chain(cls, chain: Chain) -> ExtProcConfig:
        """The configuration that ``extproc envoy config`` writes for `chain`."""
        needs = chain.needs
        held = {wanted: BodyMode.BUFFERED if wanted in needs.phases else BodyMode.NONE for wanted in Phase}
        return cls(
            mode=ProcessingMode(
                response_headers=any(phase.value.startswith("response") for phase in needs.phases),
                request_body=held[Phase.REQUEST_BODY],
                response_body=held[Phase.RESPONSE_BODY],
                request_trailers=Phase.REQUEST_TRAILERS in needs.phases,
                response_trailers=Phase.RESPONSE_TRAILERS in needs.phases,
            ),
            rules=MutationRules(
                allow_all_routing="routing" in needs.requires,
                allow_envoy="envoy_headers" in needs.requires,
            ),
            request_attributes=needs.request_attributes,
            response_attributes=needs.response_attributes,
        )
