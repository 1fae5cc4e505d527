"""Replays a capture in this process: the recorded exchanges, in their order and at their time, through a chain.

Exchanges that overlapped do so again: their messages reach the chain in the order in which they were recorded, one
after the other, each at the time at which it came. So a rate limit counts what it counted then.
"""

from __future__ import annotations

import heapq
from collections import defaultdict, deque
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from extproc.envoy.model import Ask, EnvoyModel, ExtProcConfig
from extproc.machine import ExchangeMachine
from extproc.messages import Continue
from extproc.replay.capture import CapturedExchange, CapturedMessage
from extproc.replay.lacks import asks_response, lacking, not_captured, unanswered
from extproc.replay.play import ENVOY_1_40, BrokenOffError, config_for, outcome_of, protocol_for, recorded_chain
from extproc.replay.traffic import traffic_of

if TYPE_CHECKING:
    from collections.abc import Callable

    from extproc.chain import Chain
    from extproc.envoy.model import Outcome, Profile, Resumed
    from extproc.filter import Needs
    from extproc.messages import Message
    from extproc.phases import Phase
    from extproc.replay.files import CaptureReader
    from extproc.replay.veil import Veil

__all__ = ["ReplayClock", "Replayed", "replay"]


@dataclass(frozen=True, slots=True)
class Replayed:
    """One exchange, then and now, as it may be shown.

    Attributes:
        recorded: what was recorded.
        replayed: the same with the answers and the trace of now.
        before: what came of it then; None: the recording ends before it did.
        after: what comes of it now; None: the capture does not hold what the chain asks for.
        reason: why one of them is None, or why what is the same so far may differ after all.
    """

    recorded: CapturedExchange
    replayed: CapturedExchange
    before: Outcome | None
    after: Outcome | None
    reason: str = ""


class ReplayClock:
    """A clock that stands where it was put.

    Attributes:
        now: Unix seconds.
    """

    def __init__(self) -> None:
        self.now = 0.0

    def time(self) -> float:
        """Unix seconds."""
        return self.now

    def monotonic(self) -> float:
        """The same: while an answer is made, no time passes."""
        return self.now


async def replay(
    reader: CaptureReader,
    chain: Chain,
    veil: Veil,
    tell: Callable[[Replayed], None],
    *,
    data_plane: Profile = ENVOY_1_40,
) -> list[str]:
    """Runs a capture through a chain, which is started before and stopped after.

    Args:
        reader: the capture.
        chain: a fresh one, that has counted nothing yet.
        veil: takes care of the secrets.
        tell: is told of each exchange as it ends.
        data_plane: whose behaviour decides what comes of the answers, then and now.

    Returns:
        What makes the result less than certain, one sentence each.

    Raises:
        CaptureError: the capture is broken.
        EnvoyError: the data plane would refuse the configuration that the chain needs.
    """
    await chain.start()
    try:
        await _Run(reader, chain, veil, tell, data_plane).all()
    finally:
        await chain.stop()
    return [*reader.notes, *veil.notes(), *lacking(reader, chain.needs)]


class _Run:
    """The exchanges of one capture, as many at once as there were."""

    def __init__(
        self,
        reader: CaptureReader,
        chain: Chain,
        veil: Veil,
        tell: Callable[[Replayed], None],
        data_plane: Profile,
    ) -> None:
        self._data_plane = data_plane
        self._clock = ReplayClock()
        self._reader = reader
        self._chain = chain
        self._veil = veil
        self._tell = tell
        self._recorded = recorded_chain(reader.header)
        self._live: list[tuple[tuple[float, int], int, _Live]] = []

    async def all(self) -> None:
        for number, exchange in enumerate(self._reader.by_start()):
            while self._live and self._live[0][0] < exchange.place:
                await self._step()
            await self._go_on(number, self._begin(exchange), None)
        while self._live:
            await self._step()

    def _begin(self, exchange: CapturedExchange) -> _Live:
        self._veil.look_at(exchange)
        machine = ExchangeMachine(self._chain, exchange.id, clock=self._clock, trace=True)
        restored, needs = self._veil.restored(exchange), self._reader.header.needs
        return _Live(exchange, restored, machine, self._chain, needs, data_plane=self._data_plane)

    async def _step(self) -> None:
        """Lets the exchange go on whose message came first."""
        (self._clock.now, _), number, live = heapq.heappop(self._live)
        await self._go_on(number, live, await live.answer(self._clock.now))

    async def _go_on(self, number: int, live: _Live, resumed: Resumed) -> None:
        if live.advance(resumed):
            heapq.heappush(self._live, (live.place, number, live))
            return
        await live.machine.close()
        self._tell(self._result(live))

    def _result(self, live: _Live) -> Replayed:
        recorded = self._veil.redacted(live.recorded)
        replayed = self._veil.redacted(live.replayed())
        traffic = traffic_of(recorded)
        needs = self._reader.header.needs
        try:
            before = outcome_of(traffic, recorded, config_for(self._recorded, traffic, needs, self._data_plane))
        except BrokenOffError as error:
            return Replayed(recorded, replayed, None, None, unanswered(error))
        after: Outcome | None = None
        try:
            after = outcome_of(traffic, replayed, config_for(self._chain, traffic, needs, self._data_plane))
        except BrokenOffError as error:  # for what `live` lacks; what had been forwarded by then can be compared
            if error.upstream is not None:
                after = replace(before, upstream=error.upstream, client=None)
        return Replayed(recorded, replayed, before, after, live.lacks)


