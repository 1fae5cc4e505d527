"""The listener: HTTP as it comes in, the routes, the access log."""

from __future__ import annotations

from typing import TYPE_CHECKING

from extproc.envoy.config import types as v3
from extproc.envoy.config.clusters import address
from extproc.envoy.config.ext_proc import external_processor
from extproc.envoy.config.text import to_any

if TYPE_CHECKING:
    from extproc.envoy.asked import Asked
    from extproc.envoy.config.options import EnvoyOptions, Route

__all__ = ["INGRESS", "UPSTREAM", "listener"]

INGRESS = "ingress"
"""The name of the listener, its routes and its statistics."""

UPSTREAM = "upstream"
"""The cluster that requests go to by default."""

_EXT_PROC = "envoy.filters.http.ext_proc"

_LOGGED = {
    "start_time": "%START_TIME%",
    "method": "%REQ(:METHOD)%",
    "path": "%PATH(NQ:ORIG_OR_PATH)%",  # without the query, where secrets are
    "protocol": "%PROTOCOL%",
    "response_code": "%RESPONSE_CODE%",
    "response_code_details": "%RESPONSE_CODE_DETAILS%",
    "response_flags": "%RESPONSE_FLAGS%",
    "upstream_cluster": "%UPSTREAM_CLUSTER%",
    "bytes_received": "%BYTES_RECEIVED%",
    "bytes_sent": "%BYTES_SENT%",
    "duration": "%DURATION%",
    "request_id": "%REQ(X-REQUEST-ID)%",
    "ext_proc": f"%FILTER_STATE({_EXT_PROC}:PLAIN)%",  # per step: latency in us, gRPC status; bytes each way
}


def listener(asked: Asked, options: EnvoyOptions, *, trailers: bool) -> v3.listener.Listener:
    """The listener, down to the routes."""
    manager = _connection_manager(asked, options, trailers=trailers)
    network = v3.listener.Filter(name="envoy.filters.network.http_connection_manager", typed_config=to_any(manager))
    return v3.listener.Listener(
        name=INGRESS,
        address=address(options.listen),
        per_connection_buffer_limit_bytes=options.buffer_limit,
        filter_chains=[v3.listener.FilterChain(filters=[network])],
    )


def _connection_manager(asked: Asked, options: EnvoyOptions, *, trailers: bool) -> v3.hcm.HttpConnectionManager:
    """Hardened as Envoy's guide for edge proxies has it: what filters judge is what the upstream will see."""
    escaped_slashes = v3.hcm.HttpConnectionManagerPathWithEscapedSlashesAction.UNESCAPE_AND_REDIRECT
    return v3.hcm.HttpConnectionManager(
        stat_prefix=INGRESS,
        access_log=[_access_log(asked, options)],
        route_config=_routes(options),
        http_filters=[
            _filter(_EXT_PROC, external_processor(asked, options)),
            _filter("envoy.filters.http.router", v3.router.Router()),
        ],
        common_http_protocol_options=v3.core.HttpProtocolOptions(headers_with_underscores_action=_underscores(options)),
        http_protocol_options=v3.core.Http1ProtocolOptions(enable_trailers=True) if trailers else None,
        use_remote_address=options.edge,
        preserve_external_request_id=not options.edge,
        normalize_path=True,
        merge_slashes=True,
        path_with_escaped_slashes_action=escaped_slashes,
    )


def _underscores(options: EnvoyOptions) -> v3.core.HttpProtocolOptionsHeadersWithUnderscoresAction:
    """From strangers, none: behind CGI and WSGI ``x_user`` is ``x-user``, which no filter would have looked at."""
    actions = v3.core.HttpProtocolOptionsHeadersWithUnderscoresAction
    return actions.REJECT_REQUEST if options.edge else actions.ALLOW


def _filter(name: str, config: v3.Message) -> v3.hcm.HttpFilter:
    return v3.hcm.HttpFilter(name=name, typed_config=to_any(config))


def _routes(options: EnvoyOptions) -> v3.route.RouteConfiguration:
    default = v3.route.Route(match=v3.route.RouteMatch(prefix="/"), route=v3.route.RouteAction(cluster=UPSTREAM))
    everything = v3.route.VirtualHost(
        name="all", domains=["*"], routes=[*(_route(item) for item in options.routes), default]
    )
    return v3.route.RouteConfiguration(name=INGRESS, virtual_hosts=[everything])


def _route(item: Route) -> v3.route.Route:
    off = to_any(v3.ext_proc.ExtProcPerRoute(disabled=True))
    return v3.route.Route(
        match=v3.route.RouteMatch(
            prefix=item.prefix, headers=[_header_match(name, value) for name, value in item.headers.items()]
        ),
        route=v3.route.RouteAction(cluster=item.name),
        typed_per_filter_config={} if item.processed else {_EXT_PROC: off},
    )


def _header_match(name: str, value: str) -> v3.route.HeaderMatcher:
    return v3.route.HeaderMatcher(name=name, string_match=v3.matcher.StringMatcher(exact=value))


def _access_log(asked: Asked, options: EnvoyOptions) -> v3.accesslog.AccessLog:
    fields: dict[str, object] = dict(_LOGGED)
    if asked.needs.metadata_out:
        fields["metadata"] = {name: f"%DYNAMIC_METADATA({name})%" for name in sorted(asked.needs.metadata_out)}
    shape = v3.core.SubstitutionFormatString(json_format=v3.well_known.Struct.from_dict(fields))
    if options.access_log:
        to_file = v3.file_log.FileAccessLog(path=options.access_log, log_format=shape)
        return v3.accesslog.AccessLog(name="envoy.access_loggers.file", typed_config=to_any(to_file))
    to_stdout = v3.stream_log.StdoutAccessLog(log_format=shape)
    return v3.accesslog.AccessLog(name="envoy.access_loggers.stdout", typed_config=to_any(to_stdout))
