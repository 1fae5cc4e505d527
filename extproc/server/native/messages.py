"""What arrives in DATA frames: gRPC messages in pieces."""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING, Protocol

from extproc.server.native.grpc import MESSAGE_PREFIX_BYTES

if TYPE_CHECKING:
    from extproc.server.native.streams import ServerStream

__all__ = ["Inbox", "Messages"]

_PREFIX = struct.Struct(">BI").unpack_from


class Inbox(Protocol):
    """Takes the content of DATA frames where that is not just one whole message."""

    def feed(self, stream: ServerStream, piece: bytes) -> bool:
        """Takes a piece; whether more of the same must come, so that the inbox is still needed."""
        ...

    @property
    def held(self) -> int:
        """How many bytes it holds."""
        ...


class Messages:
    """A message that arrives in more than one piece, and what comes with its last one."""

    __slots__ = ("_buffer", "_size")

    def __init__(self) -> None:
        """Nothing has arrived."""
        self._buffer = bytearray()
        self._size = 0  # of the message under way with its prefix; 0: its prefix is not complete

    @property
    def held(self) -> int:
        """How many bytes it holds."""
        return len(self._buffer)

    def feed(self, stream: ServerStream, piece: bytes) -> bool:
        """Hands over every message that is complete."""
        if stream.over:
            stream.consumed(len(self._buffer))
            stream.credit(len(piece))
            return False
        if self._size:
            stream.arriving(min(len(piece), self._size - len(self._buffer)), self._size)
        self._buffer += piece
        while self._complete(stream):
            message = bytes(memoryview(self._buffer)[MESSAGE_PREFIX_BYTES : self._size])
            del self._buffer[: self._size]  # before somebody asks what is held
            self._size = 0
            stream.message(message)
        return len(self._buffer) > 0

    def _complete(self, stream: ServerStream) -> bool:
        """Whether the next message is there; reads its prefix once that is."""
        if self._size == 0 and len(self._buffer) >= MESSAGE_PREFIX_BYTES:
            compressed, length = _PREFIX(self._buffer)
            if stream.admits(compressed, length):
                self._size = length + MESSAGE_PREFIX_BYTES
                stream.arriving(min(len(self._buffer), self._size), self._size)
        return 0 < self._size <= len(self._buffer) and not stream.over
