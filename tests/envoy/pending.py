"""Scenarios about which the model and the real Envoy do not agree yet: `python -m tests.envoy.agree NAME` says why."""

from __future__ import annotations

__all__ = ["PENDING"]

PENDING: frozenset[str] = frozenset()
