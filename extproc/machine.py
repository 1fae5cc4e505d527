"""`ExchangeMachine`: the state machine of one exchange. Messages in, legal answers out; no I/O.

Fronts, the replay runner and the Envoy model all drive this one class. It owns what a filter author must not be able to
get wrong: exactly one answer per message and of its phase, failure policies, the passage of an immediate response back
through the filters before it, and the arithmetic (mutations, content-length, route cache) that makes Envoy's copy of
the exchange equal to the one the filters edited. Which answer may hold what stands in `phases`.
"""

from __future__ import annotations

# What filters see (exchange, http, headers) and this machine are one unit: their underscore means "not for filters".
# pyright: reportPrivateUsage=false
import asyncio
import inspect
import logging
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeAlias

from extproc.answers import UNCHANGED, going_on, immediate, without_length
from extproc.clock import Clock, SystemClock
from extproc.driving import drive, wait
from extproc.errors import HookError, PhaseError
from extproc.exchange import Exchange, Lane, Metadata
from extproc.guard import Limits
from extproc.headers import Headers
from extproc.http import Request, Response
from extproc.messages import Abort, Answer, Message
from extproc.phases import RULES, BodyMode, Direction, Part, Phase, Rule, can_follow
from extproc.trace import Event, changes

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from extproc.chain import Chain, Link, Step
    from extproc.driving import Steps
    from extproc.messages import RawHeaders

__all__ = ["ExchangeMachine"]

_Verdict: TypeAlias = "tuple[Link, Response] | Abort | None"
"""What came of running hooks: a filter's response, a broken stream, or nothing special."""

_BODY_OF = {Direction.REQUEST: Phase.REQUEST_BODY, Direction.RESPONSE: Phase.RESPONSE_BODY}
_HEADERS_RULE = {phase: RULES[phase, BodyMode.NONE] for phase in Phase}  # the body mode makes no difference to headers
_ONE_TO_ONE = (BodyMode.NONE, BodyMode.STREAMED, BodyMode.BUFFERED, BodyMode.BUFFERED_PARTIAL)
_NO_CONTENT = (b"204", b"304")
_FIRST_FINAL_STATUS = 200
_OBSERVED = dict.fromkeys(Direction, BodyMode.STREAMED)
"""In observability mode Envoy does not say how it sends bodies: there is one way only."""
_GONE = "it has left already; edit it in an earlier phase"
_DEFAULT_LIMITS = Limits()
_RESPONSE_LIMITS = Limits(header_bytes=80 * 1024)
_SYSTEM_CLOCK = SystemClock()

_logger = logging.getLogger("extproc.machine")


@dataclass(slots=True)
class _Stage:
    """A message under way through the hooks of a phase: what they edit, what Envoy has, and what an answer may hold."""

    phase: Phase
    rule: Rule
    side: Request | Response
    fields: Headers
    """What the phase's headers are: the headers, or in a trailers phase the trailers."""
    headers: RawHeaders
    """`fields`, as Envoy has them."""
    body: bytes | None
    """The body, as Envoy has it; None if it is still to come."""