class _Live:
    """An exchange on its way.

    Attributes:
        recorded: what was recorded.
        machine: what answers.
        place: when the message came that waits to be answered, as `CapturedMessage.place` says it.
        lacks: what the capture does not hold though the chain asks for it, as a sentence.
    """

    def __init__(
        self,
        recorded: CapturedExchange,
        restored: CapturedExchange,
        machine: ExchangeMachine,
        chain: Chain,
        needs: Needs,
        *,
        data_plane: Profile,
    ) -> None:
        """Prepares an exchange.

        Args:
            recorded: as it is in the capture.
            restored: the same, with the secrets that the chain holds itself.
            machine: a new one.
            chain: that of the machine.
            needs: those of the chain that was recorded.
            data_plane: on which it is played.
        """
        self.recorded = recorded
        self.machine = machine
        self.place = recorded.place
        self.lacks = ""
        self._needs = needs
        self._traffic = traffic_of(restored)
        self._config = config_for(chain, self._traffic, needs, data_plane)
        self._protocol = protocol_for(ExtProcConfig.for_chain(chain), self._traffic, needs)
        self._steps = EnvoyModel(self._config).exchange(self._traffic.request)
        self._captured: defaultdict[Phase, deque[CapturedMessage]] = defaultdict(deque)
        for item in restored.messages:
            self._captured[item.message.phase].append(item)
        self._given: list[CapturedMessage] = []
        self._message = restored.messages[0].message

    def advance(self, resumed: Resumed) -> bool:
        """Goes on until the next message waits for its answer; whether there is one."""
        try:
            step = self._steps.send(resumed)
            if not isinstance(step, Ask):
                step = self._steps.send(self._response())
        except StopIteration:
            return False
        assert isinstance(step, Ask)  # noqa: S101 (a request is forwarded once)
        if step.message.phase in self._traffic.unknown:
            self.lacks = not_captured(step.message.phase.value)
            return False
        self._take(step.message)
        return True

    async def answer(self, now: float) -> Resumed:
        """What the chain answers to the message that waits."""
        message = self._message
        answer = await self.machine.receive(message)
        self._given.append(CapturedMessage(message, answer, now))
        return Continue(message.phase) if message.observability else answer

    def replayed(self) -> CapturedExchange:
        """The exchange with the answers of now."""
        events = tuple(self.machine.events or ())
        return replace(self.recorded, messages=tuple(self._given), events=events, ended=self.machine.exchange.ended)

    def _take(self, message: Message) -> None:
        """The model's message, with what the recorded one said beside the HTTP message."""
        captured = self._captured[message.phase]
        if captured:
            item = captured.popleft()
            self.place = item.place
            message = replace(
                message,
                attributes=item.message.attributes,
                metadata=item.message.metadata,
                observability=item.message.observability,
            )
        if message.protocol is not None:
            message = replace(message, protocol=self._protocol)
        self._message = message

    def _response(self) -> Resumed:
        if self._traffic.response is None and self._config.mode.response_headers and not asks_response(self._needs):
            self.lacks = not_captured("response")
        return self._traffic.response
