"""The nearest known name for a misspelled one."""

from __future__ import annotations

import difflib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

__all__ = ["hint", "nearest"]


def nearest(name: str, known: Iterable[str]) -> str:
    """``: did you mean 'NAME'?``, or nothing when no known name is near; case and ``-`` do not count."""
    folded = {item.lower().replace("-", "_"): item for item in known}
    close = difflib.get_close_matches(name.lower().replace("-", "_"), folded, n=1)
    return f": did you mean '{folded[close[0]]}'?" if close else ""


def hint(name: str, known: Iterable[str], *, kind: str) -> str:
    """The end of a sentence about an unknown `name`: what was meant, else what there is; `kind` is in the plural."""
    names = sorted(set(known))
    return nearest(name, names) or (f": the {kind} are {', '.join(names)}" if names else f": there are no {kind}")
