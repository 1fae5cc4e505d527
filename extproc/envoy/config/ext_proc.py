"""The ext_proc filter: what a chain needs, in Envoy's words."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING

from extproc.envoy.config import types as v3
from extproc.filter import Needs
from extproc.guard import FRAMING
from extproc.phases import Direction, Phase

if TYPE_CHECKING:
    from extproc.chain import Chain
    from extproc.envoy.config.options import EnvoyOptions

__all__ = ["PROCESSOR", "Asked", "external_processor"]

PROCESSOR = "processor"
"""The cluster of the processor."""

_RETRIES = 3
_RETRY_ON = "cancelled,unavailable,connect-failure,reset,refused-stream"
_SEND, _SKIP = v3.ext_proc.ProcessingModeHeaderSendMode.SEND, v3.ext_proc.ProcessingModeHeaderSendMode.SKIP


@dataclass(frozen=True, slots=True)
class Asked:
    """What a chain asks of Envoy.

    Attributes:
        needs: phases, attributes, metadata, privileges.
        timeout: seconds that the chain may take to answer one message.
        anything: there is a filter at all.
        may_skip: every filter may be left out when it fails, and so may all of them.
    """

    needs: Needs
    timeout: float
    anything: bool
    may_skip: bool

    @classmethod
    def of(cls, source: Chain | Needs) -> Asked:
        """What a chain asks; bare needs are taken for those of filters that must not be left out."""
        if isinstance(source, Needs):
            return cls(source, timeout=1.0, anything=source != Needs(), may_skip=False)
        policies = {link.on_error for link in source.links}
        return cls(source.needs, source.timeout, anything=bool(source.links), may_skip=policies == {"skip"})


def external_processor(asked: Asked, options: EnvoyOptions) -> v3.ext_proc.ExternalProcessor:
    """The filter's configuration."""
    needs = asked.needs
    return v3.ext_proc.ExternalProcessor(
        grpc_service=_grpc_service(),
        failure_mode_allow=asked.may_skip,
        processing_mode=_processing_mode(asked),
        request_attributes=sorted(needs.request_attributes),
        response_attributes=sorted(needs.response_attributes),
        message_timeout=timedelta(seconds=asked.timeout + options.margin),
        allow_mode_override=needs.can_shrink,  # whose filters do not want a body in an exchange spare Envoy the work
        stat_prefix=options.stat_prefix,
        mutation_rules=_mutation_rules(needs),
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
        ),
    )


def _processing_mode(asked: Asked) -> v3.ext_proc.ProcessingMode:
    """Exactly what the chain needs, and the headers of every direction of which it needs anything."""
    phases, asks_for = asked.needs.phases, asked.needs.asks_for
    response = any(phase.direction is Direction.RESPONSE for phase in phases)
    return v3.ext_proc.ProcessingMode(
        request_header_mode=_SEND if asked.anything else _SKIP,
        response_header_mode=_SEND if response else _SKIP,
        request_body_mode=_body_mode(asked.needs, Phase.REQUEST_BODY),
        response_body_mode=_body_mode(asked.needs, Phase.RESPONSE_BODY),
        request_trailer_mode=_SEND if asks_for(Phase.REQUEST_TRAILERS) else _SKIP,
        response_trailer_mode=_SEND if asks_for(Phase.RESPONSE_TRAILERS) else _SKIP,
    )


def _body_mode(needs: Needs, phase: Phase) -> v3.ext_proc.ProcessingModeBodySendMode:
    return v3.ext_proc.ProcessingModeBodySendMode(needs.body_mode(phase).value)


def _mutation_rules(needs: Needs) -> v3.common.HeaderMutationRules:
    """Privileges, and a second line of defence behind the SDK's own guard."""
    return v3.common.HeaderMutationRules(
        allow_all_routing=True if "routing" in needs.requires else None,
        allow_envoy=True if "envoy_headers" in needs.requires else None,
        disallow_expression=v3.matcher.RegexMatcher(regex=_forbidden(needs)),
    )


def _forbidden(needs: Needs) -> str:
    """Headers that nobody may touch.

    Not in the list: ``proxy-*``, which a filter may remove, and content-length wherever the SDK has to keep it true to
    a changed body.
    """
    names = {name for name in FRAMING if not name.startswith("proxy-")}
    if needs.phases & {Phase.REQUEST_BODY, Phase.RESPONSE_BODY}:
        names.discard("content-length")
    return "|".join(sorted(names))


def _metadata_options(needs: Needs) -> v3.ext_proc.MetadataOptions | None:
    if not (needs.metadata_in or needs.metadata_out):
        return None
    return v3.ext_proc.MetadataOptions(
        forwarding_namespaces=_namespaces(needs.metadata_in), receiving_namespaces=_namespaces(needs.metadata_out)
    )


def _namespaces(names: frozenset[str]) -> v3.ext_proc.MetadataOptionsMetadataNamespaces | None:
    return v3.ext_proc.MetadataOptionsMetadataNamespaces(untyped=sorted(names)) if names else None
