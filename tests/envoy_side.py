"""Envoy's side of a conversation: messages as it sends them, and what it makes of an answer."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from extproc.machine import ExchangeMachine
from extproc.messages import Message, Protocol
from extproc.phases import BodyMode, Phase
from tests.jumping_loop import LoopClock, run

if TYPE_CHECKING:
    from extproc import Chain
    from extproc.messages import Answer, Continue, HeaderEdit, RawHeaders

__all__ = ["BUFFERED", "EVERY_PHASE", "apply", "body", "converse", "go", "request", "response", "trailers"]

BUFFERED = Protocol(BodyMode.BUFFERED, BodyMode.BUFFERED)


def request(
    *headers: tuple[str, str | bytes],
    method: str = "GET",
    path: str = "/",
    host: str = "shop.example",
    end: bool = True,
    protocol: Protocol | None = BUFFERED,
    **more: Any,
) -> Message:
    """The request's headers; `end` says that no body follows."""
    pseudo = [(":method", method), (":scheme", "http"), (":authority", host), (":path", path)]
    items = _raw([*pseudo, *headers])
    return Message(Phase.REQUEST_HEADERS, items, end_of_stream=end, protocol=protocol, **more)


def response(*headers: tuple[str, str | bytes], status: int = 200, end: bool = True, **more: Any) -> Message:
    """The response's headers."""
    return Message(Phase.RESPONSE_HEADERS, _raw([(":status", str(status)), *headers]), end_of_stream=end, **more)


def body(phase: Phase, content: bytes, *, end: bool = True, **more: Any) -> Message:
    """A body, or a piece of one."""
    return Message(phase, body=content, end_of_stream=end, **more)


def trailers(phase: Phase, *items: tuple[str, str | bytes]) -> Message:
    """Trailers."""
    return Message(phase, _raw(items), end_of_stream=True)


def _raw(items: Iterable[tuple[str, str | bytes]]) -> RawHeaders:
    return [(name, value if isinstance(value, bytes) else value.encode()) for name, value in items]


EVERY_PHASE = [
    request(("x-a", "1"), end=False),
    body(Phase.REQUEST_BODY, b"up", end=False),
    trailers(Phase.REQUEST_TRAILERS, ("t", "1")),
    response(("x-b", "1"), end=False),
    body(Phase.RESPONSE_BODY, b"down", end=False),
    trailers(Phase.RESPONSE_TRAILERS, ("t", "2")),
]
"""An exchange with everything in it, message by message."""


def apply(headers: RawHeaders, edits: Iterable[HeaderEdit], removals: Iterable[str]) -> RawHeaders:
    """What Envoy makes of a mutation: removals first; then a set replaces all there are, an append adds one."""
    gone = set(removals)
    now = [item for item in headers if item[0] not in gone]
    for edit in edits:
        if not edit.append:
            now = [item for item in now if item[0] != edit.name]
        now.append((edit.name, edit.value))
    return now


def applied(message: Message, answer: Continue) -> RawHeaders:
    """The message's headers after the answer to it."""
    return apply(message.headers, answer.set_headers, answer.remove_headers)


async def converse(machine: ExchangeMachine, *messages: Message) -> list[Answer | None]:
    """Says one message after the other, then ends the stream."""
    try:
        return [await machine.receive(message) for message in messages]
    finally:
        await machine.close()


def go(chain: Chain, *messages: Message, trace: bool = True, **options: Any) -> tuple[ExchangeMachine, list[Any]]:
    """One exchange from beginning to end: the machine it left behind, and the answer to each message."""
    machine = ExchangeMachine(chain, "x-1", clock=LoopClock(), trace=trace, **options)
    copies = [replace(message, headers=list(message.headers)) for message in messages]
    answers = run(converse(machine, *copies))
    assert [item.headers for item in copies] == [item.headers for item in messages], "a message was changed in place"
    return machine, answers
