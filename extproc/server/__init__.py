"""Fronts: what stands between Envoy's gRPC streams and a chain."""

from __future__ import annotations

from extproc.server.grpcio import GrpcioFront
from extproc.server.serve import serve

__all__ = ["GrpcioFront", "serve"]
