"""`Session`: one gRPC stream of any front, from bytes to bytes; `Service`: what the sessions of a front share.

Everything here is a plain function that neither blocks nor raises. Where no hook suspends, all of it runs right there;
a hook that suspends gets a task, which the service keeps.
"""

from __future__ import annotations

import asyncio
import itertools
import logging
import secrets
from collections import deque
from functools import partial
from types import MappingProxyType
from typing import TYPE_CHECKING, Protocol, TypeAlias

from extproc.answers import UNCHANGED
from extproc.at_once import answer_at_once, can_answer_at_once
from extproc.budget import Budget
from extproc.clock import SystemClock
from extproc.driving import failing, go_on
from extproc.errors import PeerError
from extproc.flowing import flowing
from extproc.guard import Limits
from extproc.machine import ExchangeMachine
from extproc.messages import Abort, Continue, Message, ReplyBody
from extproc.server.fronts import DEFAULT_OPTIONS
from extproc.server.watchdog import LoopWatchdog
from extproc.terms import Terms
from extproc.wire import LARGE, before_body, decode, decode_headers, encode, encode_apart, large_piece

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Coroutine, Iterator, Mapping, Sequence
    from typing import Any

    from extproc.chain import Chain
    from extproc.driving import Steps
    from extproc.messages import AnyBytes, Output
    from extproc.observe import ExchangeObserver
    from extproc.phases import Direction, Phase
    from extproc.server.fronts import FrontOptions

__all__ = ["Service", "Session", "Stream"]

_AtOnce: TypeAlias = "Callable[[bytes], bytes | Callable[[Stream], Session] | None]"

_logger = logging.getLogger("extproc.server")
_NOT_BUSY: Mapping[Direction, _Lane] = MappingProxyType({})
_UNCHANGED = {phase: encode(answer) for phase, answer in UNCHANGED.items()}


class Stream(Protocol):
    """What a front gives a session: the way back to Envoy."""

    def send(self, data: bytes, body: bytes = b"") -> None:
        """Sends one serialized ``ProcessingResponse``, of which `body` is the end, after those before it; buffers."""
        ...

    def end(self, code: str, reason: str) -> None:
        """Ends the stream with a gRPC status: its name (``OK``, ``INTERNAL``) and a stable reason."""
        ...

    def consumed(self, size: int) -> None:
        """So many bytes of received messages are no longer held here: the peer may send as many more."""
        ...

    def writable(self) -> Awaitable[None] | None:
        """None: the peer reads. Else what to wait for before much more is sent."""
        ...


