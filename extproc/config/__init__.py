"""Configuration: chain files and ``module:attribute`` to chains, names to filters, and the JSON Schema of it all."""

from __future__ import annotations

from extproc.config.find import find_filter
from extproc.config.load import load_chain
from extproc.config.schema import chain_schema

__all__ = ["chain_schema", "find_filter", "load_chain"]
