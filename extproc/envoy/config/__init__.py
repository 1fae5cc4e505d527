"""Envoy's configuration for a chain, as a bootstrap file."""

from __future__ import annotations

from extproc.envoy.config.bootstrap import bootstrap
from extproc.envoy.config.options import EnvoyOptions, Layout, ProcessorTls, Route

__all__ = ["EnvoyOptions", "Layout", "ProcessorTls", "Route", "bootstrap"]
