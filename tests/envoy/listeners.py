"""One Envoy with a listener for every setting that the scenarios want."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from extproc.envoy.model import ExtProcConfig
from tests.envoy.filter_config import ext_proc, per_route

__all__ = ["CLUSTERS", "GIVEN", "NOBODY", "PING", "TOLD", "Setting", "bootstrap"]

_TYPE = "type.googleapis.com/envoy.extensions"
_HCM = f"{_TYPE}.filters.network.http_connection_manager.v3.HttpConnectionManager"
_ROUTER = f"{_TYPE}.filters.http.router.v3.Router"
_METADATA = f"{_TYPE}.filters.http.set_metadata.v3.Config"
_FILE_LOG = f"{_TYPE}.access_loggers.file.v3.FileAccessLog"
_HTTP_OPTIONS = f"{_TYPE}.upstreams.http.v3.HttpProtocolOptions"

CLUSTERS = ("upstream", "canary")
"""Where requests go; what is for /canary, or has x-canary, to the second one."""

NOBODY = "nobody"
"""A cluster where nobody listens."""

PING = "ping"
"""A listener that answers by itself: when it has, Envoy's one worker has done all that it was given before."""

GIVEN: dict[str, dict[str, Any]] = {"given": {"who": "anna", "level": 3}, "secret": {"key": "k"}}
"""Dynamic metadata that is there before the processor is asked."""

_COUNTED = [{"contains": ".ext_proc."}, {"contains": "_flow_control_"}]
_READ_LIMIT = 1024 * 1024
"""With HTTP/2, all that this limits is how much Envoy reads at once; less, and it would cut frames into pieces."""
_SMALLEST_WINDOW = 65535
_RESPONSE_HEADERS = 60 * 1024

TOLD = ("told", "other")
"""Namespaces of dynamic metadata that are looked at when all is over."""


@dataclass(frozen=True)
class Setting:
    """What a listener is made for."""

    config: ExtProcConfig
    """Of the ext_proc filter."""
    http2: bool = False
    """Client and upstream speak HTTP/2; else HTTP/1.1."""
    more: tuple[tuple[str, Any], ...] = field(default=())
    """Fields of the ext_proc filter that the model knows nothing of."""
    second: ExtProcConfig | None = None
    """Of a second ext_proc filter, nearer to the upstream. What belongs to the listener is taken from the first."""

    @property
    def effective(self) -> list[ExtProcConfig]:
        """The configurations of the filters, with the limits that HTTP/2 has of its own.

        A stream's window limits how much of a body is held, and of a response there may be 60 KiB of headers, not 80.
        """
        configs = [self.config] if self.second is None else [self.config, self.second]
        responses, limit = self.config.response_limits, self.buffer_limit
        if self.http2:
            responses = replace(responses, header_bytes=_RESPONSE_HEADERS)
        requests = self.config.request_limits
        return [
            replace(config, buffer_limit=limit, request_limits=requests, response_limits=responses)
            for config in configs
        ]

    def hurries(self, seconds: float) -> bool:
        """Whether one of its timers fires after so many seconds."""
        return any(seconds in (config.message_timeout, config.stream_idle_timeout) for config in self.effective)

    @property
    def buffer_limit(self) -> int:
        """How much of a body is held, in bytes."""
        return max(self.config.buffer_limit, _SMALLEST_WINDOW) if self.http2 else self.config.buffer_limit


def bootstrap(settings: Sequence[Setting], *, processor: str, second: str, upstreams: dict[str, str]) -> str:
    """The configuration, as JSON (which is YAML): listener ``l0`` for the first setting, and so on.

    Args:
        settings: one listener each.
        processor: its address.
        second: the address of the processor of second filters.
        upstreams: addresses by the name of a cluster; one whose name ends in 2 speaks HTTP/2.
    """
    http2: dict[str, Any] = {"http2_protocol_options": {}}
    http1 = {"http_protocol_options": {"enable_trailers": True}}
    return json.dumps(
        {
            "admin": {"address": _address("127.0.0.1:0")},
            "stats_config": {"stats_matcher": {"inclusion_list": {"patterns": _COUNTED}}},
            "static_resources": {
                "listeners": [_pinged(), *(_listener(f"l{index}", setting) for index, setting in enumerate(settings))],
                "clusters": [
                    *(_cluster(name, processor, http2) for name in ("processor", "other-processor")),
                    _cluster("second-processor", second, http2),
                    _cluster(NOBODY, "127.0.0.1:1", http2),
                    *(
                        _cluster(name, address, http2 if name.endswith("2") else http1, one_shot=True)
                        for name, address in upstreams.items()
                    ),
                ],
            },
        }
    )


