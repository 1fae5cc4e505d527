"""All scenarios, from the modules under ``scenarios``."""

from __future__ import annotations

import importlib
from dataclasses import replace
from pathlib import Path
from types import ModuleType

from tests.envoy.scenario import Scenario

__all__ = ["HTTP1_ONLY", "MODULES", "SCENARIOS"]

_FOLDER = Path(__file__).parent / "scenarios"


def _module(path: Path) -> ModuleType:
    return importlib.import_module(
        ".".join(("tests.envoy.scenarios", *path.relative_to(_FOLDER).with_suffix("").parts))
    )


MODULES: dict[str, ModuleType] = {
    str(path.relative_to(_FOLDER).with_suffix("")): _module(path) for path in sorted(_FOLDER.rglob("*.py"))
}
"""By their path below ``scenarios``."""

_WRITTEN: list[Scenario] = [scenario for module in MODULES.values() for scenario in module.SCENARIOS]

_TOO_MANY = "over HTTP/2, Envoy resets such a request before any filter sees it"
HTTP1_ONLY = {
    "too-many-already-unedited": _TOO_MANY,
    "too-many-already-fails-on-any-edit": _TOO_MANY,
    "too-many-already-cured": _TOO_MANY,
    "filter-edits-a-header-where-there-are-too-many-already": _TOO_MANY,
    "append-to-set-cookie-and-what-follows": "over HTTP/2, trailers must not have `te`",
}
"""Scenarios that cannot be had over HTTP/2, and why. Nor can those with another protocol: there it is a CONNECT."""

SCENARIOS = [
    *_WRITTEN,
    *(
        replace(scenario, name=f"{scenario.name}-http2", http2=True)
        for scenario in _WRITTEN
        if not scenario.http2 and scenario.name not in HTTP1_ONLY and scenario.request.get("upgrade") is None
    ),
]
"""As they are written, over HTTP/1.1, and the same over HTTP/2."""
