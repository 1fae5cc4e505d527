"""Record exchanges into captures, replay them through a chain, and tell what differs."""

from __future__ import annotations
