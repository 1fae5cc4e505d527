"""What arrives in DATA frames: gRPC messages in pieces."""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING, Protocol

from extproc.server.native.grpc import MESSAGE_PREFIX_BYTES

if TYPE_CHECKING:
    from extproc.server.native.streams import ServerStream

__all__ = ["Inbox", "Messages"]

_SMALL = 1024
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
    """A message that arrives in more than one piece, and what comes with its last one.

    Attributes:
        held: how many bytes it holds.
    """

    __slots__ = ("_pieces", "_prefix", "_size", "held")

    def __init__(self) -> None:
        """Nothing has arrived."""
        self.held = 0
        self._prefix = b""
        self._size = 0  # of the message under way with its prefix; 0: its prefix is not complete
        self._pieces: list[bytes | bytearray] = []  # of the message: they are copied once, when it is complete

    def feed(self, stream: ServerStream, piece: bytes) -> bool:
        """Hands over every message that is complete."""
        while piece and not stream.over:
            piece = self._more(stream, piece) if self._size else self._begin(stream, piece)
        if stream.over:
            if stream.inbox is self:  # else the connection has asked already what is held
                stream.consumed(self.held)
            stream.credit(len(piece))
            return False
        return self.held > 0

    def _begin(self, stream: ServerStream, piece: bytes) -> bytes:
        """Takes what belongs to a prefix, and returns the rest."""
        missing = MESSAGE_PREFIX_BYTES - len(self._prefix)
        self._prefix += piece[:missing]
        self.held = len(self._prefix)
        if self.held == MESSAGE_PREFIX_BYTES:
            compressed, length = _PREFIX(self._prefix)
            if stream.admits(compressed, length):
                self._size = length + MESSAGE_PREFIX_BYTES
                stream.arriving(MESSAGE_PREFIX_BYTES, self._size)
                if length == 0:
                    self._complete(stream)
        return piece[missing:]

    def _more(self, stream: ServerStream, piece: bytes) -> bytes:
        """Takes what belongs to the message under way, and returns the rest."""
        missing = self._size - self.held
        rest = b""
        if len(piece) > missing:
            piece, rest = piece[:missing], piece[missing:]
        stream.arriving(len(piece), self._size)
        self._keep(piece)
        self.held += len(piece)
        if self.held == self._size:
            self._complete(stream)
        return rest

    def _keep(self, piece: bytes) -> None:
        """Keeps a piece of the message; small ones in one object, as a peer could else make us hold many."""
        pieces = self._pieces
        if len(piece) >= _SMALL:
            pieces.append(piece)
        elif pieces and isinstance(pieces[-1], bytearray):
            pieces[-1] += piece
        else:
            pieces.append(bytearray(piece))

    def _complete(self, stream: ServerStream) -> None:
        message = b"".join(self._pieces)
        self.held = self._size = 0  # before somebody asks what is held
        self._prefix = b""
        self._pieces.clear()
        stream.message(message)
