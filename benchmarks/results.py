"""What a run comes to: one JSON file, in sections; and each section as a table on the terminal."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, TypeAlias

from rich.table import Table

from benchmarks import exchanges

__all__ = ["RESULTS", "TABLES", "Section", "read", "table", "write"]

Section: TypeAlias = list[dict[str, Any]]

RESULTS = Path(__file__).with_name("results.json")

TABLES: dict[str, tuple[str, dict[str, str]]] = {
    "exchanges": (
        f"CPU of the processor for an exchange, {exchanges.CONNECTIONS} connections",
        {"name": "processor", "us": "µs", "ratio": "ratio to bare", "halves": "halves differ by"},
    ),
    "bodies": (
        "CPU of the processor for a streamed body",
        {"name": "processor", "us_per_mib": "µs per MiB", "ratio": "ratio to bare"},
    ),
    "latency": (
        "Through one Envoy worker",
        {
            "name": "processor",
            "connections": "connections",
            "per_second": "exchanges/s",
            "us": "CPU µs",
            "ratio": "ratio to bare",
            "p50_ms": "p50 ms",
            "p99_ms": "p99 ms",
            "added_p50_ms": "added p50",
            "added_p99_ms": "added p99",
        },
    ),
    "footprint": ("Starting", {"name": "command", "ms": "ms until ready", "mib": "MiB resident"}),
    "idle": (
        "Open, idle streams in one process",
        {
            "name": "front",
            "streams": "streams held",
            "ended_early": "ended early",
            "kib_per_stream": "KiB for each",
            "tasks_left": "tasks left afterwards",
        },
    ),
    "abort": (
        "Exchanges whose clients break off at random",
        {
            "name": "front",
            "exchanges": "exchanges",
            "aborted": "broken off",
            "sessions_left": "streams left",
            "tasks_left": "tasks left",
            "blocks_before": "memory blocks before",
            "blocks_left": "more afterwards",
            "grown_mib": "MiB grown",
        },
    ),
    "h2load": (
        "Driven by h2load, without Envoy",
        {"name": "processor", "per_second": "exchanges/s", "us": "CPU µs", "ratio": "ratio to bare"},
    ),
}
"""Each section's title, and its columns: key and heading."""


def read() -> dict[str, Section]:
    """The results as they stand in the file."""
    found: dict[str, Section] = json.loads(RESULTS.read_text())
    return found


def write(sections: dict[str, Section]) -> None:
    """Puts sections into the file; those that were not measured this time stay as they are."""
    merged = {**(read() if RESULTS.exists() else {}), **sections}
    RESULTS.write_text(json.dumps(merged, indent=2) + "\n")


def table(section: str, rows: Section) -> Table:
    """A section, for a terminal."""
    title, columns = TABLES[section]
    shown = Table(title=title, title_justify="left")
    for key, heading in columns.items():
        shown.add_column(heading, justify="left" if key in ("name", "front") else "right")
    for row in rows:
        shown.add_row(*(text(key, row.get(key)) for key in columns))
    return shown


def text(key: str, value: object) -> str:
    """A value, as tables show it."""
    if value is None:
        return ""
    if key == "halves" and isinstance(value, float):
        return f"{value:.1%}"
    return f"{value:,}" if isinstance(value, int) else str(value)
