"""``extproc replay``."""

from __future__ import annotations

import asyncio
import json
import logging
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

from cyclopts import Parameter

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Iterator, Sequence

    from extproc.chain import Chain
    from extproc.clock import Clock
    from extproc.observe import Observer
    from extproc.replay.captures import Way
    from extproc.replay.report import Report

__all__ = ["replay", "through_envoy"]

_SHOWN = 10


def replay(
    captures: Annotated[tuple[Path, ...], Parameter(negative="")],
    /,
    *,
    chain: str,
    through: Literal["model", "envoy"] = "model",
    profile: str = "envoy-1.40",
    ignore: Annotated[tuple[str, ...], Parameter(negative="")] = (),
    as_json: Annotated[bool, Parameter("--json", negative="")] = False,
    redaction_key: Path | None = None,
    show: int | None = None,
) -> int:
    """Run recorded traffic through a chain and tell what comes out differently.

    Exits 0 when everything is the same, 1 when something differs, 2 when it cannot be told.

    Args:
        captures: Captures (*.ndjson), or directories of them.
        chain: The chain file, or module:attribute.
        through: The Envoy model in this process, or the real Envoy.
        profile: The data plane that the model plays, such as envoy-1.34.
        ignore: A header that may differ; may be given several times.
        as_json: Print the result as JSON.
        redaction_key: The key that the captures were redacted with; by default redaction.key beside each.
        show: How many of the exchanges that differ to show; by default 10, and with --json all of them.
    """
    from extproc.config import load_chain
    from extproc.replay.captures import replay_captures

    way = _way(through, profile)
    logging.getLogger("extproc").addHandler(logging.NullHandler())  # what fails in a filter is in the report
    shown = show if show is not None or as_json else _SHOWN
    replaying = replay_captures(
        captures, partial(load_chain, chain), way=way, ignored=ignore, redaction_key=redaction_key, show=shown
    )
    report = asyncio.run(replaying)
    _print(report, as_json=as_json)
    return report.exit_status


def _way(through: Literal["model", "envoy"], profile: str) -> Way:
    """How traffic gets to the chain.

    Raises:
        EnvoyError: there is no such profile, or it is not for the real Envoy.
    """
    from extproc.envoy.model import profile as named
    from extproc.errors import EnvoyError
    from extproc.replay.runner import replay as through_model

    plane = named(profile)
    if through == "model":
        return partial(through_model, data_plane=plane)
    if plane.quirks:
        raise EnvoyError("the real Envoy is no other than itself: --profile goes with --through model")
    return through_envoy()


def _print(report: Report, *, as_json: bool) -> None:
    from rich.console import Console

    from extproc.replay import report as reports

    if as_json:
        print(json.dumps(reports.as_json(report), indent=2))
    else:
        reports.print_report(report, Console())


def through_envoy() -> Way:
    """A processor is the command line's to start: replay and server do not know each other."""
    from extproc.replay.through import replay_through_envoy
    from extproc.server import Bounds, FrontOptions, new_front

    @asynccontextmanager
    async def start(
        chain: Chain, observer: Observer, clock: Clock, ids: Iterator[str]
    ) -> AsyncGenerator[Sequence[str]]:
        bounds = Bounds(stall=None)  # nobody else waits
        options = FrontOptions(observer=observer, clock=clock, ids=ids, grace=1.0, bounds=bounds)
        async with new_front(chain, options=options) as front:
            yield front.addresses

    return partial(replay_through_envoy, start=start)
