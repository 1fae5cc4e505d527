"""Writes ``docs/performance.md`` and its plot from ``results.json``."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from benchmarks import bodies, exchanges, h2load, latency
from benchmarks.plot import Bar, bars
from benchmarks.results import TABLES, read, text

if TYPE_CHECKING:
    from benchmarks.results import Section

__all__ = ["files", "write"]

_DOCS = Path(__file__).resolve().parents[1] / "docs"
_GO = (0.08, 0.14)
"""grpc-go 35 to 60 µs where grpc.aio took 400 to 460 µs: 35/430 to 60/430."""

*_some, _last = map(str, latency.CONNECTIONS[:-1])
_FEWER = f"{', '.join(_some)} and {_last}"

_HEAD = """\
<!-- Written by `make bench`: change benchmarks/page.py, not this. -->

# Performance

What a filter costs, measured through a real Envoy. Every number is from `make bench` on one machine, and what counts
is the **ratio** to what one would write by hand with `grpc.aio`: the same answer, no SDK. The machine's own speed drops
out of a ratio; it does not drop out of microseconds.

![CPU per exchange, as a ratio to a bare grpc.aio servicer](performance.svg)
"""

_ELSEWHERE = """\
The dashed bar was **not measured in this run**: it is grpc-go as measured elsewhere (35 to 60 µs where `grpc.aio` took
400 to 460 µs on the same machine). `make bench` has no Go tool chain to measure it with; it measures [what you give
it](#a-processor-of-your-own).
"""

_OUTSIDE = """\
`{name}` is a processor that was [given to `make bench`](#a-processor-of-your-own), and measured in the same run.
"""

_MACHINE = """\
The machine had {cores} cores, and at the end of the run a load of {load}. The benchmark by itself makes a load of about
3: the further above that, the busier the machine was with other work, and the less do microseconds and latencies mean.
Wake-ups then find cold caches, which costs a processor that does little in each of them the most, so ratios suffer too.
"""

_NOTES = {
    "exchanges": f"""\
## An exchange

An exchange is an HTTP request that Envoy asks the processor about; except in the rows named `2-messages` and
`demo-chain`, that is one message, the request's headers, and the answer sets one header (`4-filters`: checks an API key
and takes it away, sets three headers, counts against a rate limit, chooses a variant). `empty` has no filter.
`demo-chain` is the chain of `make demo` as it is, which also edits the response, so that Envoy asks twice in an
exchange; its fair base is `bare-grpc-aio-2-messages`. `unix` is over a unix socket, everything else over loopback TCP.

Envoy has {exchanges.CONNECTIONS} requests under way: it is busy, which is when CPU matters, and several messages come
in one read. **With fewer, each costs more**, for the processor is woken for nearly every one: [the table of latencies
](#what-a-client-notices) has the same ratios at {_FEWER} connections.
""",
    "bodies": """\
## A streamed body

Bodies of 4 MiB in chunks of 64 KiB, sent as fast as Envoy takes them. The filter changes every chunk, so every byte
goes to the processor and comes back. The base is a bare servicer in the same body mode. FULL_DUPLEX_STREAMED is what
`extproc envoy config` writes for a filter that takes a body in pieces; in STREAMED, Envoy waits for the answer to each
chunk, so the processor goes to sleep more often.
""",
    "latency": """\
## What a client notices

One Envoy worker, and as many requests under way as there are connections. `added` is over the same Envoy without
ext_proc. Load generator, upstream, Envoy and processor share the machine, so with many connections a time is mostly
waiting for a core, and `exchanges/s` is what the machine has left for Envoy. `ratio to bare` is that of CPU, at as
many connections: with more under way, more messages come in one read, and whoever costs little for a message saves
most of its time there.
""",
    "footprint": """\
## Starting

`extproc serve` with the demo's chain, from the command to the line that says it is ready; and its memory then.
""",
    "idle": """\
## Idle streams

10,000 exchanges whose requests are answered and whose responses have not come, through the demo's chain, all open at
once. What each takes includes the headers that the filters may still look at; path, request ID and cookie are its own.
""",
    "abort": """\
## Clients that break off

`python -m benchmarks.hangups`, which is no part of `make bench`: requests through a real Envoy to a chain whose hooks
suspend; clients close the connection at a random moment, and Envoy resets the stream. Afterwards nothing may be left:
the process is looked at after 20,000 exchanges, and again 100,000 later. Memory blocks are those that Python has
allocated; what an exchange leaked would stand there 100,000 times. What else grows in `grpcio` is memory of gRPC's own
library.
""",
    "h2load": f"""\
## Without Envoy

Driven directly by `h2load`, where it is installed: {h2load.STREAMS} streams at a time on one connection.
""",
}

_METHOD = f"""\
## Method

- Every processor runs in a process of its own, behind an Envoy of its own with one worker (`--concurrency 1`), which
  keeps one HTTP/2 connection to it. All run at the same time and get their turns in rounds, so that drift of the
  machine hits all rows alike. The first round only warms up.
- Clients speak HTTP/1.1 to Envoy, one request at a time on each connection:

  | table | rounds | exchanges in a round | connections |
  |---|--:|--:|--:|
  | An exchange | {exchanges.ROUNDS} | {exchanges.EXCHANGES} | {exchanges.CONNECTIONS} |
  | A streamed body | {bodies.ROUNDS} | {bodies.EXCHANGES} | {bodies.CONNECTIONS} |
  | What a client notices | {latency.ROUNDS} | {latency.EXCHANGES} | {", ".join(map(str, latency.CONNECTIONS))} |
  | Without Envoy | {h2load.ROUNDS} | {h2load.EXCHANGES} | 1 |

- CPU is user and system time of all threads of the processor, by `getrusage`, before and after each round. Ratios are
  taken within each round; a row is the median of its rounds. `halves differ by` compares the medians of the first and
  the second half of the rounds: how far a ratio can be trusted.
- The client keeps its connections alive and sends its next request when the last one is answered. Client and upstream
  are small asyncio protocols in one process. `results.json` says how busy that process was: it was never the limit.
- Python is what `make bench` finds. One that was built without `--enable-optimizations`, as pyenv does it unless told
  otherwise, takes about a fifth more time for the same Python code than that of a distribution or of an official
  image, and so does a processor of Python; gRPC's own library does not notice.
- Memory is resident memory. For idle streams it is the difference between before and after, divided by their number.
- `make bench` takes a few minutes; `python -m benchmarks idle` runs one part of it, here that of the idle
  streams. `benchmarks/` is a hundred lines for each of these tables.

### A processor of your own

`BENCH_OUTSIDE="NAME=COMMAND" make bench` measures one more processor, in whatever language, as a row `NAME` beside
`bare-grpc-aio`. The command starts a process that

- serves `envoy.service.ext_proc.v3.ExternalProcessor` over plaintext HTTP/2 on a free port of loopback, and writes the
  address to standard output, as a line: `127.0.0.1:40123`;
- answers each line on standard input with a line: the CPU seconds that it has used so far, user and system time of all
  threads, such as `1.25` (`getrusage` has them);
- ends when its standard input does.

To be compared with `bare-grpc-aio` and `native-1-filter`, it answers `request_headers` by setting one header.
"""


def files() -> dict[Path, str]:
    """The page and its plot, as they have to be."""
    sections = read()
    theirs = [row for row in sections.get("exchanges", []) if row.get("kind") == "outside"]
    parts = [_HEAD, *([_OUTSIDE.format(**row) for row in theirs] or [_ELSEWHERE])]
    parts += [_MACHINE.format(**machine) for machine in sections.get("machine", [])]
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
    if not any(row.get("kind") == "outside" for row in rows):
        place = [row["name"] for row in rows].index(exchanges.BARE) + 1 if rows else 0
        items.insert(place, Bar("grpc-go (elsewhere)", _GO[0], "theirs", upto=_GO[1]))
    return bars("Processor CPU for an exchange", "ratio to a bare grpc.aio servicer; shorter is better", items)


def write() -> None:
    """Writes both."""
    for path, fresh in files().items():
        path.write_text(fresh)


if __name__ == "__main__":
    write()
