"""Sessions: what a front may rely on, whatever the hooks do."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any

import pytest

from extproc import Chain, Exchange, Phase, Response
from extproc.server import FrontOptions
from extproc.server.session import Service, Session
from extproc.wire.ext_proc_pb2 import ProcessingRequest, ProcessingResponse
from tests.acting import acting_with
from tests.server.conftest import headers_message


@dataclass
class Pipe:
    """A stream that keeps what it is given."""

    sent: list[bytes] = field(default_factory=list[bytes])
    ended: list[tuple[str, str]] = field(default_factory=list[tuple[str, str]])
    read: int = 0
    blocked: Awaitable[None] | None = None

    def send(self, data: bytes, body: bytes = b"") -> None:
        assert not self.ended
        self.sent.append(data + body)

    def end(self, code: str, reason: str) -> None:
        self.ended.append((code, reason))

    def consumed(self, size: int) -> None:
        self.read += size

    def writable(self) -> Awaitable[None] | None:
        return self.blocked

    def kinds(self) -> list[str | None]:
        return [ProcessingResponse.FromString(data).WhichOneof("response") for data in self.sent]


@dataclass
class Talk:
    """One session, what was said in it, and what came back."""

    service: Service
    pipe: Pipe = field(default_factory=Pipe)
    said: int = 0

    def __post_init__(self) -> None:
        self.session: Session = self.service.open(self.pipe)

    def say(self, *messages: ProcessingRequest | bytes) -> None:
        for message in messages:
            data = message if isinstance(message, bytes) else message.SerializeToString()
            self.said += len(data)
            self.session.receive(data)


def talk(**hooks: Callable[..., Any]) -> Talk:
    return Talk(Service(Chain([acting_with(hooks)], timeout=30)))


def response_headers() -> ProcessingRequest:
    message = ProcessingRequest()
    message.response_headers.headers.headers.add(key=":status", raw_value=b"200")
    return message


def request_body(content: bytes) -> ProcessingRequest:
    message = ProcessingRequest()
    message.request_body.body = content
    message.request_body.end_of_stream = True
    return message


class Gate:
    """A hook that waits until it is let go."""

    def __init__(self) -> None:
        self.open = asyncio.Event()
        self.entered = asyncio.Event()
        self.cancelled = False

    async def __call__(self, exchange: Exchange) -> None:
        self.entered.set()
        try:
            await self.open.wait()
        except asyncio.CancelledError:
            self.cancelled = True
            raise


async def settle() -> None:
    """Lets everything run that can."""
    for _ in range(10):
        await asyncio.sleep(0)


def test_hooks_that_do_not_wait_need_no_loop() -> None:
    x = talk(on_request_headers=lambda x: None, on_response_headers=lambda x: None)
    x.say(headers_message(), response_headers())
    x.session.finish()
    assert (x.pipe.kinds(), x.pipe.ended) == (["request_headers", "response_headers"], [("OK", "")])
    assert (x.pipe.read, x.session.over) == (x.said, True)


async def test_a_request_that_waits_does_not_hold_up_the_response() -> None:
    gate = Gate()
    x = talk(on_request_headers=gate, on_response_headers=lambda x: None)
    x.say(headers_message(), response_headers())
    assert x.pipe.kinds() == ["response_headers"]
    await gate.entered.wait()
    gate.open.set()
    await settle()
    assert x.pipe.kinds() == ["response_headers", "request_headers"]


async def test_messages_of_one_direction_wait_for_each_other_and_count_as_held() -> None:
    gate, seen = Gate(), []
    x = talk(on_request_headers=gate, on_request_body=lambda x: seen.append(x.request.body))
    x.say(headers_message(end_of_stream=False), request_body(b"up"))
    await gate.entered.wait()
    assert (x.pipe.kinds(), seen, x.pipe.read) == ([], [], 0)
    gate.open.set()
    await settle()
    assert (x.pipe.kinds(), seen, x.pipe.read) == (["request_headers", "request_body"], [b"up"], x.said)


async def test_each_direction_finds_its_own_phase_and_deadline_when_it_goes_on() -> None:
    gate = Gate()
    seen: list[Any] = []

    async def slow(exchange: Exchange) -> None:
        before = (exchange.phase, exchange.now, exchange.deadline)
        await gate(exchange)
        seen.append((exchange.phase, exchange.now, exchange.deadline) == before)
        exchange.request.headers["x-late"] = "1"

    async def other(exchange: Exchange) -> None:
        await asyncio.sleep(0)
        seen.append(exchange.phase)

    x = talk(on_request_headers=slow, on_response_headers=other)
    x.say(headers_message())
    await gate.entered.wait()
    x.say(response_headers())
    await settle()
    gate.open.set()
    await settle()
    assert seen == [Phase.RESPONSE_HEADERS, True]


async def test_a_half_close_ends_the_stream_once_everything_is_answered() -> None:
    """Envoy takes a clean end for leave to let the rest through."""
    gate = Gate()
    x = talk(on_request_headers=gate)
    x.say(headers_message())
    x.session.finish()
    await gate.entered.wait()
    assert x.pipe.ended == []
    gate.open.set()
    await settle()
    assert (x.pipe.kinds(), x.pipe.ended) == (["request_headers"], [("OK", "")])


@pytest.mark.parametrize("began", [True, False])
async def test_a_stream_that_is_gone_cancels_the_hook_and_completes_once(began: bool) -> None:
    gate, ended = Gate(), []
    x = talk(on_request_headers=gate, on_complete=lambda x: ended.append(x.ended))
    x.say(headers_message(end_of_stream=False), request_body(b"up"))
    if began:
        await gate.entered.wait()
    x.session.cancel()
    x.session.cancel()
    await settle()
    assert (gate.cancelled, ended, x.pipe.sent, x.pipe.ended) == (began, ["cancelled"], [], [])
    assert x.pipe.read == x.said


async def test_an_answer_of_one_direction_cancels_what_the_other_is_busy_with() -> None:
    gate, ended = Gate(), []
    x = talk(
        on_request_headers=gate,
        on_response_headers=lambda x: Response(503),
        on_complete=lambda x: ended.append(x.ended),
    )
    x.say(headers_message())
    await gate.entered.wait()
    x.say(response_headers())
    assert (x.pipe.kinds(), x.pipe.ended) == (["immediate_response"], [("OK", "")])
    await settle()
    assert (gate.cancelled, ended, x.pipe.read) == (True, ["immediate"], x.said)


@pytest.mark.parametrize(
    ("data", "status"),
    [
        (b"\xff\xff", ("INVALID_ARGUMENT", "extproc.undecodable")),
        (b"\xfa\x01\x00", ("UNIMPLEMENTED", "extproc.unknown_phase")),
        (response_headers().SerializeToString(), ("INVALID_ARGUMENT", "extproc.message_order")),
    ],
)
async def test_what_cannot_be_answered_ends_the_stream_with_an_error_and_every_hook(
    data: bytes, status: tuple[str, str]
) -> None:
    gate, ended = Gate(), []
    x = talk(on_request_headers=gate, on_complete=lambda x: ended.append(x.ended))
    x.say(headers_message(), response_headers())
    await gate.entered.wait()
    x.say(data)
    await settle()
    assert (x.pipe.ended, gate.cancelled, ended, x.pipe.read) == ([status], True, ["aborted"], x.said)
    x.say(headers_message())
    assert x.pipe.read == x.said


async def test_a_peer_that_does_not_read_its_answers_is_not_read_from() -> None:
    x = talk(on_request_body=lambda x: setattr(x.request, "body", x.request.body * 2))
    reads = asyncio.Event()

    async def until_it_reads() -> None:
        await reads.wait()

    x.say(headers_message(end_of_stream=False))
    x.pipe.blocked = until_it_reads()
    x.say(request_body(b"up"))
    x.pipe.blocked = None
    trailers = ProcessingRequest()
    trailers.request_trailers.SetInParent()
    x.say(trailers)
    assert x.pipe.kinds() == ["request_headers", "request_body"]
    assert x.pipe.read == x.said - len(trailers.SerializeToString())
    reads.set()
    await settle()
    assert x.pipe.kinds() == ["request_headers", "request_body", "request_trailers"]


async def test_closing_the_service_cancels_hooks_and_waits_for_the_end_of_exchanges() -> None:
    gate, log = Gate(), []

    async def end(exchange: Exchange) -> None:
        await asyncio.sleep(0)
        log.append(exchange.ended)

    x = talk(on_request_headers=gate, on_complete=end)
    x.say(headers_message())
    await gate.entered.wait()
    await x.service.aclose()
    assert (gate.cancelled, log) == (True, ["cancelled"])


def first(*, bodies: int = 0) -> bytes:
    """A stream's first message, of an Envoy that sends bodies in this mode."""
    message = headers_message()
    message.protocol_config.request_body_mode = bodies  # type: ignore[assignment] # a number, as on the wire
    return message.SerializeToString()


