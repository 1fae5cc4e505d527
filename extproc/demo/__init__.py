"""``extproc demo``: everything this SDK does, in one minute, on real traffic."""

from __future__ import annotations

from extproc.demo.story import tell

__all__ = ["tell"]
