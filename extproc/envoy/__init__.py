"""Envoy: a model of its ext_proc filter, its configuration, and the real binary."""

from __future__ import annotations
