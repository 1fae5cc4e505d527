"""The real Envoy with a listener a setting, between scripted clients and upstreams and a scripted processor."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from contextlib import AsyncExitStack, suppress
from copy import copy
from types import TracebackType
from typing import Any, Self

from extproc.envoy.binary import RunningEnvoy
from tests.envoy.http1 import Http1Client, Http1Upstream
from tests.envoy.http2 import LARGEST_WINDOW, Http2Client, Http2Upstream
from tests.envoy.listeners import CLUSTERS, PING, Setting, bootstrap
from tests.envoy.observed import Moment, Observed
from tests.envoy.play import play
from tests.envoy.raw_processor import Action, RawProcessor
from tests.envoy.received import Part, Received
from tests.envoy.scenario import Scenario

__all__ = ["Real"]

_LOG_INTERVAL = 0.002
_QUIET_PINGS = 4
"""A ping takes Envoy's worker once round its loop. What it has to do about a new connection takes it twice."""
_POLL = 0.002
_PATIENCE = 20.0
_LONGEST_TIMER = 5.0
_REAPING = 2.0
"""Seconds until it is known of an Envoy that has broken off its connections that it has ended."""
_PING = b"GET / HTTP/1.1\r\nhost: ping\r\n\r\n"


class Real:
    """An Envoy and everybody who talks to it; one exchange at a time."""

    def __init__(self, settings: Sequence[Setting], *, window: int = LARGEST_WINDOW) -> None:
        """Not yet running.

        Args:
            settings: a listener each.
            window: how many bytes of a stream the processor takes before it says that it takes more.
        """
        self._listeners = {setting: f"l{index}" for index, setting in enumerate(dict.fromkeys(settings))}
        self._counted: dict[str, dict[str, int]] = {}
        self._logged = 0
        self._exits = AsyncExitStack()
        self._stirred = 0
        self.processor = RawProcessor(self._stir, window)
        self.second = RawProcessor(self._stir)
        self._upstreams: list[Http1Upstream | Http2Upstream] = []

    async def __aenter__(self) -> Self:
        async with AsyncExitStack() as exits:
            await exits.enter_async_context(self.processor)
            await exits.enter_async_context(self.second)
            upstreams = {name: await self._listen(exits, Http1Upstream) for name in CLUSTERS}
            upstreams |= {f"{name}2": await self._listen(exits, Http2Upstream) for name in CLUSTERS}
            text = bootstrap(
                list(self._listeners),
                processor=self.processor.address,
                second=self.second.address,
                upstreams=upstreams,
            )
            self._envoy = await exits.enter_async_context(RunningEnvoy(text, log_interval=_LOG_INTERVAL))
            self._ping = await self._connect(_Pinging, PING)
            exits.callback(self._ping.leave)
            self._exits = exits.pop_all()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._exits.aclose()

    async def run(self, scenario: Scenario) -> Observed:
        """Runs a scenario and sees what there is to be seen."""
        listener = self._listeners[scenario.setting]
        self.processor.play(scenario.behaviour())
        self.second.play(scenario.second_behaviour())
        client = await self._connect(Http2Client if scenario.http2 else Http1Client, listener)
        try:
            moments = await play(scenario, _RealStage(self, client))
        finally:
            client.leave()
            await self._drop_upstreams()
            self._logged += 1
            logged: dict[str, Any] = (await self._envoy.access_log(self._logged))[-1]
            counters = await self._count(listener, "p")
            counters_second = await self._count(listener, "p2")
        return Observed(
            moments=moments,
            details=logged["details"] or "",
            cluster=(logged["cluster"] or "").rstrip("2"),
            counters=counters,
            counters_second=counters_second,
            metadata={name: value for name, value in logged["metadata"].items() if value is not None},
            calls=[_call(call.headers) for call in self.processor.calls],
        )

    async def stat(self, name: str) -> int:
        """One of Envoy's counters."""
        return (await self._envoy.stats(name))[name]

    async def ended(self) -> str:
        """What Envoy said when it ended by itself; empty: it runs."""
        with suppress(TimeoutError):
            async with asyncio.timeout(_REAPING):
                return await self._envoy.wait()
        return ""

    @property
    def upstream(self) -> Http1Upstream | Http2Upstream | None:
        """The upstream that has the request, or some of it."""
        return next((upstream for upstream in self._upstreams if upstream.received.headers is not None), None)

    # Quiet

    async def settle(self) -> None:
        """Waits until Envoy has done everything that it was given to do, and all others know of it."""
        quiet = 0
        while quiet < _QUIET_PINGS:
            before = self._stirred
            await self._ping.ping()
            quiet = quiet + 1 if self._stirred == before else 0

    def _stir(self) -> None:
        self._stirred += 1

    # Connections

    async def _connect(self, kind: Any, listener: str) -> Any:
        loop = asyncio.get_running_loop()
        _, protocol = await loop.create_connection(lambda: kind(self._stir), "127.0.0.1", self._envoy.port(listener))
        return protocol

    async def _listen(self, exits: AsyncExitStack, kind: type[Http1Upstream | Http2Upstream]) -> str:
        def accept() -> Http1Upstream | Http2Upstream:
            self._upstreams.append(kind(self._stir))
            return self._upstreams[-1]

        server = await asyncio.get_running_loop().create_server(accept, "127.0.0.1", 0)
        exits.callback(server.close)
        return f"127.0.0.1:{server.sockets[0].getsockname()[1]}"

    async def _drop_upstreams(self) -> None:
        """Envoy keeps a connection that it has opened in vain, and would use it for the next exchange."""
        for upstream in self._upstreams:
            upstream.leave()
        self._upstreams.clear()
        await self.settle()

    async def _count(self, listener: str, stat_prefix: str) -> dict[str, int]:
        """By how much each counter of a filter moved since the last time."""
        prefix = f"http.{listener}.ext_proc.{stat_prefix}."
        before = self._counted.get(prefix, {})
        now = self._counted[prefix] = await self._envoy.stats(prefix)
        moved = {name.removeprefix(prefix): value - before.get(name, 0) for name, value in now.items()}
        return {name: by for name, by in moved.items() if by}


