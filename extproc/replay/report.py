"""What a replay found: counted while it runs, then told to a terminal or as JSON."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeAlias

from rich.text import Text

from extproc.replay.codec import json_bytes
from extproc.replay.diff import Comparison, Difference, Verdict
from extproc.replay.shown import body_difference, harmless, shown_values

if TYPE_CHECKING:
    from pathlib import Path

    from rich.console import Console

__all__ = ["Report", "as_json", "print_report"]

_Say: TypeAlias = Callable[..., None]
"""Prints a line made of parts, each with its style."""

_SAME, _DIFFERENT, _CANNOT = 0, 1, 2


@dataclass(slots=True)
class _Kind:
    """Differences of one kind: how many exchanges have it, and the first of them."""

    exchanges: int
    example: str


class Report:
    """Counts comparisons; of those that differ it keeps as many as are to be shown.

    Attributes:
        captures: how many exchanges each capture held.
        verdicts: how many exchanges came out how.
        reasons: why exchanges could not be compared, and how many.
        examples: exchanges that differ.
        notes: what else is to be known, one sentence each.
    """

    def __init__(self, show: int | None) -> None:
        """Keeps at most `show` examples; None: all."""
        self.captures: dict[str, int] = {}
        self.verdicts: Counter[Verdict] = Counter()
        self.reasons: Counter[str] = Counter()
        self.examples: list[Comparison] = []
        self.notes: list[str] = []
        self._kinds: dict[str, _Kind] = {}
        self._show = show

    def add(self, capture: Path, comparison: Comparison) -> None:
        """Counts an exchange."""
        name = str(capture)
        self.captures[name] = self.captures.get(name, 0) + 1
        self.verdicts[comparison.verdict] += 1
        if comparison.reason:
            self.reasons[comparison.reason] += 1
        for kind in dict.fromkeys(kind_of(difference) for difference in comparison.differences):
            self._kinds.setdefault(kind, _Kind(0, comparison.id)).exchanges += 1
        if comparison.differences and (self._show is None or len(self.examples) < self._show):
            self.examples.append(comparison)

    @property
    def exchanges(self) -> int:
        """How many exchanges there were."""
        return self.verdicts.total()

    @property
    def kinds(self) -> dict[str, tuple[int, str]]:
        """What differs: how many exchanges, and the id of one; the most frequent first."""
        found = sorted(self._kinds.items(), key=lambda item: -item[1].exchanges)
        return {kind: (count.exchanges, count.example) for kind, count in found}

    @property
    def exit_status(self) -> int:
        """0: all the same; 1: something differs; 2: some or all exchanges could not be compared."""
        if self.verdicts[Verdict.DIFFERENT]:
            return _DIFFERENT
        if self.verdicts[Verdict.NOT_CAPTURED] or not self.verdicts[Verdict.SAME]:
            return _CANNOT
        return _SAME


def kind_of(difference: Difference) -> str:
    """What differs, without the values: equal for differences that probably have one cause."""
    if difference.side == "decision":
        return f"was {shown_values(difference.before)}, now {shown_values(difference.after)}"
    by = f" (by {difference.cause})" if difference.cause and difference.side != "filter" else ""
    return f"{difference.side} {difference.what}{by}"


# JSON


def as_json(report: Report) -> dict[str, Any]:
    """The report as a JSON object."""
    return {
        "captures": report.captures,
        "exchanges": report.exchanges,
        "verdicts": {verdict.value: report.verdicts[verdict] for verdict in Verdict},
        "kinds": [
            {"what": kind, "exchanges": count, "example": example} for kind, (count, example) in report.kinds.items()
        ],
        "reasons": dict(report.reasons),
        "notes": report.notes,
        "different": [
            {
                "id": comparison.id,
                "request": comparison.request,
                "differences": [_difference_json(difference) for difference in comparison.differences],
            }
            for comparison in report.examples
        ],
        "exit_status": report.exit_status,
    }


def _difference_json(difference: Difference) -> dict[str, Any]:
    return {
        "side": difference.side,
        "what": difference.what,
        "before": [json_bytes(value) for value in difference.before],
        "after": [json_bytes(value) for value in difference.after],
        "cause": difference.cause,
    }


# Terminal


def print_report(report: Report, console: Console) -> None:
    """Tells it to a terminal: the exchanges that differ, then the sum."""

    def say(*parts: tuple[str, str]) -> None:
        safe = [(harmless(text), style) for text, style in parts]
        console.print(Text.assemble(*safe), soft_wrap=True, highlight=False)

    for comparison in report.examples:
        say((comparison.id, "bold"), ("  " + comparison.request, ""))
        for difference in comparison.differences:
            _print_difference(difference, say)
    hidden = report.verdicts[Verdict.DIFFERENT] - len(report.examples)
    if hidden:
        say((f"… and {hidden} more that differ (--show {report.verdicts[Verdict.DIFFERENT]} shows them all)", "dim"))
    _print_sum(report, say)


def _print_difference(difference: Difference, say: _Say) -> None:
    cause = (f"  by {difference.cause}", "cyan") if difference.cause else ("", "")
    before, after = (shown_values(difference.before), "red"), (shown_values(difference.after), "green")
    if difference.side == "decision":
        say(("   was ", ""), before, (", now ", ""), after)
    elif difference.what == "body":
        say((f"   {difference.side} body", ""), cause)
        for line in body_difference(b"".join(difference.before), b"".join(difference.after)):
            say(("      " + line, {"-": "red", "+": "green"}.get(line[:1], "dim")))
    else:
        say((f"   {difference.side} {difference.what}: ", ""), before, (" → ", ""), after, cause)


def _print_sum(report: Report, say: _Say) -> None:
    counts = [(verdict.value, report.verdicts[verdict]) for verdict in Verdict]
    said = ", ".join(f"{count} {name}" for name, count in counts if count) or "nothing to compare"
    style = {_SAME: "bold green", _DIFFERENT: "bold red", _CANNOT: "bold yellow"}[report.exit_status]
    say((f"{report.exchanges} exchanges: {said}", style))
    width = max((len(str(count)) for count, _ in report.kinds.values()), default=0)
    for kind, (count, example) in report.kinds.items():
        say((f"   {count:>{width}}  {kind}", ""), (f"  such as {example}", "dim"))
    for reason, count in report.reasons.most_common():
        say((f"   {count}  {reason}", "yellow"))
    for note in report.notes:
        say((f"note: {note}", "yellow"))
