"""`NativeFront`: a chain over HTTP/2 of our own."""

from __future__ import annotations

import asyncio
import random
import socket
from collections import Counter
from contextlib import AsyncExitStack, suppress
from functools import partial
from typing import TYPE_CHECKING, Any, Self

from extproc.errors import ServerError
from extproc.server.fronts import DEFAULT_OPTIONS
from extproc.server.listen import check_addresses, clear_stale_socket, inode_of, remove_socket, socket_mode
from extproc.server.native.connection import Connection
from extproc.server.native.health import Health, Status
from extproc.server.native.protocol import Http2Protocol
from extproc.server.session import Service
from extproc.server.tls import Certificates, names_of
from extproc.wire import PROCESS, SERVICE

if TYPE_CHECKING:
    from collections.abc import Sequence
    from types import TracebackType

    from extproc.chain import Chain
    from extproc.server.fronts import FrontOptions

__all__ = ["NativeFront"]

_BACKLOG = 1024
"""Connections that the kernel lets wait."""
_ACCEPTS = 8
"""Connections taken in one turn of the loop: where descriptors have run out, asyncio fails, and logs it, as often."""
_AGE_JITTER = 0.1
"""So that the connections of a fleet do not end together."""
_READ_BYTES = 256 * 1024
_CHURN = 4 * 1024 * 1024
"""Bytes that come and go while bodies are on their way."""
_LAST_WORDS = 2.0
"""Seconds after the grace in which connections still get to close properly."""


