"""One Envoy with a listener for every ext_proc configuration that the scenarios want."""

from __future__ import annotations

import json
from typing import Any, TypeAlias

from extproc.envoy.model import ExtProcConfig

_TYPE = "type.googleapis.com/envoy.extensions"
_HCM = f"{_TYPE}.filters.network.http_connection_manager.v3.HttpConnectionManager"
_EXT_PROC = f"{_TYPE}.filters.http.ext_proc.v3.ExternalProcessor"
_ROUTER = f"{_TYPE}.filters.http.router.v3.Router"
_FILE_LOG = f"{_TYPE}.access_loggers.file.v3.FileAccessLog"
_FAULT = f"{_TYPE}.filters.http.fault.v3.HTTPFault"
_HTTP_OPTIONS = f"{_TYPE}.upstreams.http.v3.HttpProtocolOptions"

_DELAY = {
    "name": "delay",
    "typed_config": {"@type": _FAULT, "delay": {"fixed_delay": "0.05s", "percentage": {"numerator": 100}}},
}
"""Time for Envoy to hear all that a processor says at once, before the upstream hears of the request."""

Setting: TypeAlias = tuple[ExtProcConfig, bool]
"""What a listener is made for: a configuration, and whether requests are delayed behind the ext_proc filter."""


def bootstrap(settings: list[Setting], *, processor: str, upstreams: dict[str, str]) -> str:
    """The configuration, as JSON (which is YAML): listener ``l0`` for the first setting, and so on."""
    http1 = {"http_protocol_options": {"enable_trailers": True}}
    return json.dumps(
        {
            "admin": {"address": _address("127.0.0.1:0")},
            "static_resources": {
                "listeners": [_listener(index, *setting) for index, setting in enumerate(settings)],
                "clusters": [
                    _cluster("processor", processor, {"http2_protocol_options": {}}),
                    *(_cluster(name, address, http1, one_shot=True) for name, address in upstreams.items()),
                ],
            },
        }
    )


def _listener(index: int, config: ExtProcConfig, delayed: bool) -> dict[str, Any]:
    return {
        "name": f"l{index}",
        "address": _address("127.0.0.1:0"),
        "per_connection_buffer_limit_bytes": config.buffer_limit,
        "filter_chains": [{"filters": [{"name": "hcm", "typed_config": _hcm(index, config, delayed)}]}],
    }


def _hcm(index: int, config: ExtProcConfig, delayed: bool) -> dict[str, Any]:
    return {
        "@type": _HCM,
        "stat_prefix": f"l{index}",
        "codec_type": "HTTP1",
        "http_protocol_options": {"enable_trailers": True},
        "max_request_headers_kb": config.request_limits.header_bytes // 1024,
        "common_http_protocol_options": {"max_headers_count": config.request_limits.header_count},
        # What Envoy would add by itself is switched off, but for x-forwarded-proto and date.
        "generate_request_id": False,
        "skip_xff_append": True,
        "server_header_transformation": "PASS_THROUGH",
        "route_config": {
            "virtual_hosts": [
                {
                    "name": "all",
                    "domains": ["*"],
                    "routes": [
                        {
                            "match": {"prefix": "/", "headers": [{"name": "x-canary", "present_match": True}]},
                            "route": {"cluster": "canary"},
                        },
                        {"match": {"prefix": "/canary"}, "route": {"cluster": "canary"}},
                        {"match": {"prefix": "/"}, "route": {"cluster": "upstream"}},
                    ],
                }
            ]
        },
        "access_log": [
            {
                "name": "file",
                "typed_config": {
                    "@type": _FILE_LOG,
                    "path": "/dev/stdout",
                    "log_format": {
                        "json_format": {
                            "details": "%RESPONSE_CODE_DETAILS%",
                            "flags": "%RESPONSE_FLAGS%",
                            "cluster": "%UPSTREAM_CLUSTER%",
                            "status": "%RESPONSE_CODE%",
                        }
                    },
                },
            }
        ],
        "http_filters": [
            {"name": "ext_proc", "typed_config": _ext_proc(config)},
            *([_DELAY] if delayed else []),
            {"name": "router", "typed_config": {"@type": _ROUTER, "suppress_envoy_headers": True}},
        ],
    }


def _ext_proc(config: ExtProcConfig) -> dict[str, Any]:
    mode, rules = config.mode, config.rules
    return {
        "@type": _EXT_PROC,
        "stat_prefix": "p",
        "grpc_service": {"envoy_grpc": {"cluster_name": "processor"}, "timeout": "0s"},
        "failure_mode_allow": config.failure_mode_allow,
        "message_timeout": f"{config.message_timeout}s",
        "status_on_error": {"code": config.status_on_error},
        "disable_immediate_response": config.disable_immediate_response,
        "disable_clear_route_cache": config.disable_clear_route_cache,
        "processing_mode": {
            "request_header_mode": _send(mode.request_headers),
            "response_header_mode": _send(mode.response_headers),
            "request_body_mode": mode.request_body.name,
            "response_body_mode": mode.response_body.name,
            "request_trailer_mode": _send(mode.request_trailers),
            "response_trailer_mode": _send(mode.response_trailers),
        },
        "mutation_rules": {
            "allow_all_routing": rules.allow_all_routing,
            "allow_envoy": rules.allow_envoy,
            "disallow_system": rules.disallow_system,
            "disallow_all": rules.disallow_all,
            "disallow_is_error": rules.disallow_is_error,
            **({"allow_expression": {"regex": rules.allow_expression}} if rules.allow_expression else {}),
            **({"disallow_expression": {"regex": rules.disallow_expression}} if rules.disallow_expression else {}),
        },
    }


def _send(wanted: bool) -> str:
    return "SEND" if wanted else "SKIP"


def _address(address: str) -> dict[str, Any]:
    host, _, port = address.rpartition(":")
    return {"socket_address": {"address": host, "port_value": int(port)}}


def _cluster(name: str, address: str, options: dict[str, Any], *, one_shot: bool = False) -> dict[str, Any]:
    """`one_shot`: a connection for each request, so that no scenario reads what another one smuggled."""
    http: dict[str, Any] = {"@type": _HTTP_OPTIONS, "explicit_http_config": options}
    if one_shot:
        http["common_http_protocol_options"] = {"max_requests_per_connection": 1}
    return {
        "name": name,
        "connect_timeout": "5s",
        "load_assignment": {
            "cluster_name": name,
            "endpoints": [{"lb_endpoints": [{"endpoint": {"address": _address(address)}}]}],
        },
        "typed_extension_protocol_options": {_HTTP_OPTIONS.rpartition("/")[2]: http},
    }