class Service:
    """A chain and what goes with it, for all the streams of a front.

    Attributes:
        bodies: the memory that bodies take right now.
        watchdog: to be entered by the front, on its event loop.
        exchanges: how many have begun.
        at_once: given a stream's first message, serialized, what answers it whole and ends it; else what opens the
            stream and is to be given that message all the same, or None, which is as good as `open`. Itself None: no
            exchange of this chain ends so soon.
    """

    def __init__(self, chain: Chain, options: FrontOptions = DEFAULT_OPTIONS) -> None:
        """Takes what sessions share.

        Args:
            chain: the filters; started and stopped by the front.
            options: those of the front.
        """
        self.chain = chain
        self.observer = options.observer
        self.ids = options.ids or _exchange_ids()
        bounds = options.bounds
        self.bodies = Budget(bounds.bodies_bytes, "the bodies of all exchanges together")
        self.terms = Terms(
            clock=options.clock or SystemClock(),
            limits=options.limits or Limits(),
            trace=options.observer is not None,
            bodies=self.bodies,
            max_body_bytes=bounds.body_bytes,
            change_modes=True,
            timing=bounds.timing,
        )
        self.watchdog = LoopWatchdog(bounds.stall, self.terms.clock)
        whole = options.observer is None and can_answer_at_once(chain, self.terms)
        self.at_once: _AtOnce | None = self._answer_at_once if whole else None
        self.exchanges = 0
        self._running: dict[asyncio.Task[None], Session] = {}

    def open(self, stream: Stream) -> Session:
        """A stream begins."""
        self.exchanges += 1
        exchange_id = next(self.ids)
        return Session(self, stream, ExchangeMachine(self.chain, exchange_id, self.terms))

    def _answer_at_once(self, data: bytes) -> bytes | Callable[[Stream], Session] | None:
        try:
            said = decode_headers(data)
        except PeerError:
            return None  # whoever is given it next finds out again, and says so
        if said is None:
            return None
        exchange_id = next(self.ids)
        try:
            answer = answer_at_once(self.chain, self.terms, exchange_id, said, len(data))
        except Exception as error:  # noqa: BLE001 (whatever it is, the stream must not end cleanly)
            answer = ExchangeMachine(self.chain, exchange_id, self.terms)
            answer.begun = failing(error)
        if answer is None:
            return None
        self.exchanges += 1
        if isinstance(answer, ExchangeMachine):
            return partial(Session, self, machine=answer)
        return answer.encoded[0] if answer.encoded else encode(answer)

    def totals(self) -> dict[str, int]:
        """What sessions have come to so far, as `Front.totals` has it."""
        return {"exchanges": self.exchanges, "stalls": self.watchdog.stalls, "bodies_refused": self.bodies.refused}

    def gauges(self) -> dict[str, int]:
        """What sessions hold just now, as `Front.gauges` has it."""
        return {"body_bytes": self.bodies.held, "hooks_given_up": self.chain.threads.given_up}

    async def aclose(self) -> None:
        """Cancels the hooks that are still running, and waits until every exchange has completed."""
        for session in set(self._running.values()):
            session.cancel()
        while self._running:
            await asyncio.wait(self._running)

    def run(
        self,
        session: Session,
        work: Coroutine[Any, Any, None],
        then: Callable[[asyncio.Task[None]], object] = lambda _: None,
    ) -> asyncio.Task[None]:
        """Runs what a session has to wait for, and tells when it has ended."""
        task = asyncio.get_running_loop().create_task(work)
        self._running[task] = session
        task.add_done_callback(then)
        task.add_done_callback(self._running.pop)
        return task


