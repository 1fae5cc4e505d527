"""A bar chart as SVG, readable on light and dark pages."""

from __future__ import annotations

from dataclasses import dataclass
from html import escape
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["Bar", "bars"]

_WIDTH = 760
_LEFT = 190  # where bars begin
_RIGHT = 70  # room for the number behind the longest bar
_ROW = 26
_TOP = 56
_STYLE = """
  text { font: 13px system-ui, sans-serif; fill: #24292f; }
  .title { font-weight: 600; font-size: 15px; }
  .note { font-size: 12px; fill: #57606a; }
  .base { fill: #8c959f; }
  .ours { fill: #0969da; }
  .theirs { fill: none; stroke: #8c959f; stroke-dasharray: 4 3; }
  @media (prefers-color-scheme: dark) {
    text { fill: #e6edf3; }
    .note { fill: #9198a1; }
    .base { fill: #6e7681; }
    .ours { fill: #4493f8; }
    .theirs { stroke: #6e7681; }
  }
"""


@dataclass(frozen=True, slots=True)
class Bar:
    """One bar.

    Attributes:
        name: stands before it.
        value: its length.
        kind: ``base``, ``ours``, or ``theirs``: what was not measured.
        upto: for a range, where it ends; `value` is where it begins.
    """

    name: str
    value: float
    kind: str
    upto: float = 0.0

    @property
    def end(self) -> float:
        """Where it ends."""
        return max(self.value, self.upto)

    @property
    def label(self) -> str:
        """The number behind it."""
        return f"{self.value:.2f}" + (f" to {self.upto:.2f}" if self.upto else "")


def bars(title: str, note: str, items: Sequence[Bar]) -> str:
    """The chart."""
    height = _TOP + _ROW * len(items) + 12
    scale = (_WIDTH - _LEFT - _RIGHT) / max(item.end for item in items)
    lines = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_WIDTH} {height}" role="img">',
        f"<title>{escape(title)}</title>",
        f"<style>{_STYLE}</style>",
        f'<text class="title" x="8" y="20">{escape(title)}</text>',
        f'<text class="note" x="8" y="40">{escape(note)}</text>',
        *(_bar(item, _TOP + _ROW * number, scale) for number, item in enumerate(items)),
        "</svg>",
    ]
    return "\n".join(lines) + "\n"


def _bar(item: Bar, y: int, scale: float) -> str:
    start, end = _LEFT + scale * (item.value if item.upto else 0), _LEFT + scale * item.end
    width = max(1.0, end - start)
    return (
        f'<text x="{_LEFT - 8}" y="{y + 14}" text-anchor="end">{escape(item.name)}</text>'
        f'<rect class="{item.kind}" x="{start:.1f}" y="{y + 1}" width="{width:.1f}" height="18" rx="2"/>'
        f'<text x="{end + 6:.1f}" y="{y + 14}">{item.label}</text>'
    )
