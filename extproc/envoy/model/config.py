"""How the modelled ext_proc filter is configured: the fields of ``ExternalProcessor`` that decide an outcome."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from extproc.envoy.asked import Asked
from extproc.envoy.model.options import (
    ForwardRules,
    MetadataOptions,
    MutationRules,
    Namespaces,
    RouteCacheAction,
)
from extproc.envoy.model.processing_mode import ModeOverride, ProcessingMode
from extproc.guard import Limits
from extproc.phases import Phase

if TYPE_CHECKING:
    from extproc.chain import Chain
    from extproc.envoy.model.per_route import PerRoute
    from extproc.envoy.model.quirks import Quirk

__all__ = ["ExtProcConfig"]


@dataclass(frozen=True, slots=True)
class ExtProcConfig:
    """One ext_proc filter, and what of its surroundings it depends on."""

    mode: ProcessingMode = field(default_factory=ProcessingMode)
    rules: MutationRules = field(default_factory=MutationRules)
    """``mutation_rules``."""
    forward_rules: ForwardRules = field(default_factory=ForwardRules)
    failure_mode_allow: bool = False
    """The exchange goes on unprocessed when the processor fails."""
    message_timeout: float = 0.2
    """Seconds that the processor may take to answer one message."""
    max_message_timeout: float = 0.0
    """Seconds that a processor may ask for with ``override_message_timeout``; 0: it may not."""
    status_on_error: int = 500
    """What the client gets when the processor fails, but for a timeout, which is always 504."""
    observability_mode: bool = False
    """The processor is told and never listened to."""
    send_body_without_waiting_for_header_response: bool = False
    """STREAMED only."""
    allow_mode_override: bool = False
    allowed_override_modes: tuple[ModeOverride, ...] = ()
    """None: any, where overrides are allowed at all. ``request_headers`` does not count in a comparison."""
    disable_immediate_response: bool = False
    disable_clear_route_cache: bool = False
    """The older spelling of RETAIN."""
    route_cache_action: RouteCacheAction = RouteCacheAction.DEFAULT
    allow_content_length_header: bool = False
    """A content-length stays in modes that stream a body."""
    request_attributes: tuple[str, ...] = ()
    response_attributes: tuple[str, ...] = ()
    metadata_options: MetadataOptions = field(default_factory=MetadataOptions)
    per_route: tuple[PerRoute, ...] = ()
    """What virtual host and route say, the most specific last."""
    buffer_limit: int = 1024 * 1024
    """``per_connection_buffer_limit_bytes`` of the listener: how much of a body Envoy holds, in bytes."""
    request_limits: Limits = field(default_factory=Limits)
    """Of the HTTP connection manager: ``max_headers_count``, ``max_request_headers_kb``."""
    response_limits: Limits = field(default_factory=lambda: Limits(header_bytes=80 * 1024))
    """Of the upstream's cluster: ``max_headers_count``, ``max_response_headers_kb``."""
    stream_idle_timeout: float = 300.0
    """Of the HTTP connection manager, in seconds; the only timer that runs while a body is in full duplex."""

    quirks: frozenset[Quirk] = frozenset()
    """What this data plane does otherwise than Envoy 1.40; a `Profile` says it."""

    @classmethod
    def for_chain(cls, chain: Chain) -> ExtProcConfig:
        """The configuration that ``extproc envoy config`` writes for `chain`."""
        asked = Asked.of(chain)
        mode = _mode(asked)
        return cls(
            mode=mode,
            rules=_rules(asked),
            failure_mode_allow=asked.may_skip,
            message_timeout=asked.timing().message_timeout,
            allow_mode_override=asked.needs.can_shrink(mode.request_body, mode.response_body),
            request_attributes=tuple(sorted(chain.needs.request_attributes)),
            response_attributes=tuple(sorted(chain.needs.response_attributes)),
            metadata_options=MetadataOptions(
                forwarding=_namespaces(chain.needs.metadata_in), receiving=_namespaces(chain.needs.metadata_out)
            ),
        )


def _mode(asked: Asked) -> ProcessingMode:
    return ProcessingMode(
        request_headers=asked.anything,
        response_headers=asked.response_headers,
        request_body=asked.needs.body_mode(Phase.REQUEST_BODY),
        response_body=asked.needs.body_mode(Phase.RESPONSE_BODY),
        request_trailers=asked.needs.asks_for(Phase.REQUEST_TRAILERS),
        response_trailers=asked.needs.asks_for(Phase.RESPONSE_TRAILERS),
    )


def _rules(asked: Asked) -> MutationRules:
    """Privileges, and framing headers out of reach."""
    return MutationRules(
        allow_all_routing="routing" in asked.needs.requires,
        allow_envoy="envoy_headers" in asked.needs.requires,
        disallow_expression=asked.untouchable,
    )


def _namespaces(names: frozenset[str]) -> Namespaces | None:
    listed = tuple(sorted(names))
    return Namespaces(untyped=listed, typed=listed) if names else None
