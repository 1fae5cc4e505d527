"""A `Connection` without a socket: a test says what the peer sends, and sees what it gets."""

from __future__ import annotations

from collections import Counter
from collections.abc import Generator
from typing import Any

from hpack import Decoder, Encoder

from extproc.server.http2 import Http2Limits
from extproc.server.native.connection import Connection
from extproc.server.native.frames import (
    DATA,
    END_HEADERS,
    END_STREAM,
    FRAME_HEADER_BYTES,
    HEADERS,
    PREFACE,
    frame,
    read_header,
    settings,
)
from extproc.server.native.grpc import AtOnce, Receiver
from extproc.server.native.streams import ServerStream

PATH = "/test.Service/Method"
FIELDS = {
    ":method": "POST",
    ":scheme": "http",
    ":path": PATH,
    ":authority": "test.example",
    "te": "trailers",
    "content-type": "application/grpc",
}


class Waiter:
    """Knows whether it was set."""

    def __init__(self) -> None:
        self.is_set = False

    def __await__(self) -> Generator[object, None, None]:
        yield None

    def done(self) -> bool:
        return self.is_set

    def set_result(self, result: None, /) -> None:
        self.is_set = True


class Heard(Receiver):
    """A receiver that keeps what it is told, and consumes nothing by itself."""

    def __init__(self, stream: ServerStream) -> None:
        self.stream = stream
        self.messages: list[bytes] = []
        self.finished = self.cancelled = False

    def receive(self, data: bytes) -> None:
        self.messages.append(data)

    def finish(self) -> None:
        self.finished = True

    def cancel(self) -> None:
        self.cancelled = True


class Peer:
    """A client, the connection it talks to, and the clock that both go by."""

    def __init__(
        self,
        *,
        max_message_bytes: int = 1 << 20,
        client: dict[int, int] | None = None,
        receiver: type[Heard] = Heard,
        at_once: AtOnce | None = None,
        **limits: Any,
    ) -> None:
        self.now = 0.0
        self.woken = 0
        self.alarms: list[float] = []
        self.counters: Counter[str] = Counter()
        self.calls: list[Heard] = []
        self._receiver = receiver
        self.encoder, self.decoder = Encoder(), Decoder()
        self.connection = Connection(
            self,
            {PATH.encode(): self._open},
            limits=Http2Limits(**limits),
            counters=self.counters,
            max_message_bytes=max_message_bytes,
            at_once={} if at_once is None else {PATH.encode(): at_once},
        )
        self.send(PREFACE + settings(client or {}))

    def _open(self, stream: ServerStream) -> Heard:
        self.calls.append(self._receiver(stream))
        return self.calls[-1]

    # Host

    def wake(self) -> None:
        self.woken += 1

    def waiter(self) -> Waiter:
        return Waiter()

    def time(self) -> float:
        return self.now

    def alarm(self, at: float) -> None:
        self.alarms.append(at)

    # Client

    def send(self, *parts: bytes) -> list[tuple[int, int, int, bytes]]:
        """Sends bytes; what frames come back, as types, flags, stream ids and payloads."""
        read = bytearray(self.connection.cut_off + b"".join(parts))
        self.connection.receive(memoryview(read))
        read[:] = bytes(len(read))  # the next read goes to the same place
        return self.frames()

    def frames(self) -> list[tuple[int, int, int, bytes]]:
        data = b""
        while self.connection.out:
            data += b"".join(self.connection.take())
            self.connection.pump()
        found, at = [], 0
        while at < len(data):
            head, flags, stream_id = read_header(data, at)
            start = at + FRAME_HEADER_BYTES
            at = start + (head >> 8)
            found.append((head & 0xFF, flags, stream_id, data[start:at]))
        return found

    def headers(self, stream_id: int, flags: int = 0, /, **changed: str | None) -> bytes:
        """A HEADERS frame; underscores in names stand for hyphens, None leaves a field out."""
        fields = {**FIELDS, **{name.replace("_", "-"): value for name, value in changed.items()}}
        block = self.encoder.encode([(name, value) for name, value in fields.items() if value is not None])
        return frame(HEADERS, END_HEADERS | flags, stream_id, block)

    def call(self, stream_id: int, content: bytes = b"", **changed: str | None) -> Heard:
        """Opens a stream, with a message if there is one."""
        self.send(self.headers(stream_id, **changed), *([data(stream_id, message(content))] if content else []))
        return self.calls[-1]

    def status(self, frames: list[tuple[int, int, int, bytes]]) -> dict[str, str]:
        """The fields of all HEADERS frames, in one."""
        found = {}
        for kind, _, _, payload in frames:
            if kind == HEADERS:
                found.update({str(name): str(value) for name, value in self.decoder.decode(payload)})
        return found


def message(content: bytes, compressed: int = 0) -> bytes:
    """With its prefix."""
    return bytes((compressed,)) + len(content).to_bytes(4, "big") + content


def data(stream_id: int, content: bytes, *, end: bool = False) -> bytes:
    """Content in DATA frames, as many as it takes."""
    pieces = [content[at : at + 16384] for at in range(0, len(content), 16384)] or [b""]
    return b"".join(
        frame(DATA, END_STREAM if end and number == len(pieces) else 0, stream_id, piece)
        for number, piece in enumerate(pieces, 1)
    )
