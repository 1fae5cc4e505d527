"""A client that mostly keeps to the rules: random bytes alone never get as far as a call."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from extproc.wire import SERVICE
from tests.server.conftest import body_message, headers_message
from tests.server.raw.frames import (
    ACK,
    END_HEADERS,
    END_STREAM,
    PREFACE,
    Code,
    Kind,
    Setting,
    block,
    continuation,
    data,
    frame,
    headers,
    integer,
    ping,
    priority,
    rst_stream,
    settings,
    window_update,
)
from tests.server.raw.requests import CHECK_PATH, PROCESS_PATH, WATCH_PATH, call_fields, message, plain_fields

MESSAGES = [
    message(headers_message(end_of_stream=False).SerializeToString()),
    message(headers_message(end_of_stream=False).SerializeToString()),
    message(headers_message().SerializeToString()),
    message(body_message(b"a" * 3000).SerializeToString()),
    message(),
    message(b"\xff\xff"),
    message(b"?", compressed=1),
    message(b"?", length=2000),
    message(b"?", length=70_000),
    message(b"?", length=2**32 - 1),
    b"\0\0",
    b"",
]
BLOCKS = [
    block(call_fields(PROCESS_PATH)),
    block(call_fields(PROCESS_PATH)),
    block(call_fields(CHECK_PATH)),
    block(call_fields(WATCH_PATH)),
    block(call_fields(f"/{SERVICE}/No")),
    block(call_fields(PROCESS_PATH, ("grpc-timeout", "1n"))),
    block(call_fields(PROCESS_PATH, ("content-length", "3"))),
    block(plain_fields()),
    block(plain_fields("HEAD")),
    block(plain_fields("POST")),
    integer(0, 5, 0x20) + integer(4096, 5, 0x20) + block(call_fields(PROCESS_PATH)),
    block([("x-trailer", "a")]),
]
_INCREMENTS = [1, 10, 1000, 100_000]
_SETTINGS = [
    (Setting.INITIAL_WINDOW_SIZE, 0),
    (Setting.INITIAL_WINDOW_SIZE, 100),
    (Setting.INITIAL_WINDOW_SIZE, 1 << 20),
    (Setting.HEADER_TABLE_SIZE, 0),
    (Setting.HEADER_TABLE_SIZE, 4096),
    (Setting.MAX_FRAME_SIZE, 1 << 15),
]


@dataclass(slots=True)
class Client:
    """Turns numbers into frames.

    Attributes:
        said: all of them.
    """

    said: list[bytes] = field(default_factory=lambda: [PREFACE, settings()])
    _open: list[int] = field(default_factory=list)
    _all: list[int] = field(default_factory=lambda: [1])
    _next: int = 1

    def do(self, number: int, first: int, second: int) -> None:
        """One thing: `number` says what, the others how."""
        _DEEDS[number % len(_DEEDS)](self, first, second)

    def say(self, content: bytes) -> None:
        """Whatever it is."""
        self.said.append(content)

    def begin(self, first: int, second: int) -> None:
        self._open.append(self._next)
        self._all.append(self._next)
        header_block = BLOCKS[first % len(BLOCKS)]
        ends = END_STREAM if second % 8 == 1 else 0
        if second % 5:
            self.say(headers(self._next, header_block, END_HEADERS | ends, pad=second if second % 7 == 0 else None))
        else:
            self.say(headers(self._next, header_block[:second], ends))
            self.say(continuation(self._next, header_block[second:], END_HEADERS))
        self._next += 2 + 2 * (second % 3 == 0)

    def send(self, first: int, second: int) -> None:
        if self._open:
            content = MESSAGES[second % len(MESSAGES)]
            cut = first if first % 4 == 0 else len(content)
            self.say(data(self._some(first), content[:cut], pad=first % 256 if second % 9 == 0 else None))
            if content[cut:]:
                self.say(data(self._some(first), content[cut:]))

    def end(self, first: int, second: int) -> None:
        if self._open:
            stream = self._open.pop(first % len(self._open))
            self.say(headers(stream, BLOCKS[-1]) if second % 4 == 0 else data(stream, b"", END_STREAM))

    def reset(self, first: int, second: int) -> None:
        if self._open:
            self.say(rst_stream(self._open.pop(first % len(self._open)), second % len(Code)))

    def widen(self, first: int, second: int) -> None:
        stream = [0, *self._all[1:]][first % len(self._all)]
        self.say(window_update(stream, _INCREMENTS[second % len(_INCREMENTS)]))

    def set(self, first: int, second: int) -> None:
        self.say(settings(_SETTINGS[first % len(_SETTINGS)]))

    def chat(self, first: int, second: int) -> None:
        self.say([ping(), ping(flags=ACK), priority(first | 1), settings(flags=ACK)][second % 4])

    def extend(self, first: int, second: int) -> None:
        self.say(frame(Kind.UNKNOWN, second, first, b"?" * second))

    def _some(self, number: int) -> int:
        return self._open[number % len(self._open)]


_DEEDS: list[Callable[[Client, int, int], None]] = [
    *[Client.begin] * 4,
    *[Client.send] * 8,
    *[Client.end] * 2,
    Client.reset,
    *[Client.widen] * 2,
    Client.set,
    Client.chat,
    Client.extend,
]
