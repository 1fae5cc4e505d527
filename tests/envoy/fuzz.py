"""Random exchanges, with the model and the real Envoy as each other's oracle.

``python -m tests.envoy.fuzz --seed S --exchanges N``: the same seed draws the same exchanges. A disagreement is made as
small as it gets and printed as a scenario that can be pasted into a table.
"""

from __future__ import annotations

import argparse
import asyncio
import logging
import sys
import time
from concurrent.futures import ProcessPoolExecutor

from hypothesis import HealthCheck, Phase, given, seed, settings
from hypothesis.errors import Flaky

from tests.envoy.both import disagreements
from tests.envoy.drawing import scenarios
from tests.envoy.drawn_settings import settings_from
from tests.envoy.real import Real
from tests.envoy.scenario import Scenario
from tests.envoy.source import source

__all__ = ["disagreement", "main"]

_BATCH = 500
"""Exchanges for which an Envoy is started; each one has other settings."""
_SETTINGS = 40


class _DisagreementError(Exception):
    """The model and Envoy do not agree, or there is no Envoy any more."""


def disagreement(batch: int, exchanges: int) -> str | None:
    """Runs a number of random exchanges; the smallest that the two do not agree about, as a scenario; None: they agree.

    Args:
        batch: the seed of them.
        exchanges: how many.
    """
    with asyncio.Runner() as runner:
        drawn = settings_from(batch, _SETTINGS)
        real = runner.run(Real(drawn).__aenter__())
        found: list[str] = []
        killed: list[str] = []
        """The first exchange that Envoy did not survive: there is none left by which it could be made smaller."""

        async def compare(scenario: Scenario) -> list[str]:
            if killed:
                return killed
            try:
                async with asyncio.timeout(30):
                    return await disagreements(real, scenario)
            except (OSError, TimeoutError, EOFError):
                if not (last_words := await real.ended()):
                    raise
            killed.extend(f"# Envoy has ended, perhaps by an exchange before: {last_words}".splitlines())
            killed.append(source(scenario))
            return killed

        @seed(batch)
        @settings(
            max_examples=exchanges,
            deadline=None,
            database=None,
            phases=(Phase.generate, Phase.shrink),
            suppress_health_check=list(HealthCheck),
            report_multiple_bugs=False,
        )
        @given(scenarios(drawn))
        def agree(scenario: Scenario) -> None:
            unlike = runner.run(compare(scenario))
            if unlike:
                found[:] = [f"# {line}" for line in unlike] + [source(scenario)]
                raise _DisagreementError

        try:
            agree()
        except _DisagreementError:
            return "\n".join(killed or found)
        except Flaky:
            return "\n".join(["# not each time", *found])
        finally:
            runner.run(real.__aexit__(None, None, None))
    return None


def main() -> int:
    """Does what the command line asks; returns the exit code."""
    parser = argparse.ArgumentParser(description="Run random exchanges through the real Envoy and through the model.")
    parser.add_argument("--seed", type=int, default=1, help="what is drawn (default: %(default)s)")
    parser.add_argument("--exchanges", type=int, default=1000, help="how many (default: %(default)s)")
    parser.add_argument("--jobs", type=int, default=1, help="Envoys at a time (default: %(default)s)")
    options = parser.parse_args()
    logging.disable()
    begun, disagreements = time.monotonic(), 0
    starts = range(0, options.exchanges, _BATCH)
    batches = [options.seed * 1_000_000 + start // _BATCH for start in starts]
    with ProcessPoolExecutor(options.jobs) as pool:
        results = pool.map(disagreement, batches, [min(_BATCH, options.exchanges - start) for start in starts])
        for batch, found in zip(batches, results, strict=True):
            disagreements += found is not None
            print(f"batch {batch}: {'agreed' if found is None else found}", file=sys.stderr, flush=True)
    took = time.monotonic() - begun
    print(f"seed {options.seed}: {options.exchanges} exchanges, {disagreements} disagreements, {took:.0f} s")
    return 1 if disagreements else 0


if __name__ == "__main__":
    sys.exit(main())
