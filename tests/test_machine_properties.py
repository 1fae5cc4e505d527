"""Whatever filters do and Envoy says: exactly one legal answer a message, and nothing half done."""

from __future__ import annotations

import asyncio
import logging
import re
from collections.abc import Iterator, Sequence

import pytest
from hypothesis import given, settings

from extproc.guard import FRAMING, Limits, header_bytes
from extproc.machine import ExchangeMachine
from extproc.messages import Abort, Answer, Continue, Immediate, Message, Output, Piece, RawHeaders, the_answer
from extproc.phases import RULES, BodyMode, Direction, Part, Phase
from tests.jumping_loop import LoopClock, run
from tests.scenarios import SCENARIOS, Envoy, Invocation, Journal, Scenario

LIMITS = Limits(header_count=24, header_bytes=900)
ROUTING = {":method", ":scheme", ":authority", ":path"}
NAME = re.compile(r"[!#$%&'*+\-.^_`|~0-9a-z]+|:(method|scheme|authority|path|status)")


@pytest.fixture(autouse=True, scope="module")
def quiet() -> Iterator[None]:
    """Thousands of failures on purpose need not be formatted."""
    logging.disable(logging.CRITICAL)
    yield
    logging.disable(logging.NOTSET)


@settings(max_examples=1000, deadline=None)
@given(SCENARIOS)
def test_every_exchange_is_answered_legally(scenario: Scenario) -> None:
    run(Check(scenario).converse())


@settings(max_examples=100, deadline=None)
@given(SCENARIOS)
def test_an_exchange_that_is_cancelled_anywhere_completes_every_filter_once(scenario: Scenario) -> None:
    async def scene() -> None:
        check = Check(scenario)
        task = asyncio.get_running_loop().create_task(check.converse())
        await asyncio.sleep(0.0015)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        check.completed()

    run(scene())


@settings(max_examples=300, deadline=None)
@given(SCENARIOS)
def test_what_is_answered_does_not_hang_on_a_trace(scenario: Scenario) -> None:
    """Without one, what needs no more goes the short way."""
    checks = [Check(scenario, trace=trace) for trace in (True, False)]
    for check in checks:
        run(check.converse())
    assert checks[0].outputs == checks[1].outputs


