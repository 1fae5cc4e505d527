"""``extproc serve``."""

from __future__ import annotations

import asyncio
import logging
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

from cyclopts import Parameter

from extproc.cli.recording import recording
from extproc.cli.values import Count, Duration, FileMode, Size
from extproc.server.bounds import Bounds
from extproc.server.fronts import DEFAULT_FRONT, FrontName
from extproc.server.http2 import Http2Limits

if TYPE_CHECKING:
    from extproc.server.tls import Tls
    from extproc.timing import Timing

__all__ = ["serve"]

_BOUNDS, _HTTP2 = Bounds(), Http2Limits()


def serve(
    chain: str,
    /,
    *,
    listen: Annotated[tuple[str, ...], Parameter(negative="", show_default=", ".join)] = ("127.0.0.1:9002",),
    front: FrontName = DEFAULT_FRONT,
    socket_mode: FileMode = 0o660,
    record: Path | None = None,
    tls_certificate: Path | None = None,
    tls_key: Path | None = None,
    tls_client_ca: Path | None = None,
    tls_client_name: Annotated[tuple[str, ...], Parameter(negative="", show_default=False)] = (),
    max_connection_age: Duration | None = None,
    max_connections: Count = _HTTP2.connections,
    max_streams: Count = _HTTP2.streams,
    keepalive: Duration = _HTTP2.keepalive_time,
    grace: Duration = 10.0,
    max_body: Size = _BOUNDS.body_bytes,
    max_bodies: Size = _BOUNDS.bodies_bytes,
    message_timeout: Duration | None = None,
    max_message_timeout: Duration | None = None,
    stall: Annotated[Duration | None, Parameter(negative_none="no-")] = _BOUNDS.stall,
    log_level: Literal["debug", "info", "warning", "error"] = "info",
) -> None:
    """Run the processor: serve a chain to Envoy until SIGTERM or SIGINT, then let exchanges under way finish.

    Args:
        chain: A chain file, or module:attribute.
        listen: Where to listen: HOST:PORT, [IPV6]:PORT or unix:/path; may be given several times.
        front: What speaks HTTP/2: our own, or grpcio.
        socket_mode: Permissions of unix sockets, in octal.
        record: A directory to write a capture to, with secrets replaced by pseudonyms.
        tls_certificate: A PEM file: the certificate to serve with, and those between it and the root. It is read again
            when it changes, as the others are.
        tls_key: A PEM file: its private key.
        tls_client_ca: A PEM file: the CA of the clients; whoever has no certificate of it is turned away.
        tls_client_name: A DNS name or URI that a client's certificate must have; may be given several times.
        max_connection_age: After this long a connection is ended in good order, such as 30m; Envoy makes another.
        max_connections: How many connections there may be at once. Each worker thread of an Envoy makes one; what is
            refused here, it asks another processor.
        max_streams: How many exchanges one connection may have open at once. For more, Envoy makes another.
        keepalive: After how long a silence a peer is asked whether it is still there, such as 30s.
        grace: How long exchanges under way get to finish, such as 10s.
        max_body: What one exchange may hold of bodies that a filter wants whole, where Envoy does not hold them.
        max_bodies: The same for all exchanges together.
        message_timeout: What Envoy's ext_proc filter has; filters fail by their own policies before it runs out.
        max_message_timeout: What Envoy's ext_proc filter has; Envoy is asked for more time where the chain may need it.
        stall: How long a hook may block the event loop before the log names it, such as 100ms.
        log_level: What is worth a line on standard error.
    """
    from extproc import server
    from extproc.config import load_chain

    logging.basicConfig(level=log_level.upper(), format="%(asctime)s %(levelname)s %(name)s: %(message)s")
    loaded = load_chain(chain)
    with recording(record, loaded) as recorder:
        asyncio.run(
            server.serve(
                loaded,
                listen,
                server.FrontOptions(
                    observer=recorder,
                    socket_mode=socket_mode,
                    tls=_tls(tls_certificate, tls_key, tls_client_ca, tls_client_name),
                    max_connection_age=max_connection_age,
                    http2=Http2Limits(connections=max_connections, streams=max_streams, keepalive_time=keepalive),
                    grace=grace,
                    bounds=Bounds(
                        body_bytes=max_body,
                        bodies_bytes=max_bodies,
                        stall=stall,
                        timing=_timing(message_timeout, max_message_timeout),
                    ),
                ),
                front=front,
                on_ready=lambda addresses: print(f"{loaded!r} is ready on {', '.join(addresses)}", flush=True),
            )
        )


def _timing(message_timeout: float | None, max_message_timeout: float | None) -> Timing | None:
    from extproc.errors import ServerError
    from extproc.timing import Timing

    if message_timeout is not None:
        return Timing(message_timeout, max_message_timeout or 0.0)
    if max_message_timeout is not None:
        raise ServerError("--max-message-timeout needs --message-timeout beside it")
    return None


def _tls(
    certificate: Path | None, key: Path | None, client_ca: Path | None, client_names: tuple[str, ...]
) -> Tls | None:
    from extproc.errors import ServerError
    from extproc.server.tls import Tls

    if certificate is not None and key is not None:
        return Tls(certificate=certificate, key=key, client_ca=client_ca, client_names=client_names)
    if certificate is not None or key is not None or client_ca is not None or client_names:
        raise ServerError("TLS takes both --tls-certificate and --tls-key")
    return None
