"""`ExchangeMachine`: the state machine of one exchange. Messages in, legal answers out; no I/O.

Fronts, the replay runner and the Envoy model all drive this one class. It owns what a filter author must not be able to
get wrong: which answers may go out and when, failure policies, the passage of an immediate response back through the
filters before it, and the arithmetic (mutations, content-length, route cache) that makes Envoy's copy of the exchange
equal to the one the filters edited. Which answer may hold what stands in `phases`.
"""

from __future__ import annotations

# What filters see (exchange, http, headers) and this machine are one unit: their underscore means "not for filters".
# pyright: reportPrivateUsage=false
import asyncio
import logging
from typing import TYPE_CHECKING, Any

from extproc.answers import going_on, pieces, without_length
from extproc.body import BodyPipeline
from extproc.budget import Budget
from extproc.content import is_bodiless, is_whole, new_body
from extproc.driving import drive, settled
from extproc.errors import PhaseError
from extproc.exchange import Exchange
from extproc.headers import Headers
from extproc.hooks import advance, complete, failed, resume, run
from extproc.http import Request, Response
from extproc.lane import GONE, NO_EXTRAS, Lane, Stage
from extproc.messages import Abort, Message, the_answer
from extproc.modes import PERHAPS_A_PART, fewer_phases, not_sent
from extproc.phases import FLOWS, REPLY_IN_PIECES, RULES, BodyMode, Direction, Part, Phase, can_follow
from extproc.reply import reply
from extproc.terms import Terms

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from extproc.chain import Chain, Link, Step
    from extproc.driving import Steps
    from extproc.hooks import Suspended, Verdict
    from extproc.messages import Answer, Immediate, Output, Protocol, RawHeaders
    from extproc.phases import Flow
    from extproc.trace import Event

__all__ = ["ExchangeMachine"]

_BODY_OF = {Direction.REQUEST: Phase.REQUEST_BODY, Direction.RESPONSE: Phase.RESPONSE_BODY}
_HEADERS_OF = {Direction.REQUEST: Phase.REQUEST_HEADERS, Direction.RESPONSE: Phase.RESPONSE_HEADERS}
_HEADERS_RULE = {phase: RULES[phase, BodyMode.NONE] for phase in Phase}  # the body mode makes no difference to headers
_logger = logging.getLogger("extproc.machine")


