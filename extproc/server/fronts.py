"""The fronts by name. They take the same options, and differ in nothing that Envoy could observe."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal, Protocol, Self, TypeAlias

from extproc.server.bounds import Bounds
from extproc.server.http2 import Http2Limits

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from types import TracebackType

    from extproc.chain import Chain
    from extproc.clock import Clock
    from extproc.guard import Limits
    from extproc.observe import Observer
    from extproc.server.listen import SocketMode
    from extproc.server.tls import Tls

__all__ = ["DEFAULT_FRONT", "DEFAULT_OPTIONS", "Front", "FrontName", "FrontOptions", "new_front"]

FrontName: TypeAlias = Literal["native", "grpcio"]

DEFAULT_FRONT: FrontName = "native"

_MIB = 1024 * 1024


@dataclass(frozen=True, slots=True, kw_only=True)
class FrontOptions:
    """What a front is told beside its chain and its addresses.

    Attributes:
        observer: is told of every exchange; costs a trace of every edit.
        clock: where time comes from.
        ids: names exchanges; by default, so that no two have one name.
        limits: how many headers Envoy takes, and how large.
        bounds: what exchanges may take, of time and of memory.
        max_message_bytes: the largest message taken; more than Envoy's buffer limit. gRPC's own default of 4 MiB would
            turn a larger body into a 500.
        tls: certificates; without them, anybody who can connect is trusted and heard.
        socket_mode: permissions of unix sockets.
        grace: seconds that exchanges under way get to finish when the front is left.
        max_connection_age: seconds, give or take a tenth, after which a connection is ended in good order.
        http2: what a peer may do. The front on gRPC's own library heeds what that has options for: `connections`,
            `streams` and the times of `keepalive`.
    """

    observer: Observer | None = None
    clock: Clock | None = None
    ids: Iterator[str] | None = None
    limits: Limits | None = None
    bounds: Bounds = field(default_factory=Bounds)
    max_message_bytes: int = 64 * _MIB
    tls: Tls | None = None
    socket_mode: SocketMode = 0o660
    grace: float = 10.0
    max_connection_age: float | None = None
    http2: Http2Limits = field(default_factory=Http2Limits)


DEFAULT_OPTIONS = FrontOptions()


class Front(Protocol):
    """Serves a chain for as long as it is entered.

    Attributes:
        addresses: where it listens, with ports resolved.
    """

    addresses: list[str]

    async def __aenter__(self) -> Self:
        """Starts the chain, then listens, then reports healthy."""
        ...

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Reports unhealthy, lets exchanges finish, stops the chain."""
        ...

    def totals(self) -> dict[str, int]:
        """What there was so far.

        ``exchanges`` that have begun, ``stalls`` of the event loop, ``bodies_refused`` for want of room. The native
        front also counts what peers did wrong: see its `counters`.
        """
        ...

    def gauges(self) -> dict[str, int]:
        """What there is just now.

        Open ``streams``, ``body_bytes`` that are held because a filter wants a body whole, ``hooks_given_up`` that
        still run in their threads. The native front has more.
        """
        ...


def new_front(
    chain: Chain,
    listen: Sequence[str] = ("127.0.0.1:0",),
    options: FrontOptions = DEFAULT_OPTIONS,
    *,
    front: FrontName | None = None,
) -> Front:
    """A front that is not entered yet.

    Args:
        chain: the filters; not started yet.
        listen: ``HOST:PORT`` (port 0: any free one), ``[IPV6]:PORT`` or ``unix:/path``.
        options: what else there is to tell.
        front: which one; None: the default. The other is not imported.

    Raises:
        ServerError: an address is malformed, or there is none; certificates cannot be used.
    """
    if (front or DEFAULT_FRONT) == "native":
        from extproc.server.native import NativeFront  # noqa: PLC0415 (see the docstring)

        return NativeFront(chain, listen, options)
    from extproc.server.grpcio import GrpcioFront  # noqa: PLC0415

    return GrpcioFront(chain, listen, options)
