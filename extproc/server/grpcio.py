"""The front on ``grpc.aio``: the reference, against which the native front is measured."""

from __future__ import annotations

import asyncio
from collections import deque
from contextlib import AsyncExitStack
from typing import TYPE_CHECKING, Any, Self

import grpc
import grpc.aio
from grpc_health.v1 import health_pb2_grpc
from grpc_health.v1.health import aio as health
from grpc_health.v1.health_pb2 import HealthCheckResponse

from extproc.errors import ServerError
from extproc.server.fronts import DEFAULT_OPTIONS
from extproc.server.listen import check_addresses, clear_stale_socket, socket_mode
from extproc.server.session import Service, Session
from extproc.server.tls import Certificates
from extproc.wire import PROCESS, SERVICE

if TYPE_CHECKING:
    from collections.abc import Awaitable, Iterable, Sequence
    from types import TracebackType

    from extproc.chain import Chain
    from extproc.server.fronts import FrontOptions
    from extproc.server.tls import Pem

__all__ = ["GrpcioFront"]

_MAX_UNSENT_BYTES = 1024 * 1024
"""Answers of a stream beyond this wait until the peer has read some."""
_MAX_HELD_BYTES = 1024 * 1024
"""When the hooks of a stream lag so far behind, no more of it is read."""


class GrpcioFront:
    """Serves a chain over gRPC for as long as it is entered; starts and stops the chain.

    Attributes:
        addresses: where it listens, with ports resolved.
    """

    def __init__(
        self,
        chain: Chain,
        listen: Sequence[str] = ("127.0.0.1:0",),
        options: FrontOptions = DEFAULT_OPTIONS,
    ) -> None:
        """Sets the front up, as `new_front` does; nothing listens yet."""
        self.addresses = check_addresses(listen)
        self._options = options
        self._service = Service(chain, options)
        self._streams = 0
        self._health = health.HealthServicer()
        self._certificates = None if options.tls is None else Certificates(options.tls)
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
            # Not earlier: grpc.aio ties a server to the loop it is made in.
            self._server = grpc.aio.server(options=_options(self._options))
            self._server.add_generic_rpc_handlers((self._handlers(),))
            health_pb2_grpc.add_HealthServicer_to_server(self._health, self._server)
            self.addresses = [self._bind(address) for address in self.addresses]
            await self._server.start()
            exits.push_async_callback(self._drain)
            for service in ("", SERVICE):
                await self._health.set(service, HealthCheckResponse.SERVING)
            self._exits = exits.pop_all()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Reports unhealthy, lets exchanges finish, stops listening, stops the chain."""
        await self._exits.aclose()

    def totals(self) -> dict[str, int]:
        """What there was so far; what peers did wrong, gRPC's library keeps to itself."""
        return self._service.totals()

    def gauges(self) -> dict[str, int]:
        """What there is just now."""
        return {"streams": self._streams, **self._service.gauges()}

    async def _drain(self) -> None:
        await self._health.enter_graceful_shutdown()
        await self._server.stop(self._options.grace)
        await self._service.aclose()

    def _bind(self, address: str) -> str:
        try:
            if address.startswith("unix:"):
                path = address.removeprefix("unix:")
                clear_stale_socket(path)
                with socket_mode(path, self._options.socket_mode):
                    self._add_port(address)
                return address
            port = self._add_port(address)
        except (RuntimeError, OSError) as error:
            raise ServerError(f"cannot listen on {address}: it is in use, or not an address of this machine") from error
        return f"{address.rpartition(':')[0]}:{port}"

    def _add_port(self, address: str) -> int:
        certificates = self._certificates
        if certificates is None:
            return self._server.add_insecure_port(address)
        credentials = grpc.dynamic_ssl_server_credentials(
            _configuration(certificates.pem),
            lambda: _configuration(certificates.refreshed()),
            require_client_authentication=certificates.pem.client_ca is not None,
        )
        return self._server.add_secure_port(address, credentials)

    def _allows(self, context: grpc.aio.ServicerContext[bytes, bytes]) -> bool:
        tls = self._options.tls
        names: Iterable[bytes] = context.auth_context().get("x509_subject_alternative_name", ())
        return tls is None or tls.allows(name.decode() for name in names)

    def _handlers(self) -> grpc.GenericRpcHandler:
        """No (de)serializers: the session takes bytes and gives bytes."""
        handler: grpc.RpcMethodHandler[bytes, bytes] = grpc.stream_stream_rpc_method_handler(self._process)
        return grpc.method_handlers_generic_handler(SERVICE, {PROCESS: handler})

    async def _process(self, _: object, context: grpc.aio.ServicerContext[bytes, bytes]) -> None:
        """One stream. It ends cleanly only when every message has been answered, else with an error status.

        Envoy takes a clean end for "let the rest through", whatever its failure mode says.
        """
        if not self._allows(context):
            await context.abort(grpc.StatusCode.PERMISSION_DENIED, "extproc.client_name")
        stream = _Stream()
        session = self._service.open(stream)
        self._streams += 1
        try:
            async with asyncio.TaskGroup() as tasks:
                reading = tasks.create_task(_read(session, stream, context))
                code, reason = await stream.write_to(context)
                reading.cancel()
        finally:
            self._streams -= 1
            session.cancel()
        if code != "OK":
            await context.abort(grpc.StatusCode[code], reason)