def service(**hooks: Callable[..., Any]) -> Service:
    return Service(Chain([acting_with(hooks)], timeout=30))


def test_what_is_answered_at_once_is_answered_as_ever() -> None:
    tags = service(on_request_headers=lambda x: x.request.headers.__setitem__("x-tag", "1"))
    said = Talk(tags)
    said.say(first())
    assert tags.at_once is not None
    assert [tags.at_once(first())] == said.pipe.sent
    assert tags.exchanges == 2


async def waits(exchange: Exchange) -> None:
    await asyncio.sleep(0)


NOT_OVER: dict[str, Callable[..., Any]] = {
    "an answer": lambda x: Response(403),
    "a wait": waits,
    "an error": lambda x: x.request.headers["there is none"],
}


@pytest.mark.parametrize("case", NOT_OVER)
async def test_what_is_not_over_at_once_goes_on_in_a_session(case: str) -> None:
    """Its hooks have run: nothing runs twice, and nothing is lost."""

    async def talk(*, at_once: bool) -> object:
        runs: list[Exchange] = []

        def hook(exchange: Exchange) -> Any:
            runs.append(exchange)
            return NOT_OVER[case](exchange)

        each, pipe = service(on_request_headers=hook), Pipe()
        opens = each.at_once(first()) if at_once and each.at_once is not None else each.open
        assert callable(opens)
        opens(pipe).receive(first())
        while each._running:
            await asyncio.wait(each._running)
        return pipe, len(runs), runs[0].ended, each.exchanges

    assert await talk(at_once=True) == await talk(at_once=False)


@pytest.mark.parametrize("data", [b"\xff", b"", first(bodies=2), first(bodies=9), b"\x1a\x00"])
def test_what_is_no_such_message_is_left_to_a_session(data: bytes) -> None:
    each = service(on_request_headers=lambda x: None)
    assert each.at_once is not None
    assert each.at_once(data) is None
    assert each.exchanges == 0


def test_where_somebody_observes_nothing_is_answered_at_once() -> None:
    class Watches:
        def begin(self, exchange_id: str) -> Any: ...

    assert Service(Chain([]), FrontOptions(observer=Watches())).at_once is None


def test_a_failure_of_our_own_ends_its_stream_and_no_other(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: Any) -> None:
        raise LookupError

    monkeypatch.setattr("extproc.server.session.answer_at_once", broken)
    each, pipe = service(on_request_headers=lambda x: None), Pipe()
    assert each.at_once is not None
    opens = each.at_once(first())
    assert callable(opens)
    opens(pipe).receive(first())
    assert (pipe.sent, pipe.ended, pipe.read) == ([], [("INTERNAL", "extproc.internal")], len(first()))
