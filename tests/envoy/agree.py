"""Runs scenarios through both Envoys and tells what differs: ``python -m tests.envoy.agree NAME...``.

A name is part of a scenario's, or of its module's after an @. Without a name, it is all of them.
"""

from __future__ import annotations

import argparse
import asyncio
import logging
import sys

from tests.envoy.both import disagreements
from tests.envoy.observed import Observed
from tests.envoy.real import Real
from tests.envoy.scenario import Scenario
from tests.envoy.tables import MODULES, SCENARIOS

__all__ = ["main"]


def main() -> int:
    """Does what the command line asks; returns the exit code."""
    parser = argparse.ArgumentParser(description="Run scenarios through the real Envoy and through the model.")
    parser.add_argument(
        "names", nargs="*", metavar="NAME", help="part of a scenario's name; @ and part of its module's"
    )
    parser.add_argument("--show", action="store_true", help="show what Envoy did, move by move")
    options = parser.parse_args()
    logging.disable()
    scenarios = _chosen(options.names)
    unlike = asyncio.run(_run(scenarios, show=options.show))
    print(f"{len(scenarios)} scenarios, {unlike} disagreements")
    return 1 if unlike else 0


def _chosen(names: list[str]) -> list[Scenario]:
    modules = {scenario.name: module for module, table in MODULES.items() for scenario in table.SCENARIOS}
    return [
        scenario
        for scenario in SCENARIOS
        if not names or any(_is_meant(name, scenario, modules[scenario.name.removesuffix("-http2")]) for name in names)
    ]


def _is_meant(name: str, scenario: Scenario, module: str) -> bool:
    return name[1:] in module if name.startswith("@") else name in scenario.name


async def _run(scenarios: list[Scenario], *, show: bool) -> int:
    unlike = 0
    async with Real([scenario.setting for scenario in scenarios]) as real:
        for scenario in scenarios:
            found = await disagreements(real, scenario)
            unlike += bool(found)
            if found or show:
                print(f"== {scenario.name}", *found, sep="\n   ")
            if show:
                _show(await real.run(scenario))
    return unlike


def _show(seen: Observed) -> None:
    for moment in seen.moments:
        print(f" * {moment.move}{' (hung up)' if moment.hung_up else ''}")
        for message in moment.heard:
            what = message.headers or message.body
            print(f"     {message.phase.value} {what!r}{' END' if message.end_of_stream else ''}")
        print(f"     upstream: {moment.upstream}\n     client: {moment.client}")
    print(f"   {seen.details} {seen.counters} {seen.metadata} {seen.calls}")


if __name__ == "__main__":
    sys.exit(main())
