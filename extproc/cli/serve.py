"""``extproc serve``."""

from __future__ import annotations

import asyncio
import logging
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

from cyclopts import Parameter

from extproc.cli.recording import recording
from extproc.cli.values import Count, Duration, FileMode, Size
from extproc.server.bounds import Bounds
from extproc.server.fronts import DEFAULT_FRONT, FrontName
from extproc.server.http2 import Http2Limits

if TYPE_CHECKING:
    from collections.abc import Sequence

    from extproc.server.tls import Tls
    from extproc.timing import Timing

__all__ = ["Connections", "Exchanges", "TlsFiles", "serve"]

_BOUNDS, _HTTP2 = Bounds(), Http2Limits()


@Parameter(name="*")
@dataclass(frozen=True, kw_only=True)
class TlsFiles:
    """Who the processor is, and who may connect.

    Attributes:
        tls_certificate: A PEM file: the certificate to serve with, and those between it and the root. It is read again
            when it changes, as the others are.
        tls_key: A PEM file: its private key.
        tls_client_ca: A PEM file: the CA of the clients; whoever has no certificate of it is turned away.
        tls_client_name: A DNS name or URI that a client's certificate must have; may be given several times.
    """

    tls_certificate: Path | None = None
    tls_key: Path | None = None
    tls_client_ca: Path | None = None
    tls_client_name: Annotated[tuple[str, ...], Parameter(negative="", show_default=False)] = ()

    def tls(self) -> Tls | None:
        """The same for the server; None: anybody may connect.

        Raises:
            ServerError: one of certificate and key is missing.
        """
        from extproc.errors import ServerError
        from extproc.server.tls import Tls

        certificate, key = self.tls_certificate, self.tls_key
        if certificate is not None and key is not None:
            return Tls(
                certificate=certificate, key=key, client_ca=self.tls_client_ca, client_names=self.tls_client_name
            )
        if self != TlsFiles():
            raise ServerError("TLS takes both --tls-certificate and --tls-key")
        return None


@Parameter(name="*")
@dataclass(frozen=True, kw_only=True)
class Connections:
    """What a peer may do.

    Attributes:
        max_connection_age: After this long a connection is ended in good order, such as 30m; Envoy makes another.
        max_connections: How many connections there may be at once. Each worker thread of an Envoy makes one; what is
            refused here, it asks another processor.
        max_streams: How many exchanges one connection may have open at once. For more, Envoy makes another.
        keepalive: After how long a silence a peer is asked whether it is still there, such as 30s.
    """

    max_connection_age: Duration | None = None
    max_connections: Count = _HTTP2.connections
    max_streams: Count = _HTTP2.streams
    keepalive: Duration = _HTTP2.keepalive_time

    def http2(self) -> Http2Limits:
        """The same for the server."""
        return Http2Limits(connections=self.max_connections, streams=self.max_streams, keepalive_time=self.keepalive)


@Parameter(name="*")
@dataclass(frozen=True, kw_only=True)
class Exchanges:
    """What exchanges may take.

    Attributes:
        max_body: What one exchange may hold of bodies that a filter wants whole, where Envoy does not hold them.
        max_bodies: The same for all exchanges together.
        message_timeout: What Envoy's ext_proc filter has; filters fail by their own policies before it runs out.
        max_message_timeout: What Envoy's ext_proc filter has; Envoy is asked for more time where the chain may need it.
        stall: How long a hook may block the event loop before the log names it, such as 100ms.
    """

    max_body: Size = _BOUNDS.body_bytes
    max_bodies: Size = _BOUNDS.bodies_bytes
    message_timeout: Duration | None = None
    max_message_timeout: Duration | None = None
    stall: Annotated[Duration | None, Parameter(negative_none="no-")] = _BOUNDS.stall

    def bounds(self) -> Bounds:
        """The same for the server.

        Raises:
            ServerError: the longest time is said, and the usual one is not.
        """
        return Bounds(body_bytes=self.max_body, bodies_bytes=self.max_bodies, stall=self.stall, timing=self._timing())

    def _timing(self) -> Timing | None:
        from extproc.errors import ServerError
        from extproc.timing import Timing

        if self.message_timeout is not None:
            return Timing(self.message_timeout, self.max_message_timeout or 0.0)
        if self.max_message_timeout is not None:
            raise ServerError("--max-message-timeout needs --message-timeout beside it")
        return None


_ANYBODY = TlsFiles()
_CONNECTIONS = Connections()
_EXCHANGES = Exchanges()


def serve(
    chain: str,
    /,
    *,
    listen: Annotated[tuple[str, ...], Parameter(negative="", show_default=", ".join)] = ("127.0.0.1:9002",),
    front: FrontName = DEFAULT_FRONT,
    socket_mode: FileMode = 0o660,
    record: Path | None = None,
    tls: TlsFiles = _ANYBODY,
    connections: Connections = _CONNECTIONS,
    grace: Duration = 10.0,
    exchanges: Exchanges = _EXCHANGES,
    log_level: Literal["debug", "info", "warning", "error"] = "info",
) -> None:
    """Run the processor: serve a chain to Envoy until SIGTERM or SIGINT, then let exchanges under way finish.

    Args:
        chain: A chain file, or module:attribute.
        listen: Where to listen: HOST:PORT, [IPV6]:PORT or unix:/path; may be given several times.
        front: What speaks HTTP/2: our own, or grpcio.
        socket_mode: Permissions of unix sockets, in octal.
        record: A directory to write a capture to, with secrets replaced by pseudonyms.
        tls: Who the processor is, and who may connect.
        connections: What a peer may do.
        grace: How long exchanges under way get to finish, such as 10s.
        exchanges: What exchanges may take.
        log_level: What is worth a line on standard error.
    """
    from extproc import server
    from extproc.config import load_chain

    logging.basicConfig(level=log_level.upper(), format="%(asctime)s %(levelname)s %(name)s: %(message)s")
    loaded = load_chain(chain)

    def ready(addresses: Sequence[str]) -> None:
        print(f"{loaded!r} is ready on {', '.join(addresses)}", flush=True)

    with recording(record, loaded) as recorder:
        options = server.FrontOptions(
            observer=recorder,
            socket_mode=socket_mode,
            tls=tls.tls(),
            max_connection_age=connections.max_connection_age,
            http2=connections.http2(),
            grace=grace,
            bounds=exchanges.bounds(),
        )
        asyncio.run(server.serve(loaded, listen, options, front=front, on_ready=ready))
