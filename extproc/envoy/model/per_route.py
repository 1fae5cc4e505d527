"""`PerRoute`: what a virtual host or a route changes of an ext_proc filter."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from extproc.envoy.model.options import MetadataOptions
    from extproc.envoy.model.processing_mode import ProcessingMode

__all__ = ["PerRoute"]


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
