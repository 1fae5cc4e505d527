"""Envoy's configuration types, under short names; from the `envoy` extra."""

from __future__ import annotations

import warnings

from extproc.envoy.extra import missing

try:
    with warnings.catch_warnings():
        # envoy-data-plane 2.2 declares its validators the way pydantic 2.12 moved away from; not our users' concern.
        warnings.simplefilter("ignore", DeprecationWarning)
        import envoy_data_plane.envoy.config.accesslog.v3 as accesslog
        import envoy_data_plane.envoy.config.bootstrap.v3 as bootstrap
        import envoy_data_plane.envoy.config.cluster.v3 as cluster
        import envoy_data_plane.envoy.config.common.mutation_rules.v3 as common
        import envoy_data_plane.envoy.config.core.v3 as core
        import envoy_data_plane.envoy.config.endpoint.v3 as endpoint
        import envoy_data_plane.envoy.config.listener.v3 as listener
        import envoy_data_plane.envoy.config.overload.v3 as overload
        import envoy_data_plane.envoy.config.route.v3 as route
        import envoy_data_plane.envoy.extensions.access_loggers.file.v3 as file_log
        import envoy_data_plane.envoy.extensions.access_loggers.stream.v3 as stream_log
        import envoy_data_plane.envoy.extensions.filters.http.ext_proc.v3 as ext_proc
        import envoy_data_plane.envoy.extensions.filters.http.router.v3 as router
        import envoy_data_plane.envoy.extensions.filters.network.http_connection_manager.v3 as hcm
        import envoy_data_plane.envoy.extensions.resource_monitors.downstream_connections.v3 as connections
        import envoy_data_plane.envoy.extensions.retry.host.previous_hosts.v3 as previous_hosts
        import envoy_data_plane.envoy.extensions.transport_sockets.tls.v3 as tls
        import envoy_data_plane.envoy.extensions.upstreams.http.v3 as upstream_http
        import envoy_data_plane.envoy.type.matcher.v3 as matcher
        import envoy_data_plane.google.protobuf as well_known
        from betterproto2 import Casing, Message
except ModuleNotFoundError as error:
    raise missing("envoy-data-plane") from error

__all__ = [
    "Casing",
    "Message",
    "accesslog",
    "bootstrap",
    "cluster",
    "common",
    "connections",
    "core",
    "endpoint",
    "ext_proc",
    "file_log",
    "hcm",
    "listener",
    "matcher",
    "overload",
    "previous_hosts",
    "route",
    "router",
    "stream_log",
    "tls",
    "upstream_http",
    "well_known",
]
