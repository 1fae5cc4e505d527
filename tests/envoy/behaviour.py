"""Writes docs/envoy-behaviour.md from the scenarios: what a processor does, and what Envoy does then.

`python -m tests.envoy.behaviour` writes the page. With `--check` it writes nothing, and exits 1 with a sentence if the
page is not what the scenarios come to. What Envoy does is taken from the model, which `test_model` holds against Envoy.
"""

from __future__ import annotations

import argparse
import asyncio
import logging
import sys
from collections.abc import Iterator
from itertools import groupby
from operator import itemgetter
from pathlib import Path

from extproc.envoy.model import HttpMessage
from tests.envoy.behaviour_rows import THEMES
from tests.envoy.modelled import modelled
from tests.envoy.observed import Observed
from tests.envoy.received import COMPLETE, RESET, Received
from tests.envoy.scenario import Scenario
from tests.envoy.tables import SCENARIOS

__all__ = ["main", "page"]

PAGE = Path(__file__).resolve().parents[2] / "docs" / "envoy-behaviour.md"

HEAD = """\
<!-- Written by `python -m tests.envoy.behaviour` from the scenarios in tests/envoy: change those, and run it again. -->

# What Envoy does

Envoy 1.40 decides what becomes of a request when its external processor says something, wrong or right. Each row here
is a scenario that the tests run through the real Envoy, and there are thousands more; `python -m tests.envoy.agree`
runs them, and shows one with `--show`.

The SDK does not let a filter do most of this. The page is for those who run Envoy with a processor, whoever wrote it.
"""

_COUNTED = {
    "failure_mode_allowed",
    "message_timeouts",
    "rejected_header_mutations",
    "spurious_msgs_received",
    "server_half_closed",
    "override_message_timeout_received",
    "override_message_timeout_ignored",
    "clear_route_cache_disabled",
    "clear_route_cache_ignored",
}
"""Counters worth a word."""
_AS_IT_WAS = "as it was"
_LONG = 40


def page() -> str:
    """The page, as it has to be."""
    return "\n".join([HEAD, *(line for title, theme in THEMES.items() for line in _theme(title, *theme))])


def _theme(title: str, prose: str, rows: dict[str, str]) -> Iterator[str]:
    yield f"## {title}\n"
    if prose:
        yield f"{prose}\n"
    yield "| The processor … | It is told of | The upstream gets | The client gets | Details and counters |"
    yield "|---|---|---|---|---|"
    for name, does in rows.items():
        yield _row(_SCENARIOS[name], does)
    yield ""


_SCENARIOS = {scenario.name: scenario for scenario in SCENARIOS}


def _row(scenario: Scenario, does: str) -> str:
    seen = asyncio.run(modelled(scenario))
    last = seen.moments[-1]
    upstream = _of(last.upstream, scenario.request, went_on=seen.cluster)
    client = _own(last.client) if _is_own(seen) else _of(last.client, scenario.response, went_on="")
    cells = [does, _told(seen), upstream, client, _remarks(seen)]
    return "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |"


def _of(received: Received | None, sent: HttpMessage, *, went_on: str) -> str:
    """What has come of a message, next to how it was sent."""
    if received is None or (received.headers is None and went_on):
        return "nothing"
    if received.headers is None:
        return "nothing: it is cut off" if received.state == RESET else "nothing"
    what = "; ".join(_changes(received, sent)) or _AS_IT_WAS
    where = ", at the other cluster" if went_on == "canary" else ""
    return what + where + _unfinished(received)


def _is_own(seen: Observed) -> bool:
    """Whether the client's response is not the upstream's."""
    last = seen.moments[-1]
    if last.client.headers is None:
        return False
    return last.upstream is None or (seen.details != "via_upstream" and last.client.state == COMPLETE)


def _told(seen: Observed) -> str:
    """The phases, in order; a body in pieces with their number."""
    phases = [message.phase for moment in seen.moments for message in moment.heard]
    words = [(phase.direction.value, phase.part.name.lower(), len(list(run))) for phase, run in groupby(phases)]
    sides = [(side, list(run)) for side, run in groupby(words, key=itemgetter(0))]
    return "; ".join(f"{side} {', '.join(_times(part, times) for _, part, times in run)}" for side, run in sides) or "—"


def _times(part: str, times: int) -> str:
    return part if times == 1 else f"{times} times {part}"


def _own(received: Received) -> str:
    """A response that is not the upstream's."""
    assert received.headers is not None
    body = f", body {_code(received.body)}" if received.body else ""
    more = [
        f"{name}: {value.decode('latin-1')}" for name, value in received.headers if name.startswith(("x-", "grpc-"))
    ]
    return f"{received.headers[0][1].decode()}{body}" + (f", {_listed(more)}" if more else "") + _unfinished(received)


def _changes(received: Received, sent: HttpMessage) -> Iterator[str]:
    before, after = sent.headers, received.headers or []
    added = [f"{name}: {_value(value)}" for name, value in after if (name, value) not in before]
    gone = sorted({name for name, _ in before} - {name for name, _ in after} - {":scheme", "transfer-encoding"})
    added = [item for item in added if not item.startswith("transfer-encoding")]
    if added:
        yield f"with {_listed(added)}"
    if gone:
        yield f"without {_listed(gone)}"
    if received.body != sent.body:
        yield f"body {_code(received.body)}" if received.body else "no body"
    if (received.trailers or []) != (sent.trailers or []):
        trailers = [f"{name}: {_value(value)}" for name, value in received.trailers or []]
        yield f"trailers {_listed(trailers)}" if trailers else "no trailers"


def _unfinished(received: Received) -> str:
    if received.state == COMPLETE:
        return ""
    return "; it breaks off" if received.state == RESET else "; it never ends"


def _remarks(seen: Observed) -> str:
    details = [] if seen.details == "via_upstream" or not seen.details else [_short(f"`{seen.details}`")]
    counted = [
        f"{name} {number}" if number > 1 else name for name, number in sorted(seen.counters.items()) if name in _COUNTED
    ]
    metadata = [f"metadata `{namespace}`" for namespace in seen.metadata]
    return ", ".join([*details, *counted, *metadata])


def _short(text: str) -> str:
    """Without what Envoy says of the connection, which is long."""
    head, brace, _ = text.partition("{upstream_reset")
    return f"{head}{{…}}`" if brace else text


def _listed(items: list[str]) -> str:
    shown = items if len(items) <= 4 else [*items[:3], f"{len(items) - 3} more"]
    return ", ".join(f"`{item}`" if not item.endswith(" more") else item for item in shown)


def _code(body: bytes) -> str:
    text = body.decode("latin-1")
    return f"`{text}`" if len(text) <= _LONG and text.isprintable() else f"of {len(body)} bytes"


def _value(value: bytes) -> str:
    text = value.decode("latin-1")
    return text if len(text) <= _LONG else f"{text[:_LONG]}…"


def main() -> int:
    """Does what the command line asks; returns the exit code."""
    parser = argparse.ArgumentParser(description="Write docs/envoy-behaviour.md from the scenarios.")
    parser.add_argument("--check", action="store_true", help="write nothing; exit 1 if the page is stale")
    logging.disable()
    check: bool = parser.parse_args().check
    fresh = page()
    if not check:
        PAGE.write_text(fresh)
    elif not PAGE.exists() or PAGE.read_text() != fresh:
        print(f"{PAGE.name} is stale: run `python -m tests.envoy.behaviour` and commit the result.", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