def _pinged() -> dict[str, Any]:
    manager = {
        "@type": _HCM,
        "stat_prefix": PING,
        "route_config": {
            "virtual_hosts": [
                {
                    "name": "all",
                    "domains": ["*"],
                    "routes": [{"match": {"prefix": "/"}, "direct_response": {"status": 204}}],
                }
            ]
        },
        "http_filters": [{"name": "router", "typed_config": {"@type": _ROUTER}}],
    }
    return _on_a_free_port(PING, manager)


def _listener(name: str, setting: Setting) -> dict[str, Any]:
    return {
        **_on_a_free_port(name, _manager(name, setting)),
        "per_connection_buffer_limit_bytes": _READ_LIMIT if setting.http2 else setting.config.buffer_limit,
    }


def _on_a_free_port(name: str, manager: dict[str, Any]) -> dict[str, Any]:
    return {
        "name": name,
        "address": _address("127.0.0.1:0"),
        "filter_chains": [{"filters": [{"name": "hcm", "typed_config": manager}]}],
    }


def _manager(name: str, setting: Setting) -> dict[str, Any]:
    config = setting.config
    codec: dict[str, Any] = {"codec_type": "HTTP1", "http_protocol_options": {"enable_trailers": True}}
    if setting.http2:
        codec = {
            "codec_type": "HTTP2",
            "http2_protocol_options": {"initial_stream_window_size": setting.buffer_limit},
        }
    return {
        "@type": _HCM,
        "stat_prefix": name,
        **codec,
        "max_request_headers_kb": config.request_limits.header_bytes // 1024,
        "common_http_protocol_options": {"max_headers_count": config.request_limits.header_count},
        "delayed_close_timeout": "0s",
        "stream_idle_timeout": f"{config.stream_idle_timeout}s",
        "upgrade_configs": [{"upgrade_type": "websocket"}],
        # What Envoy would add by itself is switched off, but for x-forwarded-proto and date.
        "generate_request_id": False,
        "skip_xff_append": True,
        "server_header_transformation": "PASS_THROUGH",
        "route_config": _routes(setting),
        "access_log": [_access_log()],
        "http_filters": [
            *([_given()] if any(map(_forwards, setting.effective)) else []),
            {"name": "ext_proc", "typed_config": {**ext_proc(config), **dict(setting.more)}},
            *([_second(setting.second)] if setting.second is not None else []),
            {"name": "router", "typed_config": {"@type": _ROUTER, "suppress_envoy_headers": True}},
        ],
    }


def _second(config: ExtProcConfig) -> dict[str, Any]:
    return {"name": "ext_proc_2", "typed_config": ext_proc(config, processor="second-processor", stat_prefix="p2")}


def _routes(setting: Setting) -> dict[str, Any]:
    """The most specific of what a route says about a filter is said by the routes, the one before by their host."""
    host_says, route_says = _said(setting, -2), _said(setting, -1)
    upstream, canary = (f"{name}2" if setting.http2 else name for name in CLUSTERS)
    matches = [
        ({"prefix": "/", "headers": [{"name": "x-canary", "present_match": True}]}, canary),
        ({"prefix": "/canary"}, canary),
        ({"prefix": "/"}, upstream),
    ]
    host = {
        "name": "all",
        "domains": ["*"],
        "routes": [
            {"match": match, "route": {"cluster": cluster, "timeout": "0s"}, "typed_per_filter_config": route_says}
            for match, cluster in matches
        ],
    }
    return {"virtual_hosts": [{**host, "typed_per_filter_config": host_says}]}


def _said(setting: Setting, place: int) -> dict[str, Any]:
    """What is said about the filters in one place, counted from the most specific one."""
    filters = {"ext_proc": setting.config, "ext_proc_2": setting.second}
    return {
        name: per_route(config.per_route[place])
        for name, config in filters.items()
        if config is not None and len(config.per_route) >= -place
    }


def _forwards(config: ExtProcConfig) -> bool:
    options = [config.metadata_options, *(said.metadata_options for said in config.per_route)]
    return any(option is not None and option.forwarding is not None for option in options)


def _given() -> dict[str, Any]:
    namespaces = [{"metadata_namespace": name, "value": value} for name, value in GIVEN.items()]
    return {"name": "given", "typed_config": {"@type": _METADATA, "metadata": namespaces}}


def _access_log() -> dict[str, Any]:
    line = {
        "details": "%RESPONSE_CODE_DETAILS%",
        "flags": "%RESPONSE_FLAGS%",
        "cluster": "%UPSTREAM_CLUSTER%",
        "status": "%RESPONSE_CODE%",
        "metadata": {name: f"%DYNAMIC_METADATA({name})%" for name in TOLD},
    }
    config = {"@type": _FILE_LOG, "path": "/dev/stdout", "log_format": {"json_format": line}}
    return {"name": "file", "typed_config": config}


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
