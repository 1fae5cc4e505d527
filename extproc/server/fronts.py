"""The fronts by name. They take the same arguments, and differ in nothing that Envoy could observe."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal, Protocol, Self, TypeAlias

if TYPE_CHECKING:
    from collections.abc import Sequence
    from types import TracebackType

    from extproc.chain import Chain

__all__ = ["DEFAULT_FRONT", "Front", "FrontName", "new_front"]

FrontName: TypeAlias = Literal["native", "grpcio"]

DEFAULT_FRONT: FrontName = "native"


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


def new_front(
    chain: Chain, listen: Sequence[str] = ("127.0.0.1:0",), *, front: FrontName | None = None, **options: Any
) -> Front:
    """A front that is not entered yet.

    Args:
        chain: the filters; not started yet.
        listen: addresses, as `NativeFront` takes them.
        front: which one; None: the default. The other is not imported.
        options: whatever else it takes.
    """
    if (front or DEFAULT_FRONT) == "native":
        from extproc.server.native import NativeFront  # noqa: PLC0415 (see the docstring)

        return NativeFront(chain, listen, **options)
    from extproc.server.grpcio import GrpcioFront  # noqa: PLC0415

    return GrpcioFront(chain, listen, **options)
