"""`BodyPipeline`: a body on its way through the filters that want it, whole or in pieces, however it comes.

Pieces flow from filter to filter. One that wants the body whole is a dam: what those before it make of the pieces
gathers there, and flows on when the body has ended and the filter has seen it. So a decision hangs on the body alone,
and never on where it was cut.
"""

from __future__ import annotations

# The exchange and its parts are one unit: their underscore means "not for filters".
# pyright: reportPrivateUsage=false
from typing import TYPE_CHECKING

from extproc.driving import settled
from extproc.errors import BudgetError, PhaseError
from extproc.hooks import failed, run, run_chunk

if TYPE_CHECKING:
    from collections.abc import Callable

    from extproc.budget import Budget
    from extproc.chain import Step
    from extproc.driving import Steps
    from extproc.exchange import Exchange
    from extproc.hooks import Verdict
    from extproc.lane import Stage

__all__ = ["BodyPipeline"]

_SMALL = 1024
"""Bytes that are copied rather than kept as an object of their own."""


class BodyPipeline:
    """One body.

    Attributes:
        ended: all of it has been pushed in.
        in_pieces: all filters that want it take it so.
    """

    def __init__(self, exchange: Exchange, steps: list[Step], budget: Callable[[], Budget]) -> None:
        """Nothing has come yet.

        Args:
            exchange: whose.
            steps: the hooks, in order.
            budget: what bodies that are held count in.
        """
        self.ended = False
        self._exchange = exchange
        self._valves = [_Valve(step) for step in steps]
        self._budget = budget
        self.in_pieces = all(step.chunked for step in steps)
        self._fed = False  # some of the body has come
        self._out: list[bytes] = []

    @property
    def waits(self) -> bool:
        """Whether some filter waits for the whole body, so that nothing comes out before its end."""
        return not self.ended and any(not valve.step.chunked for valve in self._active())

    @property
    def keeps(self) -> bool:
        """Whether the body is kept, for later hooks to read: one that only flows by is not."""
        return not self.in_pieces

    def push(self, stage: Stage, data: bytes, *, end: bool) -> Verdict | Steps[Verdict]:
        """Takes a piece of the body, of any size, or the last of it: right here, where that goes without waiting."""
        self.ended = end
        if data and self.in_pieces and not end:  # as nearly always
            return self.put(self.pass_on(stage, data))
        self._fed = self._fed or bool(data)
        return self._push(stage, self._valves, data, end=end)

    def pass_on(self, stage: Stage, piece: bytes) -> bytes | Steps[Verdict]:
        """Gives a piece, neither empty nor the last, to filters that all take pieces: what comes out is to be `put`."""
        self._fed = True
        exchange = self._exchange
        for number, valve in enumerate(self._valves):
            step = valve.step
            if step.link.index in exchange._off:
                continue
            outcome = run_chunk(exchange, stage, step, piece, intact=valve.intact)
            if not isinstance(outcome, bytes):
                return self._pass_on_later(stage, number, piece, outcome)
            valve.intact = valve.intact and outcome == piece
            piece = outcome
            if not piece:
                break
        return piece

    def _pass_on_later(
        self, stage: Stage, number: int, piece: bytes, outcome: Verdict | bytes | Steps[Verdict | bytes]
    ) -> Steps[Verdict]:
        result = yield from settled(outcome)
        if not isinstance(result, bytes):
            return result
        valve = self._valves[number]
        valve.intact = valve.intact and result == piece
        return (yield from self._push(stage, self._valves[number + 1 :], result, end=False))

    def put(self, outcome: bytes | Steps[Verdict]) -> Steps[Verdict] | None:
        """Keeps what has come out, for `take`; what has to wait does so by itself."""
        if not isinstance(outcome, bytes):
            return outcome
        self._out.append(outcome)
        return None

    def _push(self, stage: Stage, valves: list[_Valve], data: bytes, *, end: bool) -> Steps[Verdict]:
        off = self._exchange._off
        for valve in valves:
            if valve.step.link.index in off:
                data = valve.out = self._release(valve, data)
                continue
            if valve.step.chunked:
                verdict = yield from self._flow(stage, valve, data, end=end)
            else:
                verdict = yield from self._gather(stage, valve, data, end=end)
            if verdict is not None:
                return verdict
            if valve.shut:
                return None
            data = valve.out
        if data:
            self._out.append(data)
        return None

    def take(self) -> bytes:
        """What has come out at the other end since this was last asked."""
        out = b"".join(self._out)
        self._out.clear()
        return out

    def refuse(self, stage: Stage, sentence: str) -> Verdict:
        """The body does not come as it should: whoever wants it fails, by its policy."""
        for valve in self._active():
            verdict = failed(self._exchange, stage, valve.step.link, PhaseError(sentence))
            if verdict is not None:
                return verdict
        return None

    def strand(self, stage: Stage) -> Verdict:
        """What has just come out can go nowhere: whoever held it back has failed; there is no going on without it."""
        holder = next(valve for valve in self._valves if valve.out)
        error = PhaseError(
            f"{stage.side.__class__.__name__.lower()} trailers follow, and Envoy takes no more of the body then: "
            "with body mode FULL_DUPLEX_STREAMED it would"
        )
        return failed(self._exchange, stage, holder.step.link, error, final=self._fed)

    def _active(self) -> list[_Valve]:
        off = self._exchange._off
        return [valve for valve in self._valves if valve.step.link.index not in off]

    def _flow(self, stage: Stage, valve: _Valve, data: bytes, *, end: bool) -> Steps[Verdict]:
        out: list[bytes] = []
        for chunk in _pieces(data, end=end):
            outcome = run_chunk(self._exchange, stage, valve.step, chunk, intact=valve.intact)
            result = yield from settled(outcome)
            if not isinstance(result, bytes):
                return result
            valve.intact = valve.intact and result == chunk
            out.append(result)
            if valve.step.link.index in self._exchange._off:
                out = [data]  # it failed and may be left out
                break
        valve.out = out[0] if len(out) == 1 else b"".join(out)
        return None

    def _gather(self, stage: Stage, valve: _Valve, data: bytes, *, end: bool) -> Steps[Verdict]:
        try:
            if data:
                self._budget().take(len(data))
                valve.held += len(data)
        except BudgetError as error:
            verdict = failed(self._exchange, stage, valve.step.link, error)
            valve.out = self._release(valve, data)
            return verdict
        valve.shut = not end
        if not end:
            valve.gather(data)
            return None
        stage.side._body = b"".join((*valve.parts, data)) if valve.parts else data
        verdict = yield from run(self._exchange, stage, (valve.step,))
        self._release(valve, b"")
        valve.out = stage.side._body
        return verdict

    def _release(self, valve: _Valve, data: bytes) -> bytes:
        """What was gathered, and `data`; it is no longer held."""
        if not valve.held:
            return data
        self._budget().give(valve.held)
        gathered = b"".join((*valve.parts, data))
        valve.held, valve.shut = 0, False
        valve.parts.clear()
        return gathered


class _Valve:
    """A filter's place in the pipeline.

    Attributes:
        step: its hook.
        intact: what it has given on is what it was given.
        shut: it gathers, and gives nothing on for now.
        parts: what it has gathered.
        held: how many bytes of it count in the budget.
        out: what it has just given on.
    """

    __slots__ = ("held", "intact", "out", "parts", "shut", "step")

    def __init__(self, step: Step) -> None:
        self.step = step
        self.intact = True
        self.shut = False
        self.parts: list[bytes] = []
        self.held = 0
        self.out = b""

    def gather(self, data: bytes) -> None:
        """Keeps a piece; small ones together, or each would take many times the memory that counts in the budget."""
        if self.parts and len(self.parts[-1]) + len(data) <= _SMALL:
            self.parts[-1] += data
        else:
            self.parts.append(data)


def _pieces(data: bytes, *, end: bool) -> tuple[bytes, ...]:
    """What a hook is called with: never an empty piece but at the end."""
    if end:
        return (data, b"") if data else (b"",)
    return (data,) if data else ()
