"""`extproc serve` that knows how long Envoy waits: a filter that needs longer gets more time from a real Envoy."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace

import pytest

from benchmarks.serving import serving
from extproc.envoy.binary import RunningEnvoy
from extproc.envoy.config import EnvoyOptions, bootstrap
from extproc.envoy.plain_http import PlainRequest, Upstream, send
from tests.envoy import sleepers

ANY = "127.0.0.1:0"
OPTIONS = EnvoyOptions(listen=ANY, admin=ANY, message_timeout=1.0)
"""The filter takes 1.5 s, and the chain may take 5 s."""


@asynccontextmanager
async def behind_envoy(*words: str) -> AsyncIterator[RunningEnvoy]:
    """`extproc serve` with these options, behind an Envoy with `OPTIONS`."""
    async with Upstream() as upstream, serving("tests.envoy.sleepers:awaits", *words) as processor:
        options = replace(OPTIONS, upstream=upstream.address, processors=(processor.address,))
        async with RunningEnvoy(bootstrap(sleepers.awaits, options)) as envoy:
            yield envoy


async def outcome(envoy: RunningEnvoy) -> tuple[int, int, int]:
    """The status, how often more time was asked for, how often Envoy gave up."""
    reply = await send(f"127.0.0.1:{envoy.port('ingress')}", PlainRequest(target=sleepers.PATH))
    stats = await envoy.stats("http.ingress.ext_proc.extproc.")
    counts = {name.rpartition(".")[2]: count for name, count in stats.items()}
    return reply.status, counts["override_message_timeout_received"], counts["message_timeouts"]


@pytest.mark.parametrize("front", ["native", "grpcio"])
async def test_told_as_the_configuration_says_it_gets_more_time(front: str) -> None:
    (line,) = [line for line in bootstrap(sleepers.awaits, OPTIONS).splitlines() if "extproc serve …" in line]
    async with behind_envoy(*line.partition("…")[2].split(), "--front", front) as envoy:
        assert await outcome(envoy) == (200, 1, 0)


async def test_not_told_it_asks_for_nothing_and_envoy_gives_up() -> None:
    async with behind_envoy() as envoy:
        assert await outcome(envoy) == (504, 0, 1)


async def test_told_that_there_is_no_more_time_the_filter_fails_before_envoy_gives_up() -> None:
    async with behind_envoy("--message-timeout", "1s") as envoy:
        assert await outcome(envoy) == (504, 0, 0)