class ExchangeMachine:
    """One exchange on its way through a chain.

    Attributes:
        exchange: what the filters see.
        events: what each filter did, in order, when a trace was asked for; else None.
        over: the last answer has been given; nothing may follow it.
        begun: the rest of a first message that was begun elsewhere (`answer_at_once`).
    """

    __slots__ = ("_chain", "_closed", "_lanes", "_protocol", "_terms", "begun", "exchange", "over")

    begun: Steps[None] | None
    _protocol: Protocol | None

    def __init__(self, chain: Chain, exchange_id: str, terms: Terms | None = None, **options: Any) -> None:
        """Begins an exchange.

        Args:
            chain: the filters; started by whoever owns it.
            exchange_id: tells exchanges apart, and seeds ``exchange.random``.
            terms: what all exchanges have in common.
            options: in place of `terms`, some of them by name.
        """
        if terms is None:
            terms = Terms(**options)
        self.over = self._closed = False
        self.begun = self._protocol = None
        exchange = self.exchange = Exchange(exchange_id, terms.clock)
        exchange._chain = self._chain = chain
        exchange._off = chain.conditional  # a condition that was never judged, for want of a request, does not hold
        exchange._limits = terms.by_direction
        self._terms = terms
        self._lanes = {Direction.REQUEST: exchange._lane}
        if terms.trace:
            exchange._events = []

    @property
    def events(self) -> list[Event] | None:
        """What each filter did, in order, when a trace was asked for; else None."""
        return self.exchange._events

    @property
    def owes(self) -> bool:
        """A message waits for its answer: a clean end of the stream would let it pass."""
        if not self.exchange.watched:
            for lane in self._lanes.values():
                if lane.pending:
                    return True
        return False

    async def receive(self, message: Message) -> Answer | None:
        """Takes what Envoy says and gives the answer to it; the last one, where there are several.

        Suspends only where a hook does. None means that nothing may be sent: the exchange is over, or Envoy is only
        watching (observability mode).
        """
        return the_answer(await self.receive_all(message))

    async def receive_all(self, message: Message) -> list[Output]:
        """Takes what Envoy says and gives all that may be said then."""
        answers: list[Output] = []
        await drive(self.process(message, answers.append))
        return answers

    def process(self, message: Message, emit: Callable[[Output], object]) -> Steps[None]:
        """Takes what Envoy says; whatever may be answered goes to `emit`, in order, as soon as it is ready.

        The messages of one direction are to be processed one after the other; those of the other one may be processed
        meanwhile.
        """
        rest = self.begin(message, emit)
        if rest is not None:
            yield from rest

    def begin(self, message: Message, emit: Callable[[Output], object]) -> Steps[None] | None:
        """The same: right here as far as that goes, and what may have to wait as steps; None: there is no such rest."""
        if self.over:
            return None
        if self.begun is not None:
            rest, self.begun, self.exchange._lane.emit = self.begun, None, emit
            self._note(message)
            return rest
        phase = message.phase
        direction = phase.direction
        lane = self._lanes.get(direction)
        if lane is None:
            lane = self._lanes[direction] = Lane()
            lane.extras = NO_EXTRAS  # as in `Exchange`
        lane.emit = emit
        lane.phase = phase
        self.exchange._lane = lane
        lane.now, lane.deadline = self._terms.times(self._chain.timeout)
        lane.extended = False
        lane.flowing = None
        self._note(message)
        last, lane.last = lane.last, phase
        if last is not None and not can_follow(last, phase, self._mode(direction)):
            _logger.error("exchange %s: %s came twice or too late", self.exchange.id, phase.value)
            self._give(lane, self.break_off(Abort("INVALID_ARGUMENT", "extproc.message_order")))
            return None
        if phase.part is Part.HEADERS:
            return self._begin_headers(message, lane)
        if phase.part is Part.BODY:
            later = self._on_body(message, lane, unseen=last is None)
            return None if later is None else self._pending(later, lane)
        return self._pending(self._on_trailers(message, lane, unseen=last is None), lane)

    def _pending(self, steps: Steps[None], lane: Lane) -> Steps[None]:
        lane.pending = True
        yield from steps
        lane.pending = lane.held is not None

    def _begin_headers(self, message: Message, lane: Lane) -> Steps[None] | None:
        phase, headers = message.phase, message.headers
        side = self._begin(phase, headers, message.size)
        side._body = body = b"" if message.end_of_stream else None
        stage = Stage(lane, phase, _HEADERS_RULE[phase], side, side._headers, headers, body)
        queue = iter(self._chain.steps[phase])
        outcome = advance(self.exchange, stage, queue)
        if outcome is not None or self._chain.steps[_BODY_OF[phase.direction]]:
            return self._pending(self._on_headers(stage, queue, outcome), lane)
        unchanged = side._body is body and phase is Phase.REQUEST_HEADERS
        self._go_on(stage, None if unchanged else self._replacement(stage))
        side._headers._sealed = side._body_sealed = GONE
        if self._chain.ends_with_request_headers:
            self._leave_early()
        return None

    async def close(self) -> bool:
        """The stream is over: runs `on_complete` of every filter that took part, once. False if it had run before."""
        return await drive(self.finish())

    def finish(self) -> Steps[bool]:
        """The same, as steps."""
        if self._closed:
            return False
        self.end()
        cancelled: asyncio.CancelledError | None = None
        for step in self._chain.completions:
            if step.link.when is None or step.link.index in self.exchange._joined:
                try:
                    yield from complete(self.exchange, step)
                except asyncio.CancelledError as error:
                    cancelled = error  # the filters after this one still get their turn
        if cancelled is not None:
            raise cancelled
        return True

    def end(self) -> None:
        """The stream is over; `finish` lets the filters know, where one of them wants to."""
        self._closed = self.over = True
        exchange = self.exchange
        if not exchange.ended:
            exchange.ended = "cancelled" if self.owes else "complete"
        for lane in self._lanes.values():
            lane.close()
        if exchange._budget is not None:
            exchange._budget.close()
        for task in exchange._tasks or ():
            task.cancel()
        if self._chain.completions:
            for side in (exchange._request, exchange._response):
                if side is not None:
                    side._seal(GONE)

    def break_off(self, abort: Abort) -> Abort:
        """Ends the exchange with an error: from here on there are no answers."""
        self.over = True
        self.exchange.ended = "aborted"
        return abort

    # Messages

    def _note(self, message: Message) -> None:
        """Keeps what a message says beside its phase."""
        exchange = self.exchange
        exchange._note(message.attributes, message.metadata, message.typed_metadata)
        if message.observability:
            exchange.watched = True
        elif message.protocol is not None:
            self._protocol = protocol = message.protocol
            timing = self._terms.timing
            if timing is None or FLOWS[protocol.request_body].carried or FLOWS[protocol.response_body].carried:
                return  # where we carry a body, there is no timer
            exchange._more_time = timing.more(self._chain.timeout)

    def _on_headers(self, stage: Stage, queue: Iterator[Step], outcome: Verdict | Suspended) -> Steps[None]:
        verdict = yield from resume(self.exchange, stage, queue, outcome)
        if verdict is None and self._chain.steps[_BODY_OF[stage.phase.direction]]:
            verdict = yield from self._expect_body(stage)
        if verdict is not None or stage.lane.held is None:
            yield from self._conclude(verdict, stage)
        if self._chain.ends_with_request_headers:
            self._leave_early()

    def _expect_body(self, stage: Stage) -> Steps[Verdict]:
        """Gets ready for the body; where none follows, or a filter replaced it unseen, its hooks run now."""
        side, lane = stage.side, stage.lane
        steps = self._body_steps(stage.lane, stage.phase.direction)
        if not steps:
            return None
        pipeline = BodyPipeline(self.exchange, steps, self._budget)
        early = stage.in_phase(_BODY_OF[stage.phase.direction])
        if side._body is not None:
            if not side._body and is_bodiless(self.exchange, side):
                return None
            verdict = yield from settled(pipeline.push(early, side._body, end=True))
            side._body = pipeline.take()
            return verdict
        flow = self._flow(stage.phase.direction)
        if not flow.sent:
            return pipeline.refuse(early, not_sent(stage.phase.direction, self._mode(stage.phase.direction)))
        lane.pipeline = pipeline
        if flow.carried and pipeline.waits:
            lane.held = stage
        if not flow.framed:
            without_length(side._headers)  # as Envoy does by itself, unless it is told not to
        return None

    def _on_body(self, message: Message, lane: Lane, *, unseen: bool) -> Steps[None] | None:
        phase = message.phase
        mode = self._mode(phase.direction)
        flow, rule, side = FLOWS[mode], RULES[phase, mode], self._side(phase)
        if lane.replaced:
            return None  # it was on its way already; Envoy waits for no answer to it, and takes none
        fields = side._headers
        if lane.held is None:
            stage = Stage(lane, phase, rule, side, fields, fields._rebase(), message.body)
        else:
            stage = lane.held.in_phase(phase)
        outcome: Verdict | Steps[Verdict] = self._admit(stage) if unseen else None
        pipeline = lane.pipeline
        if outcome is None and pipeline is not None:
            stage.open()
            if flow.partial and not message.end_of_stream and not is_whole(stage.headers, message.body):
                outcome = pipeline.refuse(stage, PERHAPS_A_PART)
            if outcome is None:
                outcome = pipeline.push(stage, message.body, end=flow.whole or message.end_of_stream)
        if outcome is not None:
            return self._on_body_later(outcome, message, stage, flow)
        self._pass_on(message, stage, flow)
        return None

    def _on_body_later(
        self, outcome: Verdict | Steps[Verdict], message: Message, stage: Stage, flow: Flow
    ) -> Steps[None]:
        verdict = yield from settled(outcome)
        if verdict is not None:
            yield from self._conclude(verdict, stage)
        elif not self.over:  # the other direction may have ended the exchange
            self._pass_on(message, stage, flow)

    def _pass_on(self, message: Message, stage: Stage, flow: Flow) -> None:
        """Sends on what the filters made of a piece of the body, or all of it."""
        rule, side, pipeline = stage.rule, stage.side, stage.lane.pipeline
        end = flow.whole or message.end_of_stream
        out = message.body if pipeline is None else pipeline.take()
        if out and not rule.headers and is_bodiless(self.exchange, side):
            out = b"" if flow.carried else message.body
        if end:
            side._body = out if pipeline is None or pipeline.keeps else None
        if flow.carried:
            self._carry(stage, out, end=end)
        elif rule.headers:
            side._body = out
            self._let_go(stage)
        else:
            self._go_on(stage, None if out == stage.body else out)

    def _carry(self, stage: Stage, out: bytes, *, end: bool) -> None:
        """Sends on what came out of the filters; before it, the headers that have waited for it."""
        lane = stage.lane
        held = lane.held
        if held is not None:
            if lane.pipeline is not None and lane.pipeline.waits:
                return
            lane.held = None
            if is_bodiless(self.exchange, held.side):
                out = b""
            self._go_on(held, None)
            held.side._seal(GONE)
        for piece in pieces(lane, _BODY_OF[stage.phase.direction], out, end=end):
            self._give(lane, piece)

    def _on_trailers(self, message: Message, lane: Lane, *, unseen: bool) -> Steps[None]:
        phase, side = message.phase, self._side(message.phase)
        flow, rule = self._flow(phase.direction), RULES[phase, self._mode(phase.direction)]
        if lane.replaced:
            return
        side._trailers = Headers(message.headers, message.size)
        stage = Stage(lane, phase, rule, side, side._trailers, message.headers, side._body)
        verdict = self._admit(stage) if unseen else None
        if verdict is None and lane.pipeline is not None and not lane.pipeline.ended:
            verdict = yield from self._end_body(stage, flow)
        if verdict is None:
            stage.open()
            verdict = yield from run(self.exchange, stage, self._chain.steps[phase])
        yield from self._conclude(verdict, stage)

    def _end_body(self, stage: Stage, flow: Flow) -> Steps[Verdict]:
        """The body ends where trailers begin: what was held back goes out before them, if that is possible."""
        lane, pipeline = stage.lane, stage.lane.pipeline
        assert pipeline is not None  # noqa: S101 (asked by the caller)
        phase = _BODY_OF[stage.phase.direction]
        body = stage.in_phase(phase)
        if lane.held is not None:
            body = lane.held.in_phase(phase)
        elif not flow.whole:
            fields = stage.side._headers
            rule = RULES[phase, self._mode(phase.direction)]
            body = Stage(lane, phase, rule, stage.side, fields, fields._rebase(), None)
        body.open()
        verdict = yield from settled(pipeline.push(body, b"", end=True))
        out = pipeline.take()
        if verdict is not None:
            return verdict
        if flow.carried:
            self._carry(body, out, end=False)
        elif out:
            return pipeline.strand(stage)
        stage.side._body = out if pipeline.keeps else None
        return None

    # What is known

    def _begin(self, phase: Phase, headers: RawHeaders, size: int = 0) -> Request | Response:
        if phase is Phase.REQUEST_HEADERS:
            request = self.exchange._request = Request(headers, size)
            return request
        response = self.exchange._response = Response._received(headers, size)
        return response

    def _side(self, phase: Phase) -> Request | Response:
        """The half that a phase is about; empty when Envoy sent no headers of it."""
        if phase.direction is Direction.REQUEST:
            return self.exchange.request
        return self.exchange._response or self._begin(Phase.RESPONSE_HEADERS, [])

    def _mode(self, direction: Direction) -> BodyMode:
        """How Envoy sends this direction's body; an Envoy that does not say is taken to do what the chain asks."""
        if self.exchange.watched:
            return BodyMode.FULL_DUPLEX_STREAMED  # it comes in pieces, and nobody waits for anything
        protocol = self._protocol
        if protocol is None:
            return BodyMode.BUFFERED if self._chain.steps[_BODY_OF[direction]] else BodyMode.NONE
        return protocol.request_body if direction is Direction.REQUEST else protocol.response_body

    def _flow(self, direction: Direction) -> Flow:
        return FLOWS[self._mode(direction)]

    def _body_steps(self, lane: Lane, direction: Direction) -> list[Step]:
        """The hooks that want this direction's body."""
        off = self.exchange._off | lane.unwanted
        return [step for step in self._chain.steps[_BODY_OF[direction]] if step.link.index not in off]

    def _budget(self) -> Budget:
        """What this exchange may hold of bodies."""
        budget = self.exchange._budget
        if budget is None:
            budget = Budget(self._terms.max_body_bytes, "a body that a filter wants whole", self._terms.bodies)
            self.exchange._budget = budget
        return budget

    def _admit(self, stage: Stage) -> Verdict:
        """The first message of a direction, which is not its headers: who counts on them fails, by its policy."""
        headers = _HEADERS_OF[stage.phase.direction]
        off = self.exchange._off if headers is Phase.RESPONSE_HEADERS else self.exchange._off - self._chain.conditional
        for step in self._chain.steps[headers]:
            if step.link.index in off:
                continue
            error = PhaseError(
                f"Envoy does not show the {stage.phase.direction.value}'s headers, and the filter needs them: set "
                f"{stage.phase.direction.value}_header_mode to SEND in Envoy's ext_proc filter"
            )
            verdict = failed(self.exchange, stage, step.link, error)
            if verdict is not None:
                return verdict
        steps = self._body_steps(stage.lane, stage.phase.direction)
        if steps:
            stage.lane.pipeline = pipeline = BodyPipeline(self.exchange, steps, self._budget)
            if not self._flow(stage.phase.direction).sent:
                return pipeline.refuse(stage, not_sent(stage.phase.direction, self._mode(stage.phase.direction)))
        return None

    # Answers

    def _give(self, lane: Lane, answer: Output) -> None:
        """Sends an answer, to an Envoy that reads it."""
        if not self.exchange.watched:
            lane.emit(answer)

    def _conclude(self, verdict: Verdict, stage: Stage) -> Steps[None]:
        """Gives the answer, given what came of the hooks; seals what it answers."""
        lane = stage.lane
        if self.over:
            return  # the other direction has ended the exchange
        if verdict is None:
            self._let_go(stage)
            return
        lane.held = None
        told = self.break_off(verdict) if isinstance(verdict, Abort) else (yield from self._reply(*verdict, stage))
        if told is not None:
            self._give(lane, told)
        stage.side._seal(GONE)

    def _let_go(self, stage: Stage) -> None:
        self._go_on(stage, None if stage.phase.part is Part.TRAILERS else self._replacement(stage))
        stage.side._seal(GONE)

    def _replacement(self, stage: Stage) -> bytes | None:
        """What has to take the place of the body that Envoy has; None: nothing."""
        body = new_body(self.exchange, stage)
        if body is not None and stage.phase.part is Part.HEADERS:
            stage.lane.replaced = True
        return body

    def _go_on(self, stage: Stage, body: bytes | None) -> None:
        """The answer that lets Envoy go on, with what the filters made of it."""
        lane = stage.lane
        if stage.phase.direction is Direction.RESPONSE:
            held = stage.phase.part is Part.HEADERS and stage.body is None and self._flow(Direction.RESPONSE).whole
            self.exchange._response_begun = not held
        fewer = None
        if (self.exchange._off or lane.unwanted) and self._terms.change_modes and stage.phase.part is Part.HEADERS:
            fewer = fewer_phases(self.exchange, self._lanes, self._protocol)
        self._give(lane, going_on(stage, body, fewer))
        lane.extras = NO_EXTRAS

    def _reply(self, link: Link, response: Response, stage: Stage) -> Steps[Immediate | Abort | None]:
        """Ends the exchange with a filter's response."""
        modes = {self._mode(direction) for direction in Direction}
        in_pieces = stage.phase is Phase.REQUEST_HEADERS and modes <= REPLY_IN_PIECES and stage.lane.held is None
        told = yield from reply(self.exchange, stage.lane, link, response, budget=self._budget, in_pieces=in_pieces)
        if isinstance(told, Abort):
            return self.break_off(told)
        self.over = True
        self.exchange.ended = "immediate"
        return told

    def _leave_early(self) -> None:
        """Ends the exchange once no filter wants any more of it: then a clean end of the stream bypasses nobody.

        It spares Envoy the reset, and us the wait for it. Not while a body is on its way that would have to be carried.
        """
        protocol = self._protocol
        if protocol is not None and protocol.request_body is protocol.response_body is BodyMode.NONE:
            self.over = self.over or self.exchange._events is None  # a recorder wants to see the whole of it