class _Stream:
    """The way back to Envoy: what a session sends waits here to be written."""

    def __init__(self) -> None:
        self._out: deque[bytes] = deque()
        self._out_size = 0
        self._status: tuple[str, str] | None = None
        self._held = 0
        self._news = asyncio.Event()
        self._room = asyncio.Event()
        self._drained = asyncio.Event()

    def send(self, data: bytes, body: bytes = b"") -> None:
        self._out.append(data + body)
        self._out_size += len(data) + len(body)
        self._news.set()

    def end(self, code: str, reason: str) -> None:
        self._status = (code, reason)
        self._news.set()

    def consumed(self, size: int) -> None:
        self._held -= size
        self._room.set()

    def writable(self) -> Awaitable[None] | None:
        return None if self._out_size < _MAX_UNSENT_BYTES else self._drain()

    async def _drain(self) -> None:
        while self._out_size >= _MAX_UNSENT_BYTES:
            self._drained.clear()
            await self._drained.wait()

    async def write_to(self, context: grpc.aio.ServicerContext[bytes, bytes]) -> tuple[str, str]:
        """Writes until the session has ended the stream; with what status it did."""
        while True:
            while self._out:
                data = self._out.popleft()
                await context.write(data)
                self._out_size -= len(data)
                self._drained.set()
            if self._status is not None:
                return self._status
            self._news.clear()
            await self._news.wait()

    async def admit(self, size: int) -> None:
        """Waits until what is held of the peer's messages leaves room for more."""
        self._held += size
        while self._held >= _MAX_HELD_BYTES:
            self._room.clear()
            await self._room.wait()


async def _read(session: Session, stream: _Stream, context: grpc.aio.ServicerContext[bytes, bytes]) -> None:
    while True:
        data: Any = await context.read()
        if data is grpc.aio.EOF:
            session.finish()
            return
        session.receive(data)
        await stream.admit(len(data))


def _configuration(pem: Pem) -> grpc.ServerCertificateConfiguration:
    return grpc.ssl_server_certificate_configuration([(pem.key, pem.certificate)], pem.client_ca)


def _options(options: FrontOptions) -> list[tuple[str, int]]:
    age, http2 = options.max_connection_age, options.http2
    return [
        *([] if age is None else [("grpc.max_connection_age_ms", int(age * 1000))]),
        ("grpc.max_allowed_incoming_connections", http2.connections),
        ("grpc.max_concurrent_streams", http2.streams),
        ("grpc.keepalive_time_ms", int(http2.keepalive_time * 1000)),
        ("grpc.keepalive_timeout_ms", int(http2.keepalive_timeout * 1000)),
        ("grpc.max_receive_message_length", options.max_message_bytes),
        ("grpc.max_send_message_length", options.max_message_bytes),
        ("grpc.http2.bdp_probe", 0),  # else windows grow to what a network could carry: tens of MiB of a long body
        ("grpc.so_reuseport", 0),  # a port in use is an error, not a second listener that takes half the streams
    ]