class NativeFront:
    """Serves a chain over gRPC for as long as it is entered; starts and stops the chain.

    Attributes:
        addresses: where it listens, with ports resolved.
        counters: errors of peers by code (``connection_error.PROTOCOL_ERROR``, ``stream_error.…``), and limits that
            were hit by field of `Http2Limits` (``limit.resets``).
    """

    def __init__(
        self,
        chain: Chain,
        listen: Sequence[str] = ("127.0.0.1:0",),
        options: FrontOptions = DEFAULT_OPTIONS,
    ) -> None:
        """Sets the front up, as `new_front` does; nothing listens yet."""
        self.addresses = check_addresses(listen)
        self.counters: Counter[str] = Counter()
        self._options = options
        self._service = Service(chain, options)
        self._certificates = None if options.tls is None else Certificates(options.tls)
        self._rng = random.Random()  # noqa: S311 (spreads load, guards nothing)
        self._health = Health()
        path, at_once = f"/{SERVICE}/{PROCESS}".encode(), self._service.at_once
        self._connect = partial(
            Connection,
            methods={path: self._service.open, **self._health.methods()},
            at_once={} if at_once is None else {path: at_once},
            limits=options.http2,
            counters=self.counters,
            max_message_bytes=options.max_message_bytes,
        )
        self._buffer = memoryview(bytearray(_READ_BYTES + options.http2.frame_bytes))
        _keep_memory()
        self._protocols: set[Http2Protocol] = set()
        self._empty = asyncio.Event()
        self._exits = AsyncExitStack()

    async def __aenter__(self) -> Self:
        """Starts the chain, then listens, then reports healthy.

        Raises:
            ServerError: an address cannot be bound.
        """
        async with AsyncExitStack() as exits:
            await self._service.chain.start()
            exits.push_async_callback(self._service.chain.stop)
            exits.enter_context(self._service.watchdog)
            exits.push_async_callback(self._finish)
            self.addresses = [await self._bind(address, exits) for address in self.addresses]
            for service in ("", SERVICE):
                self._health.set(service, Status.SERVING)
            exits.callback(self._health.stop)
            self._exits = exits.pop_all()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Reports unhealthy, stops listening, lets exchanges finish, stops the chain."""
        await self._exits.aclose()

    def totals(self) -> dict[str, int]:
        """What there was so far: as with every front, and `counters`."""
        return {**self._service.totals(), **self.counters}

    def gauges(self) -> dict[str, int]:
        """What there is just now: as with every front, and ``buffered_bytes``: of frames, in both directions."""
        connections = [protocol.connection for protocol in self._protocols]
        return {
            "connections": len(connections),
            "streams": sum(len(connection.streams) for connection in connections),
            "buffered_bytes": sum(connection.buffered() for connection in connections),
            **self._service.gauges(),
        }

    async def _bind(self, address: str, exits: AsyncExitStack) -> str:
        loop = asyncio.get_running_loop()
        try:
            if address.startswith("unix:"):
                path = address.removeprefix("unix:")
                clear_stale_socket(path)
                with socket_mode(path, self._options.socket_mode):
                    server = await loop.create_unix_server(self._accept, path, backlog=_ACCEPTS, **self._security())
                exits.callback(remove_socket, path, inode_of(path))
                exits.callback(server.close)
                _let_wait(server)
                return address
            host, _, port = address.rpartition(":")
            server = await loop.create_server(
                self._accept, host.strip("[]"), int(port), backlog=_ACCEPTS, **self._security()
            )
        except OSError as error:
            raise ServerError(f"cannot listen on {address}: it is in use, or not an address of this machine") from error
        exits.callback(server.close)
        _let_wait(server)
        return f"{host}:{server.sockets[0].getsockname()[1]}"

    def _accept(self) -> Http2Protocol:
        return Http2Protocol(
            self._connect,
            buffer=self._buffer,
            age=self._age(),
            admit=self._admit,
            opened=self._opened,
            closed=self._closed,
        )

    def _security(self) -> dict[str, Any]:
        if self._certificates is None:
            return {}
        return {"ssl": self._certificates.context, "ssl_handshake_timeout": self._options.http2.preface_timeout}

    def _admit(self, transport: asyncio.BaseTransport) -> bool:
        """Whether a peer may stay after its TLS handshake."""
        tls = self._options.tls
        if tls is None:
            return True
        if transport.get_extra_info("ssl_object").selected_alpn_protocol() != "h2":
            self.counters["tls.no_h2"] += 1
            return False
        if not tls.allows(names_of(transport.get_extra_info("peercert") or {})):
            self.counters["tls.client_name"] += 1
            return False
        return True

    def _age(self) -> float | None:
        age = self._options.max_connection_age
        return None if age is None else age * self._rng.uniform(1 - _AGE_JITTER, 1 + _AGE_JITTER)

    def _opened(self, protocol: Http2Protocol) -> None:
        self._protocols.add(protocol)
        if len(self._protocols) > self._options.http2.connections:
            self.counters["limit.connections"] += 1
            protocol.connection.refuse_more()

    def _closed(self, protocol: Http2Protocol) -> None:
        self._protocols.discard(protocol)
        if not self._protocols:
            self._empty.set()

    async def _finish(self) -> None:
        """Lets the streams that are open end, then ends them."""
        for protocol in list(self._protocols):
            protocol.drain(self._options.grace)
        await self._all_closed(self._options.grace + _LAST_WORDS)
        for protocol in list(self._protocols):
            protocol.abort()
        await self._service.aclose()
        await self._all_closed(_LAST_WORDS)

    async def _all_closed(self, seconds: float) -> None:
        if self._protocols:
            self._empty.clear()
            with suppress(TimeoutError):
                async with asyncio.timeout(seconds):
                    await self._empty.wait()


def _keep_memory() -> None:
    """Has glibc keep what is freed: it gives back what is more than twice the largest block that was ever freed.

    At first that is 256 KiB, so that every chunk of a body would get its pages from the kernel, one fault for each.
    """
    bytes(_CHURN)


def _let_wait(server: asyncio.Server) -> None:
    """Has the kernel keep more connections waiting than are taken in one turn; asyncio makes one number of the two."""
    for listening in server.sockets:
        with socket.fromfd(listening.fileno(), listening.family, listening.type) as same:
            same.listen(_BACKLOG)