class Session:
    """One stream: hand it what the peer says; it answers through its `Stream`.

    Attributes:
        over: the stream has been ended, or is gone.
    """

    __slots__ = ("_busy", "_completing", "_finished", "_machine", "_service", "_stream", "_watch", "over")

    _busy: Mapping[Direction, _Lane]
    _watch: ExchangeObserver | None

    def __init__(self, service: Service, stream: Stream, machine: ExchangeMachine) -> None:
        """Begins an exchange, or goes on with one."""
        observer = service.observer
        self.over = self._finished = self._completing = False
        self._service = service
        self._stream = stream
        self._machine = machine
        self._watch = None if observer is None else observer.begin(machine.exchange.id)
        self._busy = _NOT_BUSY

    def receive(self, data: bytes) -> None:
        """Takes one serialized ``ProcessingRequest``."""
        size = len(data)
        if size >= LARGE and (piece := large_piece((data,), size)) is not None:
            self._receive_piece(piece, size)
            return
        if self.over:
            self._stream.consumed(size)
            return
        try:
            message = decode(data)
        except PeerError as error:
            _logger.error("exchange %s: %s", self._machine.exchange.id, error)  # noqa: TRY400 (the peer's fault)
            self._stream.consumed(size)
            self._break_off(Abort(error.code, error.reason))
            return
        if message is None:
            self._stream.consumed(size)
            return
        self._accept(message, size)

    def receive_parts(self, parts: Sequence[AnyBytes], size: int) -> None:
        """Takes one of `size` bytes, in any number of parts; they are not looked at later."""
        piece = large_piece(parts, size) if size >= LARGE else None
        if piece is None:
            self.receive(b"".join(parts))
        else:
            self._receive_piece(piece, size)

    def finish(self) -> None:
        """The peer has no more to say: the stream ends when everything is answered."""
        self._finished = True
        self._rest()

    def cancel(self) -> None:
        """The stream is gone: nothing more is sent, and hooks that are running are cancelled."""
        self._leave()

    # Work

    def _receive_piece(self, piece: tuple[Phase, bytes, bool], size: int) -> None:
        """Takes what `large_piece` has found, in one go if that goes."""
        phase, data, end = piece
        if not (end or self._busy) and self._watch is None and self._flow(phase, data, size):
            return
        if self.over:
            self._stream.consumed(size)
            return
        self._accept(Message(phase, [], data, end, size=size), size)

    def _accept(self, message: Message, size: int) -> None:
        lane = self._busy.get(message.phase.direction) if self._busy else None
        if lane is not None:
            lane.queue.append((message, size))
        elif self._take(message, size) and self._finished:
            self._rest()

    def _flow(self, phase: Phase, data: bytes, size: int) -> bool:
        """Deals with another piece of a body in one go; if that does not go, the machine is to be given it."""
        body = flowing(self._machine, phase)
        if body is None:
            return False
        try:
            out = body.take(data)
        except Exception as error:  # noqa: BLE001 (as in `_take`)
            self._fail(size, error)
            return True
        if out is None:
            return False
        stream = self._stream
        if out is data and not body.carried:
            stream.send(_UNCHANGED[phase])
        else:
            stream.send(before_body(phase, len(out), carried=body.carried), out)
        stream.consumed(size)
        blocked = stream.writable()
        if blocked is not None:
            self._wait(phase.direction, self._unblocked(blocked))
        return True

    def _take(self, message: Message, size: int) -> bool:
        """Processes a message as far as that goes without waiting; whether it is done."""
        answers: Sequence[Output] = ()
        emit = self._emit
        if self._watch is not None:
            answers = []
            emit = partial(self._emit_watched, answers)
        try:
            steps = self._machine.begin(message, emit)
            waited = None if steps is None else next(steps)
        except StopIteration:
            steps = waited = None
        except Exception as error:  # noqa: BLE001 (whatever it is, the stream must not end cleanly)
            self._fail(size, error)
            return True
        if steps is not None and waited is not None:
            work = self._work(message, size, steps, waited, answers)
            self._wait(message.phase.direction, work).current = (steps, size)
            return False
        self._done(message, size, answers)
        blocked = self._stream.writable() if message.body and not self.over else None
        if blocked is None:
            return True
        self._wait(message.phase.direction, self._unblocked(blocked))
        return False

    def _wait(self, direction: Direction, work: Coroutine[Any, Any, None]) -> _Lane:
        """Lets one direction wait in a task; its next messages queue up."""
        lane = _Lane()
        self._busy = {**self._busy, direction: lane}
        lane.task = self._service.run(self, work, partial(self._waited, direction, lane))
        return lane

    async def _work(
        self, message: Message, size: int, steps: Steps[None], waited: Awaitable[Any], answers: Sequence[Output]
    ) -> None:
        """Goes on with a message that has to wait for a hook."""
        lane, now = self._busy[message.phase.direction], self._machine.exchange.now
        try:
            await go_on(steps, waited)
        except Exception as error:  # noqa: BLE001 (as in `_take`)
            lane.current = None
            self._fail(size, error)
            return
        lane.current = None
        self._done(message, size, answers, now)
        blocked = self._stream.writable() if message.body and not self.over else None
        if blocked is not None:
            await blocked

    async def _unblocked(self, blocked: Awaitable[None]) -> None:
        await blocked

    def _waited(self, direction: Direction, lane: _Lane, task: asyncio.Task[None]) -> None:
        """A task has ended: goes on with what came meanwhile."""
        if lane.current is not None:  # it was cancelled, perhaps before it began
            steps, size = lane.current
            steps.close()
            self._stream.consumed(size)
        if not self.over and (task.cancelled() or task.exception() is not None):
            self._break_off(Abort("UNAVAILABLE", "extproc.cancelled"))  # the loop is being shut down
        self._busy = {other: lane for other, lane in self._busy.items() if other is not direction}
        while lane.queue:
            message, size = lane.queue.popleft()
            if self.over:
                self._stream.consumed(size)
            elif not self._take(message, size):
                self._busy[direction].queue.extend(lane.queue)
                return
        if not self._busy and (self.over or self._finished):
            self._rest()

    def _done(self, message: Message, size: int, answers: Sequence[Output], now: float | None = None) -> None:
        """A message has had all its answers; `now`: when it came, if others have come since."""
        self._stream.consumed(size)
        if self._watch is not None:
            try:
                self._watch.message(message, tuple(answers), self._machine.exchange.now if now is None else now)
            except Exception as error:  # noqa: BLE001 (a broken observer is no reason to fail an exchange)
                self._blind(error)
        if self._machine.over and not self.over:
            self.over = True
            self._stream.end("OK", "")
        if self.over:
            self._leave()

    def _fail(self, size: int, error: Exception) -> None:
        """Something of ours is broken: a clean end would let the exchange pass unprocessed."""
        _logger.error("exchange %s: the processor itself failed", self._machine.exchange.id, exc_info=error)
        self._stream.consumed(size)
        self._break_off(Abort("INTERNAL", "extproc.internal"))

    # Answers

    def _emit(self, answer: Output) -> Awaitable[None] | None:
        """Sends an answer; gives what to wait for before another piece of a reply is sent."""
        if self.over:
            return None
        if isinstance(answer, Continue):
            if answer.encoded:
                self._stream.send(answer.encoded[0])
            else:
                self._stream.send(*encode_apart(answer))
            return None
        if isinstance(answer, Abort):
            self._end(answer.code, answer.reason)
            return None
        self._stream.send(*encode_apart(answer))
        return self._stream.writable() if isinstance(answer, ReplyBody) else None

    def _emit_watched(self, answers: list[Output], answer: Output) -> Awaitable[None] | None:
        answers.append(answer)
        return self._emit(answer)

    # Ends

    def _rest(self) -> None:
        """The peer has said everything; ends the stream unless something waits for its answer."""
        if not self._busy:
            if not self.over:
                code, reason = ("INTERNAL", "extproc.unanswered") if self._machine.owes else ("OK", "")
                self._end(code, reason)
            self._complete()

    def _break_off(self, abort: Abort) -> None:
        if not self.over:
            self._machine.break_off(abort)
            if self._machine.exchange.watched:
                self._end("OK", "")  # an error would cost the client its exchange, of which this one only saw a copy
            else:
                self._end(abort.code, abort.reason)
        self._leave()

    def _end(self, code: str, reason: str) -> None:
        self.over = True
        self._stream.end(code, reason)

    def _leave(self) -> None:
        """Nothing more is sent: stops what is under way, then completes the exchange."""
        self.over = True
        if not self._busy:
            self._complete()
            return
        own = asyncio.current_task()
        for lane in self._busy.values():
            if lane.task is not own:
                lane.task.cancel()

    def _complete(self) -> None:
        """Runs `on_complete` of the filters, once."""
        if self._completing:
            return
        self._completing = True
        if not self._service.chain.completions:
            self._machine.end()
            if self._watch is not None:
                self._completed()
            return
        steps = self._machine.finish()
        try:
            waited = next(steps)
        except StopIteration:
            self._completed()
        else:
            _ = self._service.run(self, self._finish_completing(steps, waited))

    async def _finish_completing(self, steps: Steps[bool], waited: Awaitable[Any]) -> None:
        try:
            await go_on(steps, waited)
        finally:
            self._completed()

    def _completed(self) -> None:
        if self._watch is not None:
            try:
                self._watch.end(self._machine.exchange, self._machine.events or [])
            except Exception as error:  # noqa: BLE001 (a broken observer is no reason to fail an exchange)
                self._blind(error)

    def _blind(self, error: Exception) -> None:
        """The observer has failed and is told no more."""
        self._watch = None
        _logger.error("exchange %s: its observer failed", self._machine.exchange.id, exc_info=error)


class _Lane:
    """A direction that waits.

    Attributes:
        task: does the waiting.
        current: the message that a hook is busy with: its steps, its size; None: it has been dealt with.
        queue: the messages that came meanwhile.
    """

    __slots__ = ("current", "queue", "task")

    task: asyncio.Task[None]

    def __init__(self) -> None:
        self.current: tuple[Steps[None], int] | None = None
        self.queue: deque[tuple[Message, int]] = deque()


def _exchange_ids() -> Iterator[str]:
    """Ids that are unique across processes, and cheap: a random prefix and a count."""
    return map(f"{secrets.token_hex(5)}-%d".__mod__, itertools.count(1))
