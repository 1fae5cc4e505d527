"""Flow control (RFC 9113, section 5.2): what a stream has to send and may not yet."""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Generator

__all__ = ["Outbox", "Waiter"]

_LOW_WATER = 64 * 1024
"""Below it, more may be put into an outbox without waiting."""


class Waiter(Protocol):
    """What somebody awaits; an `asyncio.Future`, for one."""

    def __await__(self) -> Generator[object, None, None]: ...

    def done(self) -> bool:
        """It was set, or whoever waited was cancelled."""
        ...

    def set_result(self, result: None, /) -> None:
        """Lets it go on."""
        ...


class Outbox:
    """The bytes of DATA frames that wait for a window, or for the socket.

    Attributes:
        size: how many there are.
        trailers: the header block that follows them; empty: the last DATA frame ends the stream; None: it goes on.
        withheld: received bytes whose window the peer gets only once there is room here.
    """

    __slots__ = ("_chunks", "_waiters", "size", "trailers", "withheld")

    def __init__(self) -> None:
        """Nothing to send."""
        self._chunks: deque[memoryview] = deque()
        self._waiters: list[Waiter] = []
        self.size = 0
        self.trailers: bytes | None = None
        self.withheld = 0

    @property
    def roomy(self) -> bool:
        """More may come."""
        return self.size < _LOW_WATER

    def put(self, data: bytes) -> None:
        """Adds to the end."""
        self._chunks.append(memoryview(data))
        self.size += len(data)

    def take(self, room: int) -> list[memoryview]:
        """Takes exactly `room` bytes off the front, or all there are; nothing is copied."""
        taken: list[memoryview] = []
        while room and self._chunks:
            chunk = self._chunks.popleft()
            if len(chunk) > room:
                self._chunks.appendleft(chunk[room:])
                chunk = chunk[:room]
            room -= len(chunk)
            self.size -= len(chunk)
            taken.append(chunk)
        return taken

    def wait(self, waiter: Waiter) -> Waiter:
        """Has `waiter` set once there is room."""
        self._waiters.append(waiter)
        return waiter

    def release(self) -> None:
        """Sets whoever waits for room: there is some, or never will be."""
        for waiter in self._waiters:
            if not waiter.done():
                waiter.set_result(None)
        self._waiters.clear()