class _RealStage:
    """One exchange."""

    def __init__(self, real: Real, client: Http1Client | Http2Client) -> None:
        self._real = real
        self._client = client
        self._heard = [0, 0]

    @property
    def client(self) -> Received:
        return self._client.received

    @property
    def upstream(self) -> Received | None:
        upstream = self._real.upstream
        return None if upstream is None else upstream.received

    async def send(self, parts: Sequence[Part]) -> None:
        self._client.send(parts)
        await self._real.settle()

    async def reply(self, parts: Sequence[Part]) -> None:
        assert self._real.upstream is not None
        self._real.upstream.send(parts)
        await self._real.settle()

    async def say(self, actions: Sequence[Action], *, second: bool) -> None:
        (self._real.second if second else self._real.processor).say(*actions)
        await self._real.settle()

    async def wait(self) -> None:
        """Until a timer has fired; on a busy machine it has, perhaps, in the last move, where it will be missed."""
        before = self._state()
        with suppress(TimeoutError):
            async with asyncio.timeout(_LONGEST_TIMER):
                while self._state() == before:
                    await asyncio.sleep(_POLL)
        await self._real.settle()

    async def pass_(self, seconds: float) -> None:
        await asyncio.sleep(seconds)
        await self._real.settle()

    async def leave(self, *, upstream: bool) -> None:
        end = self._real.upstream if upstream else self._client
        if end is not None:
            end.leave()
        await self._real.settle()

    def _state(self) -> object:
        """Something that is another thing when anything has come of the exchange."""
        return copy(self.client), copy(self.upstream), len(self._real.processor.heard), len(self._real.second.heard)

    def moment(self, move: str) -> Moment:
        first, second = self._real.processor, self._real.second
        known, self._heard = self._heard, [len(first.heard), len(second.heard)]
        return Moment(
            move=move,
            heard=first.heard[known[0] :],
            upstream=copy(self.upstream),
            client=copy(self.client),
            hung_up=first.hung_up,
            heard_second=second.heard[known[1] :],
            hung_up_second=second.hung_up,
        )


class _Pinging(asyncio.Protocol):
    """A connection on which an answer says that Envoy has been round its loop."""

    def __init__(self, stir: object) -> None:
        self._transport: asyncio.Transport | None = None
        self._pong: asyncio.Future[None] | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        if data.endswith(b"\r\n\r\n") and self._pong is not None:
            self._pong.set_result(None)

    async def ping(self) -> None:
        assert self._transport is not None
        self._pong = asyncio.get_running_loop().create_future()
        self._transport.write(_PING)
        async with asyncio.timeout(_PATIENCE):
            await self._pong

    def leave(self) -> None:
        assert self._transport is not None
        self._transport.abort()


def _call(headers: list[tuple[str, bytes]]) -> dict[str, bytes]:
    """What the settings say about a gRPC stream: its cluster, and initial metadata."""
    return {name: value for name, value in headers if name == ":authority" or name.startswith("x-p-")}