class ExchangeMachine:
    """One exchange on its way through a chain.

    Attributes:
        exchange: what the filters see.
        events: what each filter did, in order, when a trace was asked for; else None.
        over: the last answer has been given; nothing may follow it.
    """

    # Defaults stand here rather than in __init__: an exchange rarely changes them, and this is the hot path.
    over = False
    _closed = False
    _modes: Mapping[Direction, BodyMode] = {}
    _joined: frozenset[int] = frozenset()  # the filters whose condition held

    def __init__(
        self,
        chain: Chain,
        exchange_id: str,
        *,
        clock: Clock = _SYSTEM_CLOCK,
        limits: Limits = _DEFAULT_LIMITS,
        response_limits: Limits = _RESPONSE_LIMITS,
        trace: bool = False,
    ) -> None:
        """Begins an exchange.

        Args:
            chain: the filters; started by whoever owns it.
            exchange_id: tells exchanges apart, and seeds ``exchange.random``.
            clock: where time comes from.
            limits: how many request headers Envoy takes, and how large.
            response_limits: the same for a response.
            trace: whether to keep `events`.
        """
        self.exchange = Exchange(exchange_id, clock)
        self.events: list[Event] | None = [] if trace else None
        self._chain = chain
        self._clock = clock
        self._limits = {Direction.REQUEST: limits, Direction.RESPONSE: response_limits}
        self._lanes = {Direction.REQUEST: self.exchange._lane}
        self._off = chain.conditional  # a condition that was never judged, for want of a request, does not hold

    async def receive(self, message: Message) -> Answer | None:
        """Takes what Envoy says and gives the answer to it; the last one, where there are several.

        Suspends only where a hook does. None means that nothing may be sent: the exchange is over, or Envoy is only
        watching (observability mode).
        """
        answers = await self.receive_all(message)
        return answers[-1] if answers else None

    async def receive_all(self, message: Message) -> list[Answer]:
        """Takes what Envoy says and gives every answer that this allows."""
        answers: list[Answer] = []
        await drive(self.process(message, answers.append))
        return answers

    def process(self, message: Message, emit: Callable[[Answer], object]) -> Steps[None]:
        """Takes what Envoy says; whatever may be answered goes to `emit`, in order, as soon as it is ready.

        The messages of one direction are to be processed one after the other; those of the other one may be processed
        meanwhile.
        """
        if self.over:
            return
        phase = message.phase
        lane = self._lanes.get(phase.direction)
        if lane is None:
            lane = self._lanes[phase.direction] = Lane()
        last = lane.last
        if last is not None and not can_follow(last, phase, self._mode(phase.direction)):
            _logger.error("exchange %s: %s came twice or too late", self.exchange.id, phase.value)
            answer: Answer = self.break_off(Abort("INVALID_ARGUMENT", "extproc.message_order"))
        else:
            lane.pending = True
            lane.last = phase
            self._note(message, lane)
            if phase.part is Part.HEADERS:
                answer = yield from self._on_headers(message)
            elif phase.part is Part.BODY:
                answer = yield from self._on_body(message)
            else:
                answer = yield from self._on_trailers(message)
            lane.pending = False
            if self._chain.ends_with_request_headers and self.events is None:
                self._leave_early(message)
        if not message.observability:
            emit(answer)

    async def close(self) -> bool:
        """The stream is over: runs `on_complete` of every filter that took part, once. False if it had run before."""
        return await drive(self.finish())

    def finish(self) -> Steps[bool]:
        """The same, as steps."""
        if self._closed:
            return False
        self._closed = self.over = True
        exchange = self.exchange
        pending = any(lane.pending for lane in self._lanes.values())
        exchange.ended = exchange.ended or ("cancelled" if pending else "complete")
        if not self._chain.completions:
            return True
        for side in (exchange._request, exchange._response):
            if side is not None:
                side._seal(_GONE)
        cancelled: asyncio.CancelledError | None = None
        for step in self._chain.completions:
            if step.link.when is None or step.link.index in self._joined:
                try:
                    yield from self._complete(step)
                except asyncio.CancelledError as error:
                    cancelled = error  # the filters after this one still get their turn
        if cancelled is not None:
            raise cancelled
        return True

    def _leave_early(self, message: Message) -> None:
        """Ends the exchange once no filter wants any more of it: then a clean end of the stream bypasses nobody.

        It spares Envoy the reset, and us the wait for it. Not while a body is on its way in a mode that has us carry
        it.
        """
        protocol = message.protocol
        if protocol is not None and protocol.request_body is protocol.response_body is BodyMode.NONE:
            self.over = True

    def break_off(self, abort: Abort) -> Abort:
        """Ends the exchange with an error: from here on there are no answers."""
        self.over = True
        self.exchange.ended = "aborted"
        return abort

    # Messages

    def _note(self, message: Message, lane: Lane) -> None:
        """Keeps what a message says beside its phase."""
        exchange = self.exchange
        exchange._lane = lane
        lane.phase = message.phase
        lane.now = self._clock.time()
        lane.deadline = self._clock.monotonic() + self._chain.timeout
        if message.attributes:
            exchange.attributes.update(message.attributes)
        if message.metadata:
            exchange._metadata = Metadata(exchange, message.metadata)
        if message.observability:
            self._modes = _OBSERVED
        elif message.protocol is not None:
            self._modes = {
                Direction.REQUEST: message.protocol.request_body,
                Direction.RESPONSE: message.protocol.response_body,
            }

    def _on_headers(self, message: Message) -> Steps[Answer]:
        phase, headers = message.phase, message.headers
        side = self._begin(phase, headers, message.size)
        body = side._body = b"" if message.end_of_stream else None
        stage = _Stage(phase, _HEADERS_RULE[phase], side, side._headers, headers, body)
        verdict = yield from self._run(stage, self._chain.steps[phase])
        if verdict is None and self._chain.steps[_BODY_OF[phase.direction]]:
            verdict = yield from self._run_early_body(stage)
        return (yield from self._conclude(verdict, stage))

    def _on_body(self, message: Message) -> Steps[Answer]:
        phase, mode = message.phase, self._mode(message.phase.direction)
        side = self._side(phase)
        if mode is not BodyMode.BUFFERED:
            stage = _Stage(phase, RULES[phase, mode], side, side._headers, side._headers._items, None)
            # Wanting it whole is refused here too, for Envoy need not have shown the headers.
            verdict = self._refuse_mode(stage) if mode in _ONE_TO_ONE else self._refuse_pieces(stage, mode)
            return UNCHANGED[phase] if verdict is None else (yield from self._conclude(verdict, stage))
        side._body = message.body
        fields = side._headers
        stage = _Stage(phase, RULES[phase, mode], side, fields, fields._snapshot(), message.body)
        _open(stage)
        verdict = yield from self._run(stage, self._chain.steps[phase])
        return (yield from self._conclude(verdict, stage))

    def _on_trailers(self, message: Message) -> Steps[Answer]:
        phase, side = message.phase, self._side(message.phase)
        side._trailers = Headers(message.headers, message.size)
        rule = RULES[phase, self._mode(phase.direction)]
        stage = _Stage(phase, rule, side, side._trailers, message.headers, side._body)
        _open(stage)
        verdict = yield from self._run_missed_body(stage)
        if verdict is None:
            verdict = yield from self._run(stage, self._chain.steps[phase])
        return (yield from self._conclude(verdict, stage))

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
        wanted = BodyMode.BUFFERED if self._chain.steps[_BODY_OF[direction]] else BodyMode.NONE
        return self._modes.get(direction, wanted)

    def _has_no_content(self, headers: RawHeaders) -> bool:
        """RFC 9110 section 6.4.1: whatever a filter makes of it, a response with these headers carries no content."""
        return _status(headers) in _NO_CONTENT or self.exchange.request.method == "HEAD"

    # Hooks

    def _run(self, stage: _Stage, steps: tuple[Step, ...]) -> Steps[_Verdict]:
        """Runs hooks until one of them answers. Each takes effect whole or, if it fails, leaves nothing behind."""
        exchange, fields, side = self.exchange, stage.fields, stage.side
        lane = exchange._lane
        lane.phase = stage.phase
        for step in steps:
            link = step.link
            if link.when is not None and stage.phase is Phase.REQUEST_HEADERS and link.when.matches(exchange.request):
                self._off -= {link.index}
                self._joined |= {link.index}
            if link.index in self._off:
                continue
            lane.link = link
            fields._allowed = link.requires
            before = (fields._snapshot(), side._body, side._marks, lane.clear_route_cache, lane.emitted)
            try:
                response = step.hook(exchange) if not step.chunked else (yield from self._in_pieces(step, side))
                if response is not None and not isinstance(response, Response):
                    response = yield from self._settled(link, response)
                if fields._items is not before[0] or side._body is not before[1]:  # a new body edits content-length
                    self._limits[stage.phase.direction].check(fields._items, stage.headers, fields._at_most)
                if response is not None:
                    response = self._checked(response, stage)
            except (Exception, asyncio.CancelledError) as error:
                fields._restore(before[0])
                side._body, side._marks, lane.clear_route_cache, lane.emitted = before[1:]
                if isinstance(error, asyncio.CancelledError) and _is_being_cancelled():
                    raise
                verdict = self._failed(link, stage, error)  # whatever it is, the filter's policy decides
            else:
                if self.events is not None:
                    self._trace(link, stage, changes(before[0], fields._items, before[1], side._body), response)
                verdict = None if response is None else (link, response)
            if verdict is not None:
                return verdict
        return None

    def _run_early_body(self, stage: _Stage) -> Steps[_Verdict]:
        """Body hooks in a headers phase: there is no body, or a filter replaced it unseen; no body phase follows."""
        side, phase = stage.side, _BODY_OF[stage.phase.direction]
        early = _Stage(phase, stage.rule, side, stage.fields, stage.headers, stage.body)
        if side._body is None:
            return self._refuse_mode(early)
        if not side._body and isinstance(side, Response) and self._has_no_content(side._headers._items):
            return None
        return (yield from self._run(early, self._chain.steps[phase]))

    def _run_missed_body(self, stage: _Stage) -> Steps[_Verdict]:
        """Body hooks in a trailers phase that no body came before: they may still refuse, and edit the trailers."""
        side = stage.side
        if side._body is not None:
            return None
        side._body = b""
        return (yield from self._run(stage, self._chain.steps[_BODY_OF[stage.phase.direction]]))

    def _refuse_mode(self, stage: _Stage) -> _Verdict:
        """A body follows; filters that want it fail by their policy if Envoy won't send it whole: no silent bypass."""
        mode = self._mode(stage.phase.direction)
        if mode is BodyMode.BUFFERED:
            return None
        for step in self._chain.steps[stage.phase]:
            if step.link.index in self._off:
                continue
            error = PhaseError(
                f"the body comes {mode.name}, but a filter wants it whole: set {stage.phase.value}_mode to BUFFERED "
                "in Envoy's ext_proc filter (extproc envoy config writes it)"
            )
            verdict = self._failed(step.link, stage, error)
            if verdict is not None:
                return verdict
        return None

    def _refuse_pieces(self, stage: _Stage, mode: BodyMode) -> _Verdict:
        """A body comes in a mode that has us carry it: by ourselves where a filter guards, for Envoy may be lenient."""
        reason = f"extproc.body_mode_{mode.name.lower()}"
        for link in self._chain.links if stage.rule.immediate else ():
            if link.on_error == "deny" and link.index not in self._off:
                return link, Response(500, details=reason)
        return Abort("UNIMPLEMENTED", reason)

    def _in_pieces(self, step: Step, side: Request | Response) -> Steps[Response | None]:
        """Gives a whole body to a hook that takes pieces: the body, then the end."""
        whole = side._body or b""
        out: list[bytes] = []
        for chunk in (whole, b"") if whole else (b"",):
            result = step.hook(self.exchange, chunk)
            if inspect.isawaitable(result):
                result = yield from wait(self.exchange, result, self._budget(step.link))
            if isinstance(result, Response):
                return result
            if result is not None and not isinstance(result, bytes):
                raise HookError(f"returned {type(result).__name__}: a chunk hook returns bytes, a Response or None")
            out.append(chunk if result is None else result)
        side._body = b"".join(out)
        return None

    def _settled(self, link: Link, result: Any) -> Steps[Response | None]:
        """What a hook gave back beside a plain Response or None: awaited within its budget if that is possible."""
        if inspect.isawaitable(result):
            result = yield from wait(self.exchange, result, self._budget(link))
        if result is None or isinstance(result, Response):
            return result
        raise HookError(
            f"returned {type(result).__name__}: a hook edits the exchange in place and returns a Response or None"
        )

    def _budget(self, link: Link) -> float:
        """Seconds that a hook of `link` may take from now on."""
        left = self.exchange.remaining
        return left if link.timeout is None else min(left, link.timeout)

    def _complete(self, step: Step) -> Steps[None]:
        link = self.exchange._lane.link = step.link
        try:
            result = step.hook(self.exchange)
            if result is not None and inspect.isawaitable(result):
                yield from wait(self.exchange, result, self._chain.timeout)
        except (Exception, asyncio.CancelledError) as error:
            if isinstance(error, asyncio.CancelledError) and _is_being_cancelled():
                raise
            _logger.exception("exchange %s: filter %r failed in on_complete", self.exchange.id, link.name)

    def _checked(self, response: Response, stage: _Stage) -> Response | None:
        if response is stage.side:
            return None  # the very response that is under way: it goes on
        if not stage.rule.immediate:
            raise PhaseError("a Response comes too late here: the client already has the beginning of another")
        if response.status < _FIRST_FINAL_STATUS:  # one that Envoy received: a filter can make none
            raise PhaseError(f"a response with status {response.status} cannot be the answer: return one of your own")
        self._limits[Direction.RESPONSE].check(response._headers._items, [])
        return response

    def _failed(self, link: Link, stage: _Stage, error: BaseException) -> _Verdict:
        """Applies a filter's failure policy, and takes the filter out of the rest of the exchange."""
        self._off |= {link.index}
        kind = "timeout" if isinstance(error, TimeoutError) else "error"
        sentence = f"{type(error).__name__}: {error}" if str(error) else type(error).__name__
        what = (self.exchange.id, link.name, stage.phase.value, link.on_error, sentence)
        _logger.error("exchange %s: filter %r failed in %s (policy: %s): %s", *what, exc_info=error)
        if self.events is not None:
            self.events.append(Event(link.name, stage.phase, link.on_error, note=sentence))
        if link.on_error == "skip":
            return None
        details = f"extproc.{link.name}.{kind}"
        if not stage.rule.immediate:
            return Abort("INTERNAL", details)
        return link, Response(504 if kind == "timeout" else 500, details=details)

    def _trace(self, link: Link, stage: _Stage, changed: tuple[Any, ...], response: Response | None) -> None:
        assert self.events is not None  # noqa: S101 (asked by the caller, to spare the diff)
        if changed:
            self.events.append(Event(link.name, stage.phase, "edit", changed))
        if response is not None:
            note = f"{response.status} {response.details}".rstrip()
            self.events.append(Event(link.name, stage.phase, "respond", note=note))

    # Answers

    def _conclude(self, verdict: _Verdict, stage: _Stage) -> Steps[Answer]:
        """The answer, given what came of the hooks; seals what it answers."""
        side, fields, phase = stage.side, stage.fields, stage.phase
        if verdict is None:
            lane = self.exchange._lane
            answer: Answer = going_on(
                phase,
                stage.headers,
                fields,
                None if phase.part is Part.TRAILERS else self._new_body(stage),
                clear_route_cache=lane.clear_route_cache,
                metadata=lane.emitted,
            )
            lane.clear_route_cache = False
            lane.emitted = {}
        elif isinstance(verdict, Abort):
            answer = self.break_off(verdict)
        else:
            answer = yield from self._immediate(*verdict)
        side._seal(_GONE)
        return answer

    def _new_body(self, stage: _Stage) -> bytes | None:
        """What has to take the place of the body that Envoy has; None: nothing."""
        side, had = stage.side, stage.body
        if isinstance(side, Response) and (
            side._body != had or _status(stage.headers) != _status(side._headers._items)
        ):
            was_bodiless, is_bodiless = self._has_no_content(stage.headers), self._has_no_content(side._headers._items)
            if had == b"" and not self.exchange.request.method:
                was_bodiless = is_bodiless = True  # Envoy's own answer to we do not know what: it may have been HEAD
            if is_bodiless and was_bodiless:
                side._body = had
            elif is_bodiless:
                # Envoy would send the body all the same, and the client would take it for the next response.
                side._body = b""
                without_length(side._headers)
            elif was_bodiless:
                return side._body  # even an empty one: it makes Envoy forget a length that announces more
        return None if side._body == had else side._body

    def _immediate(self, link: Link, response: Response) -> Steps[Answer]:
        """Takes a filter's response back through the filters before it, then out to the client."""
        while True:
            own = self.exchange._response = response._copy()
            own.details = own.details or f"extproc.{link.name}"
            verdict = yield from self._run_back(own, link.index)
            if verdict is None:
                break
            if isinstance(verdict, Abort):
                return self.break_off(verdict)
            link, response = verdict
        own._seal(_GONE)
        self.over = True
        self.exchange.ended = "immediate"
        return immediate(
            own, b"" if self._has_no_content(own._headers._items) else own.body, self.exchange._lane.emitted
        )

    def _run_back(self, response: Response, before: int) -> Steps[_Verdict]:
        """The response hooks of the filters before one that answered, on its response."""
        fields = response._headers
        for phase in (Phase.RESPONSE_HEADERS, Phase.RESPONSE_BODY):
            stage = _Stage(phase, _HEADERS_RULE[Phase.RESPONSE_HEADERS], response, fields, [], None)
            steps = tuple(step for step in self._chain.steps[phase] if step.link.index < before)
            verdict = yield from self._run(stage, steps)
            if verdict is not None:
                return verdict
        return None


def _is_being_cancelled() -> bool:
    """Whether somebody cancels the exchange; else a hook let out the cancellation of what it was waiting for."""
    try:
        task = asyncio.current_task()
    except RuntimeError:
        return False  # no event loop: nobody can
    return task is not None and task.cancelling() > 0


def _status(headers: RawHeaders) -> bytes:
    for name, value in headers:
        if name == ":status":
            return value
    return b""


def _open(stage: _Stage) -> None:
    """Lets hooks edit what an answer of this stage can still change, and nothing else."""
    side, fields = stage.side, stage.fields
    side._headers._sealed = _GONE if fields is not side._headers else ""
    fields._sealed = "" if stage.rule.headers else _GONE
    side._body_sealed = "" if stage.rule.body else _GONE
