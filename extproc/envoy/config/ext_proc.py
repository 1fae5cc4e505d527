"""The ext_proc filter: what a chain needs, in Envoy's words."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING

from extproc.envoy.config import types as v3
from extproc.envoy.config.text import to_any
from extproc.errors import EnvoyError
from extproc.phases import BodyMode, Phase

if TYPE_CHECKING:
    from extproc.envoy.asked import Asked
    from extproc.envoy.config.options import EnvoyOptions
    from extproc.filter import Needs

__all__ = ["PROCESSOR", "external_processor"]

PROCESSOR = "processor"
"""The cluster of the processor."""

_RETRIES = 3
_SELECTIONS = 10
"""How often Envoy chooses again when it has chosen a processor that it has tried already."""
_ELSEWHERE = "envoy.retry_host_predicates.previous_hosts"
_RETRY_ON = "cancelled,unavailable,connect-failure,reset,refused-stream"
_SEND, _SKIP = v3.ext_proc.ProcessingModeHeaderSendMode.SEND, v3.ext_proc.ProcessingModeHeaderSendMode.SKIP


def external_processor(asked: Asked, options: EnvoyOptions) -> v3.ext_proc.ExternalProcessor:
    """The filter's configuration.

    Raises:
        EnvoyError: a body mode of the options does not suit the chain.
    """
    needs, timing = asked.needs, asked.timing(options.message_timeout, options.margin)
    request_body, response_body = _body_modes(needs, options)
    return v3.ext_proc.ExternalProcessor(
        grpc_service=_grpc_service(),
        failure_mode_allow=asked.may_skip,
        processing_mode=_processing_mode(asked, request_body, response_body),
        request_attributes=sorted(needs.request_attributes),
        response_attributes=sorted(needs.response_attributes),
        message_timeout=timedelta(seconds=timing.message_timeout),
        max_message_timeout=timedelta(seconds=timing.max_message_timeout) if timing.max_message_timeout else None,
        stat_prefix=options.stat_prefix,
        mutation_rules=_mutation_rules(asked),
        allow_mode_override=needs.can_shrink(request_body, response_body),
        metadata_options=_metadata_options(needs),
    )


def _grpc_service() -> v3.core.GrpcService:
    """A processor that restarts refuses or cancels streams; tried again at once, elsewhere, nobody notices.

    Envoy's default back-off is longer than a message may take.
    """
    return v3.core.GrpcService(
        envoy_grpc=v3.core.GrpcServiceEnvoyGrpc(cluster_name=PROCESSOR),
        retry_policy=v3.core.RetryPolicy(
            retry_on=_RETRY_ON,
            num_retries=_RETRIES,
            retry_back_off=v3.core.BackoffStrategy(
                base_interval=timedelta(milliseconds=5), max_interval=timedelta(milliseconds=50)
            ),
            retry_host_predicate=[
                v3.core.RetryPolicyRetryHostPredicate(
                    name=_ELSEWHERE, typed_config=to_any(v3.previous_hosts.PreviousHostsPredicate())
                )
            ],
            host_selection_retry_max_attempts=_SELECTIONS,
        ),
    )


def _body_modes(needs: Needs, options: EnvoyOptions) -> tuple[BodyMode, BodyMode]:
    """How the bodies of request and response are to be sent."""
    return (
        _body_mode(needs, Phase.REQUEST_BODY, options.request_body_mode),
        _body_mode(needs, Phase.RESPONSE_BODY, options.response_body_mode),
    )


def _body_mode(needs: Needs, phase: Phase, chosen: BodyMode | None) -> BodyMode:
    if chosen is None or phase not in needs.phases:
        return needs.body_mode(phase)
    if chosen is BodyMode.STREAMED and phase not in needs.pieces:
        raise EnvoyError(
            f"{phase.value}_mode cannot be STREAMED: a filter wants the body whole, and by then its headers would have "
            "left; use FULL_DUPLEX_STREAMED"
        )
    return chosen


def _processing_mode(asked: Asked, request_body: BodyMode, response_body: BodyMode) -> v3.ext_proc.ProcessingMode:
    """Exactly what the chain needs, and the headers of every direction of which it needs anything."""
    asks_for, modes = asked.needs.asks_for, v3.ext_proc.ProcessingModeBodySendMode
    return v3.ext_proc.ProcessingMode(
        request_header_mode=_SEND if asked.anything else _SKIP,
        response_header_mode=_SEND if asked.response_headers else _SKIP,
        request_body_mode=modes(request_body.value),
        response_body_mode=modes(response_body.value),
        request_trailer_mode=_SEND if asks_for(Phase.REQUEST_TRAILERS) else _SKIP,
        response_trailer_mode=_SEND if asks_for(Phase.RESPONSE_TRAILERS) else _SKIP,
    )


def _mutation_rules(asked: Asked) -> v3.common.HeaderMutationRules:
    """Privileges, and a second line of defence behind the SDK's own guard."""
    requires = asked.needs.requires
    return v3.common.HeaderMutationRules(
        allow_all_routing=True if "routing" in requires else None,
        allow_envoy=True if "envoy_headers" in requires else None,
        disallow_expression=v3.matcher.RegexMatcher(regex=asked.untouchable),
    )


def _metadata_options(needs: Needs) -> v3.ext_proc.MetadataOptions | None:
    if not (needs.metadata_in or needs.metadata_out):
        return None
    return v3.ext_proc.MetadataOptions(
        forwarding_namespaces=_namespaces(needs.metadata_in), receiving_namespaces=_namespaces(needs.metadata_out)
    )


def _namespaces(names: frozenset[str]) -> v3.ext_proc.MetadataOptionsMetadataNamespaces | None:
    """A namespace has values of both kinds, and a filter may use either."""
    listed = sorted(names)
    return v3.ext_proc.MetadataOptionsMetadataNamespaces(untyped=listed, typed=listed) if names else None
