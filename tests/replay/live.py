"""Live traffic for the recorder: many exchanges at once through a chain, with the Envoy model in Envoy's place."""

from __future__ import annotations

import heapq
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from extproc import Chain
from extproc.envoy.model import Ask, EnvoyModel, ExtProcConfig, HttpMessage, Resumed
from extproc.machine import ExchangeMachine
from extproc.messages import Message, RawHeaders
from extproc.replay.diff import Comparison, compare
from extproc.replay.files import CaptureReader
from extproc.replay.recorder import Recorder
from extproc.replay.runner import ReplayClock, replay
from extproc.replay.veil import Veil

__all__ = ["Live", "get", "post", "record", "reply", "rerun"]

NOON = 1_700_000_000.0


@dataclass(frozen=True)
class Live:
    """What a client sends, what an upstream answers, and when: seconds after noon, and before each message."""

    request: HttpMessage
    response: HttpMessage
    start: float = 0.0
    pauses: Sequence[float] = ()
    attributes: Mapping[str, Any] = field(default_factory=dict)


def get(path: str = "/", *headers: tuple[str, bytes], method: str = "GET") -> HttpMessage:
    return HttpMessage(_line(path, method, headers))


def post(
    body: bytes | tuple[bytes, ...], *headers: tuple[str, bytes], trailers: RawHeaders | None = None
) -> HttpMessage:
    """Bytes are sent with a content-length, several pieces or trailers in chunks."""
    chunks = body if isinstance(body, tuple) else (body,)
    counted = isinstance(body, bytes) and trailers is None
    length = [("content-length", b"%d" % len(b"".join(chunks)))] if counted else []
    return HttpMessage(_line("/", "POST", [*length, *headers]), chunks, trailers)


def _line(path: str, method: str, headers: Sequence[tuple[str, bytes]]) -> RawHeaders:
    pseudo = {":authority": "shop.example", ":path": path, ":method": method, ":scheme": "http"}
    return [*((name, value.encode()) for name, value in pseudo.items()), *headers]


def reply(
    status: int = 200, *headers: tuple[str, bytes], body: bytes = b"ok", trailers: RawHeaders | None = None
) -> HttpMessage:
    length = [] if trailers is not None else [("content-length", b"%d" % len(body))]
    chunks = (body,) if body or trailers is not None else ()
    return HttpMessage([(":status", b"%d" % status), *length, *headers], chunks, trailers)


async def record(directory: Path, chain: Chain, traffic: Sequence[Live], *, redact: bool = True) -> Path:
    """Serves exchanges as a front would, overlapping as their times say, and records them."""
    clock = ReplayClock()
    waiting: list[tuple[float, int, _Serving]] = []
    await chain.start()
    with Recorder(directory, chain=chain, redact=redact, clock=clock) as recorder:
        for number, live in enumerate(traffic):
            await _go_on(_Serving(number, live, chain, clock, recorder), waiting, None)
        while waiting:
            clock.now, _, serving = heapq.heappop(waiting)
            await _go_on(serving, waiting, await serving.answer())
    await chain.stop()
    return recorder.path


class _Serving:
    def __init__(self, number: int, live: Live, chain: Chain, clock: ReplayClock, recorder: Recorder) -> None:
        self.number = number
        self.live = live
        self.machine = ExchangeMachine(chain, f"e-{number}", clock=clock, trace=True)
        self.watch = recorder.begin(f"e-{number}")
        self.steps = EnvoyModel(ExtProcConfig.for_chain(chain)).exchange(live.request)
        self.now = NOON + live.start
        self.pauses = iter(live.pauses)
        self.message: Message

    async def answer(self) -> Resumed:
        answer = await self.machine.receive(self.message)
        self.watch.message(self.message, () if answer is None else (answer,), self.machine.exchange.now)
        return answer


async def _go_on(serving: _Serving, waiting: list[tuple[float, int, _Serving]], resumed: Resumed) -> None:
    try:
        step = serving.steps.send(resumed)
        if not isinstance(step, Ask):
            step = serving.steps.send(serving.live.response)
    except StopIteration:
        await serving.machine.close()
        serving.watch.end(serving.machine.exchange, serving.machine.events or [])
        return
    assert isinstance(step, Ask)
    serving.message = replace(step.message, attributes=serving.live.attributes)
    serving.now += next(serving.pauses, 0.0)
    heapq.heappush(waiting, (serving.now, serving.number, serving))


async def rerun(
    path: Path, chain: Chain, *, key: Path | None = None, ignored: Sequence[str] = ()
) -> tuple[dict[str, Comparison], list[str]]:
    """Replays a capture: what came of each exchange by its id, and the notes."""
    found: dict[str, Comparison] = {}
    with CaptureReader(path) as reader:
        notes = await replay(
            reader,
            chain,
            Veil(reader, chain, key),
            lambda done: found.update({done.recorded.id: compare(done, ignored)}),
        )
    return found, notes
