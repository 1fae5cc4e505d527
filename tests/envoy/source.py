"""A scenario as Python that can be pasted into a table."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import MISSING, fields, is_dataclass
from enum import Enum
from typing import Any

from extproc.wire.ext_proc_pb2 import ProcessingResponse
from tests.envoy.scenario import Scenario

__all__ = ["source"]


def source(scenario: Scenario) -> str:
    """The scenario; what is as it is by default is left out. A formatter will have to make it readable."""
    return f"{_source(scenario)},"


def _source(value: Any) -> str:
    if isinstance(value, ProcessingResponse):
        return f"parsed({' '.join(str(value).split())!r})"
    if isinstance(value, Enum):
        return f"{type(value).__name__}.{value.name}"
    if is_dataclass(value) and not isinstance(value, type):
        return f"{type(value).__name__}({', '.join(_fields(value))})"
    if isinstance(value, Mapping):
        return "{" + ", ".join(f"{_source(key)}: {_source(item)}" for key, item in value.items()) + "}"
    if isinstance(value, tuple):
        return f"({', '.join(map(_source, value))}{',' if len(value) == 1 else ''})"
    if isinstance(value, list):
        return f"[{', '.join(map(_source, value))}]"
    return repr(value)


def _fields(value: Any) -> list[str]:
    shown: list[str] = []
    for field in fields(value):
        default = field.default_factory() if field.default_factory is not MISSING else field.default
        if getattr(value, field.name) != default:
            shown.append(f"{field.name}={_source(getattr(value, field.name))}")
    return shown
