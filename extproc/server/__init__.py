"""Fronts: what stands between Envoy's gRPC streams and a chain."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

from extproc.server.bounds import Bounds
from extproc.server.fronts import DEFAULT_FRONT, FrontName, FrontOptions, new_front
from extproc.server.http2 import Http2Limits
from extproc.server.serve import serve

if TYPE_CHECKING:
    from extproc.server.grpcio import GrpcioFront
    from extproc.server.native import NativeFront

__all__ = [
    "DEFAULT_FRONT",
    "Bounds",
    "FrontName",
    "FrontOptions",
    "GrpcioFront",
    "Http2Limits",
    "NativeFront",
    "new_front",
    "serve",
]

_FRONTS = {"GrpcioFront": "extproc.server.grpcio", "NativeFront": "extproc.server.native"}


def __getattr__(name: str) -> object:
    """Imports a front when it is asked for: who serves with one has no use for the other."""
    if name in _FRONTS:
        return getattr(import_module(_FRONTS[name]), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
