"""The demo's service: a stable and a canary upstream, and a real Envoy that calls the chain."""

from __future__ import annotations

from contextlib import AsyncExitStack
from typing import TYPE_CHECKING, Self

from extproc.envoy.config import EnvoyOptions, Route
from extproc.envoy.plain_http import Connection, PlainReply, PlainRequest, Upstream
from extproc.testing import Gateway

if TYPE_CHECKING:
    from types import TracebackType

    from extproc.chain import Chain
    from extproc.observe import Observer

__all__ = ["Service"]


class Service:
    """A chain in service in front of two versions of an upstream; routes go by ``x-variant``.

    Attributes:
        stable: the upstream that answers by default.
        canary: the upstream of requests that are tagged ``canary``.
        gateway: Envoy and the processor.
    """

    def __init__(self, chain: Chain, observer: Observer) -> None:
        """Sets everything up; nothing runs yet."""
        self.canary = Upstream(_hello("canary"))
        self._chain = chain
        self._observer = observer
        self._exits = AsyncExitStack()

    async def __aenter__(self) -> Self:
        """Starts the upstreams, the processor and Envoy."""
        async with AsyncExitStack() as exits:
            await exits.enter_async_context(self.canary)
            canary = Route(name="canary", upstream=self.canary.address, headers={"x-variant": "canary"})
            self.gateway = Gateway(
                self._chain,
                upstream=_hello("stable"),
                options=EnvoyOptions(routes=(canary,)),
                observer=self._observer,
            )
            await exits.enter_async_context(self.gateway)
            self.stable = self.gateway.upstream
            self._client = await exits.enter_async_context(Connection(self.gateway.address))
            self._exits = exits.pop_all()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Stops all of it."""
        await self._exits.aclose()

    async def get(self, target: str, **headers: str) -> PlainReply:
        """One GET through Envoy; ``x_user="ann"`` is the header ``x-user: ann``."""
        pairs = [(name.replace("_", "-").encode(), value.encode()) for name, value in headers.items()]
        return await self._client.send(PlainRequest(target=target, headers=pairs))


def _hello(version: str) -> PlainReply:
    return PlainReply(
        status=200,
        headers=[(b"content-type", b"text/plain"), (b"x-version", version.encode())],
        body=[f"hello from {version}\n".encode()],
    )
