"""`PerRoute`: what a virtual host or a route changes of an ext_proc filter."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import reduce
from typing import TYPE_CHECKING

from extproc.envoy.model.options import MetadataOptions
from extproc.envoy.model.processing_mode import ProcessingMode

if TYPE_CHECKING:
    from extproc.envoy.model.config import ExtProcConfig

__all__ = ["PerRoute", "routed"]


@dataclass(frozen=True, slots=True)
class PerRoute:
    """``ExtProcPerRoute``: either `disabled`, or overrides; None leaves what a less specific one says.

    (Envoy accepts ``request_attributes``, ``response_attributes`` and ``async_mode`` here and does nothing with them.)
    """

    disabled: bool = False
    """Nothing is asked; a more specific one without this asks again."""
    mode: ProcessingMode | None = None
    """Takes the place of the whole processing mode."""
    grpc_service: str | None = None
    """The name of the cluster that is asked instead."""
    metadata_options: MetadataOptions | None = None
    failure_mode_allow: bool | None = None
    grpc_initial_metadata: tuple[tuple[str, str], ...] = ()
    """Sent with the gRPC stream; an entry replaces one of its name from a less specific place."""


def routed(config: ExtProcConfig) -> ExtProcConfig:
    """The configuration with what virtual host and route change of it."""
    merged = reduce(_merge, config.per_route, PerRoute())
    if merged.disabled:
        return replace(config, mode=ProcessingMode(request_headers=False, response_headers=False))
    allow = merged.failure_mode_allow
    return replace(
        config,
        mode=config.mode if merged.mode is None else merged.mode,
        failure_mode_allow=config.failure_mode_allow if allow is None else allow,
        metadata_options=_over(config.metadata_options, merged.metadata_options),
    )


def _merge(less: PerRoute, more: PerRoute) -> PerRoute:
    """`more` is the more specific; what it does not say stays as `less` has it, but for `disabled`."""
    return PerRoute(
        disabled=more.disabled,
        mode=less.mode if more.mode is None and not more.disabled else more.mode,
        grpc_service=less.grpc_service if more.grpc_service is None else more.grpc_service,
        metadata_options=_over(less.metadata_options or MetadataOptions(), more.metadata_options),
        failure_mode_allow=less.failure_mode_allow if more.failure_mode_allow is None else more.failure_mode_allow,
        grpc_initial_metadata=tuple({**dict(less.grpc_initial_metadata), **dict(more.grpc_initial_metadata)}.items()),
    )


def _over(less: MetadataOptions, more: MetadataOptions | None) -> MetadataOptions:
    if more is None:
        return less
    return MetadataOptions(
        forwarding=more.forwarding or less.forwarding,
        receiving=more.receiving or less.receiving,
        cluster_forwarding=more.cluster_forwarding or less.cluster_forwarding,
    )
