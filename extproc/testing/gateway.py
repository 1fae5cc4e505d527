"""`Gateway`: a chain behind a real Envoy, in front of an upstream that remembers, for as long as a test needs it."""

from __future__ import annotations

import asyncio
from contextlib import AsyncExitStack
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Self

from extproc.envoy.asked import Asked
from extproc.envoy.binary import RunningEnvoy
from extproc.envoy.config import EnvoyOptions, bootstrap
from extproc.envoy.plain_http import PlainReply, PlainRequest, Upstream, send
from extproc.server import FrontOptions, new_front
from extproc.server.bounds import Bounds

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from types import TracebackType

    from extproc.chain import Chain
    from extproc.clock import Clock
    from extproc.envoy.plain_http import Handler, PlainHeaders
    from extproc.observe import Observer
    from extproc.server import FrontName

__all__ = ["Gateway"]

_ANY_PORT = "127.0.0.1:0"


class Gateway:
    """A client's view of a chain in service: processor, real Envoy and upstream, all on loopback and on free ports.

    ::

        async with Gateway(Chain([ApiKey(callers={...})])) as gateway:
            reply = await gateway.send("GET", "/orders", headers={"x-api-key": "k-1"})
            assert reply.status == 200
            assert gateway.upstream.requests[0].value("x-caller") == b"shop"

    Envoy takes a few tenths of a second to start, so share a gateway where tests do not disturb each other.

    Attributes:
        upstream: where Envoy sends what the chain lets through; its `answer` may be replaced at any time.
        envoy: the running Envoy.
        address: ``HOST:PORT`` at which Envoy takes requests.
        config: the configuration Envoy runs with.
    """

    def __init__(
        self,
        chain: Chain,
        *,
        upstream: PlainReply | Handler | None = None,
        options: EnvoyOptions | None = None,
        processor: Sequence[str] = (_ANY_PORT,),
        concurrency: int = 1,
        observer: Observer | None = None,
        clock: Clock | None = None,
        front: FrontName | None = None,
    ) -> None:
        """Sets everything up; nothing runs yet.

        Args:
            chain: the filters; not started yet.
            upstream: the reply, or what makes it; by default an empty 200.
            options: routes, sizes and the like; the addresses in it are not used, but those of its routes are.
            processor: where the processor listens.
            concurrency: Envoy's worker threads.
            observer: is told of every exchange, as a recorder is.
            clock: where the filters' time comes from.
            front: what speaks HTTP/2 to Envoy; by default, what `extproc serve` uses.
        """
        self.upstream = Upstream(upstream)
        self.config = ""
        self.address = ""
        self._options = options or EnvoyOptions()
        self._chain = chain
        self._concurrency = concurrency
        bounds = Bounds(timing=Asked.of(chain).told(self._options.message_timeout, self._options.margin))
        told = FrontOptions(observer=observer, clock=clock, bounds=bounds, grace=1.0)
        self._front = new_front(chain, processor, told, front=front)
        self._exits = AsyncExitStack()

    async def __aenter__(self) -> Self:
        """Starts the upstream, the processor and Envoy, in this order.

        Raises:
            EnvoyError: Envoy does not start; in its own words.
            ServerError: the processor cannot listen.
        """
        async with AsyncExitStack() as exits:
            await exits.enter_async_context(self.upstream)
            await exits.enter_async_context(self._front)
            options = replace(
                self._options,
                listen=_ANY_PORT,
                admin=_ANY_PORT,
                upstream=self.upstream.address,
                processors=tuple(self._front.addresses),
            )
            self.config = await asyncio.to_thread(bootstrap, self._chain, options)  # it takes a while
            self.envoy = await exits.enter_async_context(RunningEnvoy(self.config, concurrency=self._concurrency))
            self.address = f"127.0.0.1:{self.envoy.port('ingress')}"
            self._exits = exits.pop_all()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Stops them, Envoy first."""
        await self._exits.aclose()

    async def send(
        self,
        method: str,
        target: str,
        *,
        headers: Mapping[str, str] | PlainHeaders | None = None,
        body: bytes | list[bytes] = b"",
        trailers: PlainHeaders | None = None,
    ) -> PlainReply:
        """Sends a request through Envoy, on a connection of its own.

        Args:
            method: the method.
            target: path and query.
            headers: by name, or in wire order as bytes. ``host`` is added where it is missing.
            body: sent with a content-length; a list is sent in chunks.
            trailers: sent after the body, which is then chunked.

        Raises:
            ConnectionError: no reply came back.
            TimeoutError: the reply took too long.
        """
        pairs = headers if isinstance(headers, list) else [(n.encode(), v.encode()) for n, v in (headers or {}).items()]
        chunked = isinstance(body, list) and not any(name.lower() == b"transfer-encoding" for name, _ in pairs)
        request = PlainRequest(
            method=method,
            target=target,
            headers=[*pairs, (b"transfer-encoding", b"chunked")] if chunked else pairs,
            body=body if isinstance(body, list) else [body] if body else [],
            trailers=trailers or [],
        )
        return await send(self.address, request)

    async def stats(self) -> dict[str, int]:
        """The counters of Envoy's ext_proc filter, such as ``streams_started`` and ``rejected_header_mutations``."""
        prefix = f"http.ingress.ext_proc.{self._options.stat_prefix}."
        found = await self.envoy.stats(prefix)
        return {name.removeprefix(prefix): value for name, value in found.items()}

    async def access_log(self, entries: int = 0) -> list[dict[str, Any]]:
        """Envoy's access log, once it has at least `entries`; ``response_code_details`` says most."""
        return await self.envoy.access_log(entries)
