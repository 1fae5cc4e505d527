"""What arrives in DATA frames: gRPC messages in pieces."""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING, Protocol

from extproc.server.native.grpc import MESSAGE_PREFIX_BYTES

if TYPE_CHECKING:
    from extproc.server.native.frames import Payload
    from extproc.server.native.streams import ServerStream

__all__ = ["Inbox", "Messages", "read_prefix"]

_SMALL = 1024
read_prefix = struct.Struct(">BI").unpack_from
"""Whether the message is compressed, and its length."""


class Inbox(Protocol):
    """Takes the content of DATA frames where that is not just one whole message."""

    def feed(self, stream: ServerStream, piece: Payload) -> bool:
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

    __slots__ = ("_borrowed", "_pieces", "_prefix", "_size", "held")

    def __init__(self) -> None:
        """Nothing has arrived."""
        self.held = 0
        self._prefix = b""
        self._size = 0  # of the message under way with its prefix; 0: its prefix is not complete
        self._pieces: list[bytes | bytearray] = []  # of the message, from reads before this one
        self._borrowed: list[Payload] = []  # what came with this read: it is copied once, into the message

    def feed(self, stream: ServerStream, piece: Payload) -> bool:
        """Hands over every message that is complete."""
        while piece and not stream.over:
            piece = self._more(stream, piece) if self._size else self._begin(stream, piece)
        if stream.over:
            if stream.inbox is self:  # else the connection has asked already what is held
                stream.consumed(self.held)
            stream.credit(len(piece))
            return False
        return self.held > 0

    @property
    def missing(self) -> int:
        """How many bytes the message under way still needs; none while its prefix is not complete."""
        return self._size - self.held if self._size else 0

    def more(self, stream: ServerStream, pieces: list[Payload], size: int) -> None:
        """Takes pieces that belong to the message under way, of `size` bytes together."""
        self._keep(stream, pieces, size)
        if not self.held and stream.inbox is self:
            stream.inbox = None

    def settle(self) -> None:
        """Copies what has to outlast this read; small pieces into one object: a peer could make us hold many."""
        piece = b"".join(self._borrowed)
        self._borrowed.clear()
        pieces = self._pieces
        if len(piece) >= _SMALL:
            pieces.append(piece)
        elif pieces and isinstance(pieces[-1], bytearray):
            pieces[-1] += piece
        elif piece:
            pieces.append(bytearray(piece))

    def _begin(self, stream: ServerStream, piece: Payload) -> Payload:
        """Takes what belongs to a prefix, and returns the rest."""
        missing = MESSAGE_PREFIX_BYTES - len(self._prefix)
        prefix = self._prefix = self._prefix + piece[:missing]
        self.held = len(prefix)
        if self.held == MESSAGE_PREFIX_BYTES:
            compressed, length = read_prefix(prefix)
            if stream.admits(compressed, length):
                self._size = length + MESSAGE_PREFIX_BYTES
                stream.arriving(MESSAGE_PREFIX_BYTES, self._size)
                if length == 0:
                    self._complete(stream)
        return piece[missing:]

    def _more(self, stream: ServerStream, piece: Payload) -> Payload:
        """Takes what belongs to the message under way, and returns the rest."""
        size, missing = len(piece), self.missing
        rest: Payload = b""
        if size > missing:
            piece, rest = piece[:missing], piece[missing:]
            size = missing
        self._keep(stream, [piece], size)
        return rest

    def _keep(self, stream: ServerStream, pieces: list[Payload], size: int) -> None:
        """Takes pieces of the message under way."""
        stream.arriving(size, self._size)
        if not self._borrowed:
            stream.borrows(self)
        self._borrowed += pieces
        self.held += size
        if self.held == self._size:
            self._complete(stream)

    def _complete(self, stream: ServerStream) -> None:
        parts, length = (*self._pieces, *self._borrowed), self._size - MESSAGE_PREFIX_BYTES
        self.held = self._size = 0  # before somebody asks what is held
        self._prefix = b""
        self._pieces.clear()
        self._borrowed.clear()
        stream.message(length, None, parts)
