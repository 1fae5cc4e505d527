"""The whole bootstrap."""

from __future__ import annotations

from typing import TYPE_CHECKING

from extproc.envoy.asked import Asked
from extproc.envoy.config import types as v3
from extproc.envoy.config.clusters import address, processor_cluster, upstream_cluster
from extproc.envoy.config.listener import UPSTREAM, listener
from extproc.envoy.config.options import EnvoyOptions
from extproc.envoy.config.text import to_any, to_yaml
from extproc.filter import Needs
from extproc.phases import Part

if TYPE_CHECKING:
    from extproc.chain import Chain

__all__ = ["bootstrap"]

_MAX_CONNECTIONS = 50_000
_DEFAULTS = EnvoyOptions()


def bootstrap(source: Chain | Needs, options: EnvoyOptions = _DEFAULTS, *, command: str = "") -> str:
    """A complete v3 bootstrap, as YAML, for an Envoy that asks a processor running `source` about every exchange.

    Args:
        source: the chain, or only what it needs; then Envoy waits one second for an answer and never goes on without.
        options: everything that is not the chain's business.
        command: what wrote the file; a comment says so.

    Raises:
        EnvoyError: a body mode of the options does not suit the chain.
    """
    asked = Asked.of(source)
    trailers = options.trailers or any(phase.part is Part.TRAILERS for phase in asked.needs.phases)
    config = v3.bootstrap.Bootstrap(
        node=v3.core.Node(id="extproc", cluster="extproc"),
        static_resources=v3.bootstrap.BootstrapStaticResources(
            listeners=[listener(asked, options, trailers=trailers)],
            clusters=[*_upstreams(options, trailers=trailers), processor_cluster(options)],
        ),
        admin=v3.bootstrap.Admin(address=address(options.admin)),
        overload_manager=_overload_manager(),
    )
    return _heading(source, asked, options, command) + to_yaml(config)


def _upstreams(options: EnvoyOptions, *, trailers: bool) -> list[v3.cluster.Cluster]:
    named = {UPSTREAM: options.upstream} | {route.name: route.upstream for route in options.routes}
    return [upstream_cluster(name, upstream, options, trailers=trailers) for name, upstream in named.items()]


def _overload_manager() -> v3.overload.OverloadManager:
    limit = v3.connections.DownstreamConnectionsConfig(max_active_downstream_connections=_MAX_CONNECTIONS)
    monitor = v3.overload.ResourceMonitor(
        name="envoy.resource_monitors.global_downstream_max_connections", typed_config=to_any(limit)
    )
    return v3.overload.OverloadManager(resource_monitors=[monitor])


def _heading(source: Chain | Needs, asked: Asked, options: EnvoyOptions, command: str) -> str:
    whose = "" if isinstance(source, Needs) else f" of {source!r}"
    where = "a sidecar" if options.layout == "sidecar" else "a central service"
    lines = [f"Envoy with the processor{whose} as {where}."]
    if command:
        lines.append(f"Generated: change the chain and run this again, {command}")
    timing = asked.told(options.message_timeout, options.margin)
    if timing is not None:
        told = f"--message-timeout {timing.message_timeout:g}s"
        told += f" --max-message-timeout {timing.max_message_timeout:g}s"
        lines.append(f"The processor has to know how long Envoy waits: extproc serve … {told}")
    return "".join(f"# {line}\n" for line in lines)
