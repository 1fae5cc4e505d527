"""A processor that does what a script says, legal or not: our guard does not stand between it and Envoy."""

from __future__ import annotations

import asyncio
import struct
from collections.abc import Awaitable, Callable, Coroutine, Sequence
from dataclasses import dataclass, field
from types import TracebackType
from typing import Self, TypeAlias
from urllib.parse import quote

import grpc

from extproc.envoy.model import Close, Lost
from extproc.messages import Abort, Message, RawHeaders
from extproc.phases import Phase
from extproc.wire import decode
from extproc.wire.ext_proc_pb2 import ProcessingResponse
from tests.envoy.http2 import LARGEST_WINDOW, Http2Link
from tests.envoy.received import Stir

__all__ = ["Action", "Behaviour", "RawProcessor", "Widen", "unchanged"]


@dataclass(frozen=True)
class Widen:
    """Lets Envoy send so many bytes more, in the sense of HTTP/2; only a processor with a narrow window need say it."""

    by: int


Action: TypeAlias = "ProcessingResponse | bytes | Abort | Close | Lost | Widen"
"""One thing that a processor does; bytes go out as they are, as a message."""

Behaviour: TypeAlias = "Callable[[Message], Awaitable[Sequence[Action]]]"
"""What a processor does about each message of an exchange, without waiting; nothing at all is an empty list."""

_PREFIX = struct.Struct(">?I")
_HEADERS: RawHeaders = [(":status", b"200"), ("content-type", b"application/grpc")]


@dataclass(slots=True)
class Call:
    """One gRPC stream: an exchange."""

    headers: RawHeaders
    heard: list[Message] = field(default_factory=list[Message])
    raw: list[bytes] = field(default_factory=list[bytes])
    """The same, as it came."""
    data: bytes = b""
    answered: bool = False
    over: bool = False
    """Envoy has ended it, or we have."""


class RawProcessor:
    """Behaves as it is told; Envoy must run one exchange at a time.

    Attributes:
        address: where it listens.
        calls: the streams that Envoy has opened since `play`.
    """

    def __init__(self, stir: Stir = lambda: None, window: int = LARGEST_WINDOW) -> None:
        """Not yet listening; `window` is how many bytes of a stream Envoy may send before it is widened."""
        self.address = ""
        self._window = window
        self.calls: list[Call] = []
        self._stir = stir
        self._behaviour: Behaviour | None = None
        self._links: dict[int, tuple[_Link, int]] = {}
        self._open: list[_Link] = []
        self._server: asyncio.Server | None = None

    async def __aenter__(self) -> Self:
        self._server = await asyncio.get_running_loop().create_server(self._link, "127.0.0.1", 0)
        self.address = f"127.0.0.1:{self._server.sockets[0].getsockname()[1]}"
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        assert self._server is not None
        self._server.close()
        for link in self._open:
            link.leave()
        await self._server.wait_closed()

    @property
    def heard(self) -> list[Message]:
        """What Envoy has said since `play`."""
        return [message for call in self.calls for message in call.heard]

    @property
    def hung_up(self) -> bool:
        """Whether Envoy or we have ended what streams there were."""
        return bool(self.calls) and all(call.over for call in self.calls)

    def play(self, behaviour: Behaviour) -> None:
        """In the next exchange, behaves like this."""
        self._behaviour = behaviour
        self.calls = []

    def say(self, *actions: Action) -> None:
        """Does this now, unasked, on the stream of the exchange; nothing where there is none."""
        if self.calls:
            call = self.calls[-1]
            link, stream = self._links[id(call)]
            link.act(stream, call, actions)

    def _link(self) -> _Link:
        link = _Link(self, self._stir, self._window)
        self._open.append(link)
        return link

    def opened(self, link: _Link, stream: int, call: Call) -> None:
        """A stream has been opened."""
        self.calls.append(call)
        self._links[id(call)] = link, stream

    def react(self, message: Message) -> Sequence[Action]:
        """What is to be done about a message."""
        assert self._behaviour is not None
        return _at_once(self._behaviour(message))


class _Link(Http2Link):
    """A connection from Envoy."""

    def __init__(self, processor: RawProcessor, stir: Stir, window: int) -> None:
        super().__init__(client=False, stir=stir, window=window)
        self._processor = processor
        self._calls: dict[int, Call] = {}

    def act(self, stream: int, call: Call, actions: Sequence[Action]) -> None:
        """Does something on a stream, unless it is over."""
        for action in actions:
            if call.over:
                return
            if isinstance(action, Widen):
                self.widen(stream, action.by)
            elif isinstance(action, Lost):  # and with it what was said in the same go
                self.leave()
                self.on_gone()
            elif isinstance(action, Abort | Close):
                call.over = True
                self.send_headers(stream, _trailers(call, action), end=True)
            else:
                if not call.answered:
                    call.answered = True
                    self.send_headers(stream, _HEADERS, end=False)
                data = action if isinstance(action, bytes) else action.SerializeToString()
                self.send_data(stream, _PREFIX.pack(False, len(data)) + data, end=False)

    def on_headers(self, stream: int, headers: RawHeaders, *, end: bool) -> None:
        call = self._calls[stream] = Call(headers, over=end)
        self._processor.opened(self, stream, call)

    def on_data(self, stream: int, data: bytes, *, end: bool) -> None:
        call = self._calls[stream]
        call.data += data
        while len(call.data) >= _PREFIX.size:
            _, length = _PREFIX.unpack_from(call.data)
            if len(call.data) < _PREFIX.size + length:
                break
            call.raw.append(call.data[_PREFIX.size : _PREFIX.size + length])
            message = decode(call.raw[-1])
            call.data = call.data[_PREFIX.size + length :]
            if message is not None:
                call.heard.append(message)
                self.act(stream, call, self._processor.react(message))
        call.over = call.over or end

    def on_reset(self, stream: int) -> None:
        self._calls[stream].over = True

    def on_gone(self) -> None:
        for call in self._calls.values():
            call.over = True


def unchanged(phase: Phase) -> ProcessingResponse:
    """The answer that changes nothing."""
    response = ProcessingResponse()
    getattr(response, phase.value).SetInParent()
    return response


def _trailers(call: Call, action: Abort | Close) -> RawHeaders:
    """gRPC's trailers, or, where nothing has been said, its trailers-only response."""
    code, reason = (grpc.StatusCode[action.code].value[0], action.reason) if isinstance(action, Abort) else (0, "")
    status: RawHeaders = [("grpc-status", b"%d" % code)]
    if reason:
        status.append(("grpc-message", quote(reason, safe=" !\"#$&'()*+,-./:;<=>?@[]^_`{|}~").encode()))
    return status if call.answered else [*_HEADERS, *status]


def _at_once(doing: Awaitable[Sequence[Action]]) -> Sequence[Action]:
    """The result of a coroutine that does not wait for anything."""
    assert isinstance(doing, Coroutine)
    try:
        doing.send(None)
    except StopIteration as done:
        result: Sequence[Action] = done.value
        return result
    raise AssertionError("a behaviour of the raw processor may not wait")