class Check:
    """One exchange, watched from Envoy's side and from the filters'."""

    def __init__(self, scenario: Scenario, *, trace: bool = True) -> None:
        self.journal = Journal()
        self.chain = scenario.chain(self.journal)
        self.machine = ExchangeMachine(
            self.chain, "x-1", clock=LoopClock(), limits=LIMITS, response_limits=LIMITS, trace=trace
        )
        self.outputs: list[Output] = []
        self.trace = trace
        self.envoy = Envoy(scenario)
        self.scenario = scenario
        self.over = False
        self.begun = False
        """The client may have the beginning of a response."""
        self.sent: dict[Direction, list[Phase | None]] = {direction: [] for direction in Direction}
        """Where we carry the body: what has gone on."""

    async def converse(self) -> None:
        try:
            for message in self.envoy.messages():
                before, called = self.envoy.headers[message.phase.direction], len(self.journal.calls)
                outputs = await self.machine.receive_all(message)
                self.outputs += outputs
                calls = self.journal.calls[called:]
                if self.mode(message.phase.direction) is BodyMode.FULL_DUPLEX_STREAMED:
                    self.carried(message, outputs, calls)
                    continue
                answer = the_answer(outputs)
                assert [answer] * len(outputs) == outputs
                self.envoy.take(message, answer)
                self.answered(message, answer, list(before), calls)
                self.begun |= isinstance(answer, Continue) and answer.phase.direction is Direction.RESPONSE
        finally:
            await self.machine.close()
        assert not await self.machine.close()
        assert await self.machine.receive(Message(Phase.RESPONSE_HEADERS)) is None
        self.completed()
        if self.trace:
            self.traced()

    # Answers

    def carried(self, message: Message, outputs: Sequence[Output], calls: list[Invocation]) -> None:
        """In FULL_DUPLEX_STREAMED: headers, then pieces, then an end or trailers, as many as it takes."""
        sent = self.sent[message.phase.direction]
        head, body, tail = (phase for phase in Phase if phase.direction is message.phase.direction)
        assert not (outputs and (self.over or self.scenario.watching))
        for output in outputs:
            if isinstance(output, Immediate | Abort):
                self.over = True
                assert output is outputs[-1]
                continue
            assert isinstance(output, Continue | Piece)
            assert isinstance(output, Piece) is (output.phase is body)
            assert bool(sent) is not (output.phase is head) or not self.shown(message.phase.direction)
            assert not ({tail, None} & set(sent))
            sent.append(output.phase)
            if isinstance(output, Piece) and output.end_of_stream:
                sent.append(None)
            if isinstance(output, Continue) and output.replace:
                self.envoy.replaced.add(message.phase.direction)
            self.begun |= output.phase.direction is Direction.RESPONSE
        for call in calls:
            if call.failed:
                assert call.mark not in repr(outputs)

    def answered(self, message: Message, answer: Answer | None, before: RawHeaders, calls: list[Invocation]) -> None:
        if self.over or self.scenario.watching:
            assert answer is None
            return
        assert answer is not None
        denied = [call for call in calls if call.failed and self.policy(call) == "deny"]
        if isinstance(answer, Continue):
            assert not denied
            assert answer.phase is message.phase
            self.going_on(message, answer, before)
        else:
            self.over = True
            self.immediate(message, answer) if isinstance(answer, Immediate) else self.aborted(message, answer)
        for call in calls:
            if call.failed:
                assert call.mark not in repr(answer)
        if not isinstance(answer, Abort):
            emitted = set(answer.metadata.get("ours", ()))
            assert emitted <= {call.mark for call in calls if not call.failed}

    def going_on(self, message: Message, answer: Continue, before: RawHeaders) -> None:
        phase, part = message.phase, message.phase.part
        rule = RULES[phase, self.mode(phase.direction)]
        assert rule.headers or not (answer.set_headers or answer.remove_headers)
        assert answer.body is None or rule.body or answer.replace
        assert not answer.replace or (rule.replace and answer.body is not None)
        framing = {edit.name for edit in answer.set_headers} & FRAMING
        assert framing <= ({"content-length"} if answer.body is not None and part is Part.BODY else set())
        assert {name for name in answer.remove_headers if not name.startswith("proxy-")} & FRAMING <= {"content-length"}
        assert all(NAME.fullmatch(edit.name) for edit in answer.set_headers)
        assert not any(set(edit.value) & {0, 10, 13} for edit in answer.set_headers)
        routed = bool(ROUTING & {edit.name for edit in answer.set_headers})
        assert answer.clear_route_cache or not routed
        assert not answer.clear_route_cache or phase in (Phase.REQUEST_HEADERS, Phase.REQUEST_BODY)
        assert set(answer.metadata) <= {"ours"}
        if part is not Part.TRAILERS:
            self.same_copy(message, answer, before)

    def same_copy(self, message: Message, answer: Continue, before: RawHeaders) -> None:
        """Envoy's copy of the headers is ours, within the limits, and true to the body."""
        direction = message.phase.direction
        copy = self.envoy.headers[direction]
        exchange = self.machine.exchange
        ours = (exchange.request if direction is Direction.REQUEST else exchange.response)._headers._items
        if self.shown(direction):
            assert values(copy) == values(ours)
        before = message.headers if message.phase.part is Part.HEADERS else before
        assert len(copy) <= max(LIMITS.header_count, len(before))
        assert header_bytes(copy) <= max(LIMITS.header_bytes, header_bytes(before))
        if answer.body is not None and not answer.replace:
            assert values(copy).get("content-length") in (None, [b"%d" % len(answer.body)])
        if direction is Direction.RESPONSE and self.has_no_content(copy):
            assert not answer.body
            if not self.has_no_content(before) and self.mode(direction) is BodyMode.BUFFERED and self.shown(direction):
                nothing_left = message.end_of_stream if message.phase.part is Part.HEADERS else not message.body
                assert answer.body == b"" or nothing_left

    def immediate(self, message: Message, answer: Immediate) -> None:
        names = {edit.name for edit in answer.set_headers}
        assert 200 <= answer.status <= 599
        assert not names & FRAMING
        assert not any(name.startswith(":") for name in names)
        assert len(answer.set_headers) <= LIMITS.header_count
        assert sum(len(edit.name) + len(edit.value) for edit in answer.set_headers) <= LIMITS.header_bytes
        assert re.fullmatch(r"[ -~]+", answer.details)
        if answer.status in (204, 304) or self.machine.exchange.request.method == "HEAD":
            assert answer.body == b""

    def aborted(self, message: Message, answer: Abort) -> None:
        """Envoy broke the rules: never is it left to Envoy what becomes of an exchange in which a filter failed."""
        assert answer == Abort("INVALID_ARGUMENT", "extproc.message_order")
        assert not self.scenario.told  # a body in pieces where a whole one was taken for granted

    # The end

    def completed(self) -> None:
        """on_complete ran once for every filter that took part, and last of all."""
        judged = self.scenario.request is not None and self.scenario.request.shown
        for link in self.chain.links:
            hooks = [call.hook for call in self.journal.calls if call.link == link.name]
            ends = hooks.count("on_complete")
            assert not ends or hooks[-1] == "on_complete"
            if link.when is None or len(hooks) > ends:
                assert ends == 1
            else:
                assert ends <= judged

    def traced(self) -> None:
        """What failed is in the trace, by name and policy, and did not run again."""
        assert self.machine.events is not None
        traced = [(event.filter, event.action) for event in self.machine.events]
        for number, call in enumerate(self.journal.calls):
            if call.failed:
                assert (call.link, self.policy(call)) in traced
                again = [c.hook for c in self.journal.calls[number + 1 :] if c.link == call.link]
                assert set(again) <= {"on_complete"}

    # What is known

    def policy(self, call: Invocation) -> str:
        return self.chain.links[int(call.link[1:])].on_error

    def mode(self, direction: Direction) -> BodyMode:
        if self.scenario.told:
            return self.envoy.modes[direction]
        wanted = self.chain.steps[Phase(f"{direction.value}_body")]
        return BodyMode.BUFFERED if wanted else BodyMode.NONE

    def shown(self, direction: Direction) -> bool:
        half = self.scenario.request if direction is Direction.REQUEST else self.scenario.response
        return half is not None and half.shown

    def has_no_content(self, headers: RawHeaders) -> bool:
        return values(headers).get(":status") in ([b"204"], [b"304"]) or self.machine.exchange.request.method == "HEAD"


def values(headers: RawHeaders) -> dict[str, list[bytes]]:
    return {name: [value for item, value in headers if item == name] for name, _ in headers}
