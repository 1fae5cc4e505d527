"""Write Envoy ext_proc filters as Python classes.

The public API, and nothing else: a name that is not here may change without notice.
"""

from __future__ import annotations

from extproc.chain import Chain, Use
from extproc.errors import (
    BudgetError,
    CaptureError,
    ConfigError,
    ConfigProblem,
    EnvoyError,
    ExtprocError,
    FilterError,
    HeaderError,
    HookError,
    LimitError,
    OffloadError,
    PeerError,
    PhaseError,
    ServerError,
)
from extproc.exchange import Exchange
from extproc.filter import ChunkResult, Filter, HookResult, Needs
from extproc.guard import check_authority, check_name, check_value
from extproc.headers import Headers
from extproc.http import Request, Response
from extproc.phases import BodyMode, Direction, Phase
from extproc.when import When, canonical_path

__all__ = [
    "BodyMode",
    "BudgetError",
    "CaptureError",
    "Chain",
    "ChunkResult",
    "ConfigError",
    "ConfigProblem",
    "Direction",
    "EnvoyError",
    "Exchange",
    "ExtprocError",
    "Filter",
    "FilterError",
    "HeaderError",
    "Headers",
    "HookError",
    "HookResult",
    "LimitError",
    "Needs",
    "OffloadError",
    "PeerError",
    "Phase",
    "PhaseError",
    "Request",
    "Response",
    "ServerError",
    "Use",
    "When",
    "canonical_path",
    "check_authority",
    "check_name",
    "check_value",
]
