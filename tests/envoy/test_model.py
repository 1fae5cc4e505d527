"""The model against the real Envoy: every scenario goes through both, and everything that can be observed agrees."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass, replace
from types import TracebackType
from typing import Any, Self

import pytest
import pytest_asyncio

from extproc.envoy.binary import RunningEnvoy
from extproc.envoy.model import EnvoyModel, HttpMessage, Outcome, Replies, over_http1
from extproc.envoy.plain_http import PlainReply, PlainRequest, Upstream, send
from extproc.messages import Message, RawHeaders
from tests.envoy.listeners import Setting, bootstrap
from tests.envoy.raw_processor import RawProcessor, as_read
from tests.envoy.scenario import Scenario
from tests.envoy.scenarios import bodies, filters, headers, immediate, limits, protocol, rules, single_valued

pytestmark = pytest.mark.envoy

_TABLES = (headers, single_valued, rules, bodies, immediate, protocol, limits, filters)
SCENARIOS = [scenario for table in _TABLES for scenario in table.SCENARIOS]

ADDED_BY_ENVOY = ("date", "connection")
"""What the HTTP connection manager adds to a response: the date, and that it closes where a request has not ended."""


@dataclass
class Observed:
    """All that can be seen of an exchange, of either Envoy."""

    upstream: HttpMessage | None
    client: HttpMessage
    complete: bool
    details: str
    cluster: str
    counters: dict[str, int]
    heard: list[Message]


class Real:
    """The real Envoy with a listener a configuration, between a scripted processor and scripted upstreams."""

    def __init__(self, scenarios: Sequence[Scenario]) -> None:
        self._settings: list[Setting] = []
        for scenario in scenarios:
            if scenario.setting not in self._settings:
                self._settings.append(scenario.setting)
        self._processor = RawProcessor()
        self._upstreams = {"upstream": Upstream(), "canary": Upstream()}
        self._exits = AsyncExitStack()
        self._counted: dict[str, dict[str, int]] = {}
        self._logged = 0

    async def __aenter__(self) -> Self:
        async with AsyncExitStack() as exits:
            await exits.enter_async_context(self._processor)
            for upstream in self._upstreams.values():
                await exits.enter_async_context(upstream)
            addresses = {name: upstream.address for name, upstream in self._upstreams.items()}
            text = bootstrap(self._settings, processor=self._processor.address, upstreams=addresses)
            self._envoy = await exits.enter_async_context(RunningEnvoy(text))
            self._exits = exits.pop_all()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._exits.aclose()

    async def run(self, scenario: Scenario) -> Observed:
        """Runs a scenario; one at a time."""
        listener = f"l{self._settings.index(scenario.setting)}"
        for upstream in self._upstreams.values():
            upstream.answer = _plain_reply(scenario.response)
            upstream.requests.clear()
        self._processor.play(scenario.behaviour())
        address = f"127.0.0.1:{self._envoy.port(listener)}"
        try:
            got = await send(address, _plain_request(scenario.request))
        finally:
            self._logged += 1
            logged: dict[str, Any] = (await self._envoy.access_log(self._logged))[-1]
            counters = await self._count(listener)
        received = [request for upstream in self._upstreams.values() for request in upstream.requests]
        return Observed(
            upstream=_read_request(received[0]) if received else None,
            client=_read_reply(got),
            complete=got.complete,
            details=logged["details"],
            cluster=logged["cluster"],
            counters=counters,
            heard=self._processor.heard,
        )

    async def _count(self, listener: str) -> dict[str, int]:
        """By how much each ext_proc counter moved since the last time."""
        prefix = f"http.{listener}.ext_proc.p."
        before = self._counted.get(listener, {})
        now = self._counted[listener] = await self._envoy.stats(prefix)
        moved = {name.removeprefix(prefix): value - before.get(name, 0) for name, value in now.items()}
        return {name: by for name, by in moved.items() if by}


async def modelled(scenario: Scenario) -> Observed:
    """What the model makes of a scenario."""
    heard: list[Message] = []
    behave = scenario.behaviour()

    async def processor(message: Message) -> Replies:
        heard.append(message)
        return [as_read(action) for action in await behave(message)]

    outcome = await EnvoyModel(scenario.config).run(scenario.request, scenario.response, processor)
    assert outcome.client is not None
    client = over_http1(outcome.client, scenario.request)
    return Observed(
        upstream=None if outcome.upstream is None else _sorted(over_http1(outcome.upstream)),
        client=client,
        complete=not outcome.reset and not _short(client),
        details=outcome.details,
        cluster=_route(scenario, outcome),
        counters=outcome.counters,
        heard=heard,
    )


def _route(scenario: Scenario, outcome: Outcome) -> str:
    """Where the listeners' routes send it."""
    chosen = outcome.upstream if outcome.route_cleared and outcome.upstream else scenario.request
    path = chosen.get(":path") or b""
    return "canary" if path.startswith(b"/canary") or chosen.get("x-canary") is not None else "upstream"


