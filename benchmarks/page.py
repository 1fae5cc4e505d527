"""Writes ``docs/performance.md`` and its plot from ``results.json``."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from benchmarks.exchanges import BARE
from benchmarks.plot import Bar, bars
from benchmarks.results import TABLES, read, text

if TYPE_CHECKING:
    from benchmarks.results import Section

__all__ = ["files", "write"]

_DOCS = Path(__file__).resolve().parents[1] / "docs"
_GO = (0.08, 0.14)
"""grpc-go 35 to 60 µs where grpc.aio took 400 to 460 µs: 35/430 to 60/430."""

_HEAD = """\
<!-- Written by `make bench`: change benchmarks/page.py, not this. -->

# Performance

What a filter costs, measured through a real Envoy. Every number is from `make bench` on one machine, and what counts
is the **ratio** to what one would write by hand with `grpc.aio`: the same answer, no SDK. The machine's own speed drops
out of a ratio; it does not drop out of microseconds.

![CPU per exchange, as a ratio to a bare grpc.aio servicer](performance.svg)

The dashed bar was **not measured in this run**: it is grpc-go as measured elsewhere (35 to 60 µs where `grpc.aio` took
400 to 460 µs on the same machine). `make bench` has no Go tool chain to measure it with.
"""

_MACHINE = """\
The machine had {cores} cores, and at the end of the run a load of {load}. The benchmark by itself makes a load of about
3: the further above that, the busier the machine was with other work, and the less do microseconds and latencies mean.
Wake-ups then find cold caches, which costs a processor that does little in each of them the most, so ratios suffer too.
"""

_NOTES = {
    "exchanges": """\
## An exchange

An exchange is an HTTP request that Envoy asks the processor about; except in the rows named `2-messages` and
`demo-chain`, that is one message, the request's headers, and the answer sets one header (`4-filters`: checks an API key
and takes it away, sets three headers, counts against a rate limit, chooses a variant). `empty` has no filter.
`demo-chain` is the chain of `make demo` as it is, which also edits the response, so that Envoy asks twice in an
exchange; its fair base is `bare-grpc-aio-2-messages`. `unix` is over a unix socket, everything else over loopback TCP.
""",
    "bodies": """\
## A streamed body

Bodies of 4 MiB in chunks of 64 KiB, sent as fast as Envoy takes them. The filter changes every chunk, so every byte
goes to the processor and comes back. The base is a bare servicer in the same body mode.
""",
    "latency": """\
## What a client notices

One Envoy worker, and as many requests under way as there are connections. `added` is over the same Envoy without
ext_proc. Load generator, upstream, Envoy and processor share the machine, so with many connections a time is mostly
waiting for a core, and `exchanges/s` is what the machine has left for Envoy.
""",
    "footprint": """\
## Starting

`extproc serve` with the demo's chain, from the command to the line that says it is ready; and its memory then.
""",
    "idle": """\
## Idle streams

10,000 exchanges whose requests are answered and whose responses have not come, through the demo's chain, all open at
once. What each takes includes the headers that the filters may still look at.
""",
    "abort": """\
## Clients that break off

`python -m benchmarks.hangups`: requests through a real Envoy to a chain whose hooks suspend; clients close the
connection at a random moment, and Envoy resets the stream. Afterwards nothing may be left.
""",
    "h2load": """\
## Without Envoy

Driven directly by `h2load`, where it is installed: 16 streams at a time on one connection.
""",
}

_METHOD = """\
## Method

- Every processor runs in a process of its own, behind an Envoy of its own with one worker. All run at the same time and
  get their turns in rounds, so that drift of the machine hits all rows alike. The first round only warms up.
- CPU is user and system time of all threads of the processor, by `getrusage`, before and after each round. Ratios are
  taken within each round; a row is the median of its rounds. `halves differ by` compares the medians of the first and
  the second half of the rounds: how far a ratio can be trusted.
- The client keeps its connections alive and sends its next request when the last one is answered. Client and upstream
  are small asyncio protocols in one process. `results.json` says how busy that process was: it was never the limit.
- Memory is resident memory. For idle streams it is the difference between before and after, divided by their number.
- `make bench` takes a few minutes. `benchmarks/` is a hundred lines for each of these tables.
"""


def files() -> dict[Path, str]:
    """The page and its plot, as they have to be."""
    sections = read()
    parts = [_HEAD, *(_MACHINE.format(**machine) for machine in sections.get("machine", []))]
    parts += [f"{_NOTES[name]}\n{_table(name, sections[name])}" for name in TABLES if name in sections]
    return {
        _DOCS / "performance.md": "\n".join([*parts, _METHOD]),
        _DOCS / "performance.svg": _plot(sections.get("exchanges", [])),
    }


def _table(section: str, rows: Section) -> str:
    _, columns = TABLES[section]
    lines = ["| " + " | ".join(columns.values()) + " |", "|" + "---|" + "--:|" * (len(columns) - 1)]
    lines += ["| " + " | ".join(text(key, row.get(key)) for key in columns) + " |" for row in rows]
    return "\n".join(lines) + "\n"


def _plot(rows: Section) -> str:
    items = [Bar(row["name"], row["ratio"], "ours" if row["name"].startswith("native") else "base") for row in rows]
    place = [row["name"] for row in rows].index(BARE) + 1 if rows else 0
    items.insert(place, Bar("grpc-go (elsewhere)", _GO[0], "theirs", upto=_GO[1]))
    return bars("Processor CPU for an exchange", "ratio to a bare grpc.aio servicer; shorter is better", items)


def write() -> None:
    """Writes both."""
    for path, fresh in files().items():
        path.write_text(fresh)


if __name__ == "__main__":
    write()
