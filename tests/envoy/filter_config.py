"""`ExtProcConfig` as Envoy reads it."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from extproc.envoy.model import (
    ExtProcConfig,
    MetadataOptions,
    ModeOverride,
    MutationRules,
    Namespaces,
    PerRoute,
    ProcessingMode,
    StringMatch,
)

__all__ = ["ext_proc", "per_route"]

_TYPE = "type.googleapis.com/envoy.extensions.filters.http.ext_proc.v3"


def ext_proc(config: ExtProcConfig, *, processor: str = "processor", stat_prefix: str = "p") -> dict[str, Any]:
    """An ``ExternalProcessor``."""
    return {
        "@type": f"{_TYPE}.ExternalProcessor",
        "stat_prefix": stat_prefix,
        "grpc_service": _grpc_service(processor),
        "failure_mode_allow": config.failure_mode_allow,
        "message_timeout": f"{config.message_timeout}s",
        "max_message_timeout": f"{config.max_message_timeout}s",
        "status_on_error": {"code": config.status_on_error},
        "observability_mode": config.observability_mode,
        "deferred_close_timeout": "3600s",  # in observability mode; else it would be counted in another exchange
        "send_body_without_waiting_for_header_response": config.send_body_without_waiting_for_header_response,
        "allow_mode_override": config.allow_mode_override,
        "allowed_override_modes": [_override(mode) for mode in config.allowed_override_modes],
        "disable_immediate_response": config.disable_immediate_response,
        **_route_cache(config),
        "allow_content_length_header": config.allow_content_length_header,
        "request_attributes": list(config.request_attributes),
        "response_attributes": list(config.response_attributes),
        "processing_mode": _mode(config.mode),
        "mutation_rules": _rules(config.rules),
        "forward_rules": {
            "allowed_headers": _matchers(config.forward_rules.allowed),
            "disallowed_headers": _matchers(config.forward_rules.disallowed),
        },
        "metadata_options": _metadata(config.metadata_options),
    }


def per_route(said: PerRoute) -> dict[str, Any]:
    """An ``ExtProcPerRoute``."""
    head = {"@type": f"{_TYPE}.ExtProcPerRoute"}
    if said.disabled:
        return {**head, "disabled": True}
    overrides: dict[str, Any] = {}
    if said.mode is not None:
        overrides["processing_mode"] = _mode(said.mode)
    if said.grpc_service is not None:
        overrides["grpc_service"] = _grpc_service(said.grpc_service)
    if said.metadata_options is not None:
        overrides["metadata_options"] = _metadata(said.metadata_options)
    if said.failure_mode_allow is not None:
        overrides["failure_mode_allow"] = said.failure_mode_allow
    overrides["grpc_initial_metadata"] = [{"key": key, "value": value} for key, value in said.grpc_initial_metadata]
    return {**head, "overrides": overrides}


def _grpc_service(cluster: str) -> dict[str, Any]:
    return {"envoy_grpc": {"cluster_name": cluster}, "timeout": "0s"}


def _route_cache(config: ExtProcConfig) -> dict[str, Any]:
    """Envoy refuses both spellings at once."""
    if config.disable_clear_route_cache:
        return {"disable_clear_route_cache": True}
    return {"route_cache_action": config.route_cache_action.value}


def _mode(mode: ProcessingMode) -> dict[str, Any]:
    return {
        "request_header_mode": _send(mode.request_headers),
        "response_header_mode": _send(mode.response_headers),
        "request_body_mode": mode.request_body.name,
        "response_body_mode": mode.response_body.name,
        "request_trailer_mode": _send(mode.request_trailers),
        "response_trailer_mode": _send(mode.response_trailers),
    }


def _override(mode: ModeOverride) -> dict[str, Any]:
    return {
        "request_header_mode": mode.request_headers.name,
        "response_header_mode": mode.response_headers.name,
        "request_body_mode": mode.request_body.name,
        "response_body_mode": mode.response_body.name,
        "request_trailer_mode": mode.request_trailers.name,
        "response_trailer_mode": mode.response_trailers.name,
    }


def _rules(rules: MutationRules) -> dict[str, Any]:
    return {
        "allow_all_routing": rules.allow_all_routing,
        "allow_envoy": rules.allow_envoy,
        "disallow_system": rules.disallow_system,
        "disallow_all": rules.disallow_all,
        "disallow_is_error": rules.disallow_is_error,
        **({"allow_expression": {"regex": rules.allow_expression}} if rules.allow_expression else {}),
        **({"disallow_expression": {"regex": rules.disallow_expression}} if rules.disallow_expression else {}),
    }


def _matchers(matches: Iterable[StringMatch]) -> dict[str, Any] | None:
    patterns = [_matcher(match) for match in matches]
    return {"patterns": patterns} if patterns else None


def _matcher(match: StringMatch) -> dict[str, Any]:
    value: Any = {"regex": match.text} if match.kind == "safe_regex" else match.text
    return {match.kind: value, "ignore_case": match.ignore_case}


def _metadata(options: MetadataOptions) -> dict[str, Any]:
    fields = {
        "forwarding_namespaces": options.forwarding,
        "receiving_namespaces": options.receiving,
        "cluster_metadata_forwarding_namespaces": options.cluster_forwarding,
    }
    return {name: _namespaces(value) for name, value in fields.items() if value is not None}


def _namespaces(namespaces: Namespaces) -> dict[str, Any]:
    return {"untyped": list(namespaces.untyped), "typed": list(namespaces.typed)}


def _send(wanted: bool) -> str:
    return "SEND" if wanted else "SKIP"
