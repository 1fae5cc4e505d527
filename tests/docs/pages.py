"""Markdown pages, as far as the tests look at them: fenced blocks, headings, links."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["PAGES", "ROOT", "Block", "Page"]

ROOT = Path(__file__).resolve().parents[2]

PAGES = sorted(
    path.relative_to(ROOT).as_posix()
    for pattern in ("README.md", "docs/*.md", "examples/README.md", "examples/*/README.md")
    for path in ROOT.glob(pattern)
)

_FENCE = re.compile(r"^```(\w*)\n(.*?)^```$", re.DOTALL | re.MULTILINE)
_TITLE = re.compile(r"# (?P<name>[\w/.-]+\.\w+)\n")
_HEADING = re.compile(r"^#+ (.+)$", re.MULTILINE)
_LINK = re.compile(r"\[[^\]]*\]\(([^)\s]+)\)")


@dataclass(frozen=True, slots=True)
class Block:
    """A fenced block.

    Attributes:
        kind: what stands after the fence.
        text: what is in it.
        line: where its text begins.
    """

    kind: str
    text: str
    line: int

    @property
    def title(self) -> str:
        """The file that it is: the first line names it in a comment, ``# chain.yaml``."""
        found = _TITLE.match(self.text)
        return found["name"] if found else ""


@dataclass(frozen=True, slots=True)
class Page:
    """A page, by its path in the repository."""

    path: Path

    @property
    def text(self) -> str:
        return self.path.read_text()

    def blocks(self) -> Iterator[Block]:
        for found in _FENCE.finditer(self.text):
            yield Block(found[1], found[2], self.text.count("\n", 0, found.start(2)) + 1)

    def fences(self) -> int:
        """How many lines open or close a block; all of them have to belong to `blocks`."""
        return sum(line.lstrip().startswith("```") for line in self.text.splitlines())

    def anchors(self) -> set[str]:
        """What a link may name after ``#``, as GitHub makes it of a heading."""
        headings = _HEADING.findall(_FENCE.sub("", self.text))
        return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}

    def links(self) -> list[str]:
        """What links within the repository point to."""
        return [link for link in _LINK.findall(_FENCE.sub("", self.text)) if "://" not in link]