def _short(message: HttpMessage) -> bool:
    length = message.get("content-length") or b"0"
    return message.get(":status") not in (b"204", b"304") and bool(message.chunks) and int(length) > len(message.body)


# Between messages at the filter and messages on the wire


def _plain_request(message: HttpMessage) -> PlainRequest:
    """What a client sends so that `message` is at the filter: Envoy adds x-forwarded-proto by itself."""
    line = dict(message.headers)
    rest = [(n, v) for n, v in message.headers if not n.startswith(":") and n != "x-forwarded-proto"]
    return PlainRequest(
        method=line[":method"].decode(),
        target=line[":path"].decode(),
        headers=[(b"host", line[":authority"]), *_encoded(rest), *_framing(message)],
        body=[chunk for chunk in message.chunks if chunk],
        trailers=_encoded(message.trailers or []),
    )


def _plain_reply(message: HttpMessage) -> PlainReply:
    rest = [(n, v) for n, v in message.headers if not n.startswith(":")]
    return PlainReply(
        status=int(message.get(":status") or b""),
        headers=_encoded(rest),
        body=[chunk for chunk in message.chunks if chunk],
        trailers=_encoded(message.trailers or []),
    )


def _framing(message: HttpMessage) -> list[tuple[bytes, bytes]]:
    chunked = not message.ends_with_headers and message.get("content-length") is None
    return [(b"transfer-encoding", b"chunked")] if chunked else []


def _encoded(headers: RawHeaders) -> list[tuple[bytes, bytes]]:
    return [(name.encode(), value) for name, value in headers]


def _read_request(request: PlainRequest) -> HttpMessage:
    host, *rest = [(name.decode(), value) for name, value in request.headers]
    line = [(":authority", host[1]), (":method", request.method.encode()), (":path", request.target.encode())]
    return _read([*line, *rest], request)


def _read_reply(got: PlainReply) -> HttpMessage:
    return _read([(":status", b"%d" % got.status), *((name.decode(), value) for name, value in got.headers)], got)


def _read(headers: RawHeaders, got: PlainRequest | PlainReply) -> HttpMessage:
    trailers = [(name.decode(), value) for name, value in got.trailers]
    return HttpMessage(headers, (got.content,) if got.content else (), trailers or None)


def _sorted(message: HttpMessage) -> HttpMessage:
    """With pseudo-headers by name, since HTTP/1.1 has no order for them."""
    line = sorted(item for item in message.headers if item[0].startswith(":"))
    return replace(message, headers=[*line, *(item for item in message.headers if not item[0].startswith(":"))])


def _without_envoys_own(seen: HttpMessage, expected: HttpMessage) -> HttpMessage:
    names = {name for name, _ in expected.headers}
    kept = [item for item in seen.headers if item[0] not in ADDED_BY_ENVOY or item[0] in names]
    return replace(seen, headers=kept)


# The tests


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def real() -> AsyncIterator[Real]:
    async with Real(SCENARIOS) as running:
        yield running


@pytest.mark.asyncio(loop_scope="module")
@pytest.mark.parametrize("scenario", SCENARIOS, ids=lambda scenario: scenario.name)
async def test_model_and_envoy_agree(real: Real, scenario: Scenario) -> None:
    expected, seen = await modelled(scenario), await real.run(scenario)
    seen.client = _without_envoys_own(seen.client, expected.client)
    if scenario.overlapping or scenario.setting[1]:
        both = min(len(seen.heard), len(expected.heard))
        seen.heard, expected.heard = seen.heard[:both], expected.heard[:both]
    if expected.upstream is None:
        seen.cluster = expected.cluster
    assert seen == expected


def test_scenarios_have_names_of_their_own() -> None:
    names = [scenario.name for scenario in SCENARIOS]
    assert len(names) == len(set(names))
