"""What becomes of requests that no method is called for."""

from __future__ import annotations

from typing import TYPE_CHECKING

from extproc.server.native.grpc import Receiver

if TYPE_CHECKING:
    from extproc.server.native.frames import Payload
    from extproc.server.native.grpc import PlainReply
    from extproc.server.native.streams import ServerStream

__all__ = ["NOBODY", "Plain", "Unread"]


class Unread:
    """The body of a request that is no gRPC: thrown away."""

    held = 0

    def feed(self, stream: ServerStream, piece: Payload) -> bool:
        """Gives its window back at once."""
        stream.credit(len(piece))
        return True


class Plain(Receiver):
    """Waits for the end of a request that is no gRPC, and answers it."""

    def __init__(self, stream: ServerStream, reply: PlainReply) -> None:
        self._stream = stream
        self._reply = reply

    def receive(self, data: bytes) -> None:
        """Never called: the stream's inbox throws its body away."""

    def finish(self) -> None:
        """The request has ended."""
        self._stream.reply(self._reply)

    def cancel(self) -> None:
        """Nothing is under way."""


class _Nobody(Receiver):
    """Listens to a stream that was refused, or has ended."""

    def receive(self, data: bytes) -> None:
        """The stream has ended."""

    def finish(self) -> None:
        """So has the peer."""

    def cancel(self) -> None:
        """Nothing is under way."""


NOBODY = _Nobody()
