"""A chain behind a real Envoy that, when the test is over, had nothing to complain of."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import Any, TypeAlias

import pytest
import yaml

from extproc import Chain, Exchange, Filter, Phase, Use
from extproc.envoy.config import EnvoyOptions, bootstrap
from extproc.envoy.plain_http import Connection, Handler, PlainReply, PlainRequest
from extproc.messages import Message, Output
from extproc.testing import Gateway

Config: TypeAlias = dict[str, Any]

COMPLAINTS = (
    "clear_route_cache_disabled",
    "clear_route_cache_ignored",
    "failure_mode_allowed",
    "message_timeouts",
    "rejected_header_mutations",
    "server_half_closed",
    "spurious_msgs_received",
    "streams_failed",
)
"""Counters by which Envoy says that the processor got something wrong."""


class Recorder:
    """Notes the phases that Envoy sends."""

    def __init__(self) -> None:
        self.phases: list[Phase] = []

    def begin(self, exchange_id: str) -> Recorder:
        return self

    def message(self, message: Message, answers: Sequence[Output], now: float) -> None:
        self.phases.append(message.phase)

    def end(self, exchange: Exchange, events: object) -> None: ...


@asynccontextmanager
async def behind_envoy(
    *filters: Filter | Use,
    upstream: PlainReply | Handler | None = None,
    options: EnvoyOptions | None = None,
    timeout: float = 1.0,
    edit: Callable[[Config, Config], None] | None = None,
    complaints: Mapping[str, int] | None = None,
) -> AsyncIterator[Gateway]:
    """The filters in service.

    Args:
        filters: the chain.
        upstream: what the upstream replies.
        options: how Envoy is configured beside the chain.
        timeout: the chain's, in seconds.
        edit: spoils the generated configuration: of the HTTP connection manager, and of its ext_proc filter.
        complaints: the complaints that Envoy will have, if it is to have any.
    """
    with pytest.MonkeyPatch.context() as patch:
        if edit is not None:
            patch.setattr("extproc.testing.gateway.bootstrap", _edited(edit))
        async with Gateway(Chain(filters, timeout=timeout), upstream=upstream, options=options) as gateway:
            yield gateway
            stats = await gateway.stats()
            found = {name: stats[name] for name in COMPLAINTS if stats[name]}
            assert found == dict(complaints or {}), f"Envoy complains of {found}"
            errors = gateway.upstream.errors
            assert errors == [], f"bytes of one request were taken for another: {errors}"


async def one_after_the_other(gateway: Gateway, *requests: PlainRequest) -> list[PlainReply]:
    """The replies to requests on one connection: a byte too many or too few in one spoils the next."""
    async with Connection(gateway.address) as connection:
        return [await connection.send(request, timeout=10.0) for request in requests]


def _edited(edit: Callable[[Config, Config], None]) -> Callable[[Chain, EnvoyOptions], str]:
    def spoilt(chain: Chain, options: EnvoyOptions) -> str:
        config = yaml.safe_load(bootstrap(chain, options))
        manager = config["static_resources"]["listeners"][0]["filter_chains"][0]["filters"][0]["typed_config"]
        edit(manager, manager["http_filters"][0]["typed_config"])
        return yaml.safe_dump(config)

    return spoilt
