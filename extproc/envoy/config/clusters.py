"""Clusters: the upstreams, and the processor."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING

from extproc.envoy.config import types as v3
from extproc.envoy.config.ext_proc import PROCESSOR
from extproc.envoy.config.options import is_ip, upstream_address
from extproc.envoy.config.text import to_any
from extproc.envoy.config.tls import transport_socket
from extproc.envoy.plain_http import split_address

if TYPE_CHECKING:
    from collections.abc import Sequence

    from extproc.envoy.config.options import EnvoyOptions

__all__ = ["address", "processor_cluster", "upstream_cluster"]

_HTTP_OPTIONS = "envoy.extensions.upstreams.http.v3.HttpProtocolOptions"
_SERVICE = "envoy.service.ext_proc.v3.ExternalProcessor"
_PLENTY = 65536
_MIB = 1024 * 1024


def processor_cluster(options: EnvoyOptions) -> v3.cluster.Cluster:
    """The cluster that ext_proc streams go to.

    An exchange holds a stream for as long as it lasts, so Envoy's default circuit breakers (1024 requests, 3 retries)
    would answer 500 on a busy day.
    """
    central = options.layout == "central"
    return v3.cluster.Cluster(
        name=PROCESSOR,
        type=_discovery(options.processors),
        connect_timeout=timedelta(seconds=1 if central else 0.25),
        lb_policy=v3.cluster.ClusterLbPolicy.LEAST_REQUEST if central else v3.cluster.ClusterLbPolicy.ROUND_ROBIN,
        load_assignment=_endpoints(PROCESSOR, options.processors),
        health_checks=[_health_check()] if central else [],
        circuit_breakers=v3.cluster.CircuitBreakers(
            thresholds=[
                v3.cluster.CircuitBreakersThresholds(
                    max_connections=_PLENTY, max_pending_requests=_PLENTY, max_requests=_PLENTY, max_retries=_PLENTY
                )
            ]
        ),
        typed_extension_protocol_options={_HTTP_OPTIONS: to_any(_http2(options))},
        outlier_detection=_outliers() if central else None,
        transport_socket=None if options.tls is None else transport_socket(options.tls, options.processor_name),
        dns_lookup_family=_lookup(options.processors),
    )


def upstream_cluster(name: str, upstream: str, options: EnvoyOptions, *, trailers: bool) -> v3.cluster.Cluster:
    """A cluster that requests go to, over HTTP/1.1."""
    http1 = v3.core.Http1ProtocolOptions(enable_trailers=trailers)
    explicit = v3.upstream_http.HttpProtocolOptionsExplicitHttpConfig(http_protocol_options=http1)
    protocol = v3.upstream_http.HttpProtocolOptions(explicit_http_config=explicit)
    where = [upstream_address(upstream)]
    return v3.cluster.Cluster(
        name=name,
        type=_discovery(where),
        connect_timeout=timedelta(seconds=1),
        per_connection_buffer_limit_bytes=options.buffer_limit,
        load_assignment=_endpoints(name, where),
        typed_extension_protocol_options={_HTTP_OPTIONS: to_any(protocol)},
        dns_lookup_family=_lookup(where),
    )


def address(text: str) -> v3.core.Address:
    """``HOST:PORT`` or ``unix:/path`` as Envoy writes it."""
    if text.startswith("unix:"):
        return v3.core.Address(pipe=v3.core.Pipe(path=text.removeprefix("unix:")))
    host, port = split_address(text)
    return v3.core.Address(socket_address=v3.core.SocketAddress(address=host, port_value=port))


def _discovery(addresses: Sequence[str]) -> v3.cluster.ClusterDiscoveryType:
    """By DNS where there are names: all addresses of a name are endpoints, as a headless service has them."""
    known = all(item.startswith("unix:") or is_ip(split_address(item)[0]) for item in addresses)
    return v3.cluster.ClusterDiscoveryType.STATIC if known else v3.cluster.ClusterDiscoveryType.STRICT_DNS


def _lookup(addresses: Sequence[str]) -> v3.cluster.ClusterDnsLookupFamily:
    """Both families where there are names; the default takes IPv6 alone, and ``localhost`` often listens on IPv4."""
    families = v3.cluster.ClusterDnsLookupFamily
    return families.ALL if _discovery(addresses) is v3.cluster.ClusterDiscoveryType.STRICT_DNS else families.AUTO


def _endpoints(name: str, addresses: Sequence[str]) -> v3.endpoint.ClusterLoadAssignment:
    hosts = [v3.endpoint.LbEndpoint(endpoint=v3.endpoint.Endpoint(address=address(item))) for item in addresses]
    return v3.endpoint.ClusterLoadAssignment(
        cluster_name=name, endpoints=[v3.endpoint.LocalityLbEndpoints(lb_endpoints=hosts)]
    )


def _http2(options: EnvoyOptions) -> v3.upstream_http.HttpProtocolOptions:
    """HTTP/2, as gRPC wants it; a stream's window holds one whole body, not the 16 MiB of Envoy's default."""
    window = max(_MIB, options.buffer_limit)
    http2 = v3.core.Http2ProtocolOptions(initial_stream_window_size=window, initial_connection_window_size=16 * window)
    explicit = v3.upstream_http.HttpProtocolOptionsExplicitHttpConfig(http2_protocol_options=http2)
    return v3.upstream_http.HttpProtocolOptions(explicit_http_config=explicit)


def _health_check() -> v3.core.HealthCheck:
    return v3.core.HealthCheck(
        timeout=timedelta(seconds=1),
        interval=timedelta(seconds=5),
        unhealthy_threshold=2,
        healthy_threshold=1,
        grpc_health_check=v3.core.HealthCheckGrpcHealthCheck(service_name=_SERVICE),
    )


def _outliers() -> v3.cluster.OutlierDetection:
    """Takes processors that failed five times running out of rotation for a while, at most half of them."""
    return v3.cluster.OutlierDetection(
        interval=timedelta(seconds=5),
        base_ejection_time=timedelta(seconds=10),
        max_ejection_percent=50,
    )
