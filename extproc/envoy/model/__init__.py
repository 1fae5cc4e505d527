"""An in-process model of the ext_proc filter of Envoy 1.40: what the upstream and the client would have seen.

It plays Envoy's side of the stream against anything that answers messages: an exchange machine, recorded answers, a
script of illegal ones. Every rule in here is held against the real binary by ``tests/envoy/test_model.py``.
"""

from __future__ import annotations

from extproc.envoy.model.config import ExtProcConfig, MutationRules, ProcessingMode
from extproc.envoy.model.play import Ask, EnvoyModel, Forward, Processor, Step, Upstream
from extproc.envoy.model.values import Close, HttpMessage, Outcome, Reply, Unhandled

__all__ = [
    "Ask",
    "Close",
    "EnvoyModel",
    "ExtProcConfig",
    "Forward",
    "HttpMessage",
    "MutationRules",
    "Outcome",
    "ProcessingMode",
    "Processor",
    "Reply",
    "Step",
    "Unhandled",
    "Upstream",
]
