"""What a filter's author imports in tests."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from extproc.testing.gateway import Gateway

__all__ = ["Gateway"]


def __getattr__(name: str) -> object:
    """Imports what needs the `envoy` extra only when it is asked for."""
    if name == "Gateway":
        from extproc.testing.gateway import Gateway  # noqa: PLC0415

        return Gateway
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
