"""All scenarios, from the modules under ``scenarios``."""

from __future__ import annotations

import importlib
from pathlib import Path
from types import ModuleType

from tests.envoy.scenario import Scenario

__all__ = ["MODULES", "SCENARIOS"]

_FOLDER = Path(__file__).parent / "scenarios"


def _module(path: Path) -> ModuleType:
    return importlib.import_module(
        ".".join(("tests.envoy.scenarios", *path.relative_to(_FOLDER).with_suffix("").parts))
    )


MODULES: dict[str, ModuleType] = {
    str(path.relative_to(_FOLDER).with_suffix("")): _module(path) for path in sorted(_FOLDER.rglob("*.py"))
}
"""By their path below ``scenarios``."""

SCENARIOS: list[Scenario] = [scenario for module in MODULES.values() for scenario in module.SCENARIOS]
