"""Random chains of random filters, and an Envoy that holds a random legal conversation with them."""

from __future__ import annotations

import asyncio
import itertools
import random
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any, TypeAlias

from hypothesis import strategies as st

from extproc import Chain, Exchange, Headers, Phase, Response, Use
from extproc.messages import Answer, Continue, Message, Protocol, RawHeaders
from extproc.phases import BodyMode, Direction, Part
from tests.acting import acting_with
from tests.envoy_side import apply

__all__ = ["SCENARIOS", "Envoy", "Invocation", "Journal", "Scenario"]

OURS = frozenset({"ours"})


# What a filter does


@dataclass(frozen=True)
class Script:
    """What a hook does, each time it is called."""

    edits: tuple[str, ...]
    ending: str
    asynchronous: bool


ScriptedFilter: TypeAlias = tuple[dict[str, Script], str, dict[str, Any] | None, float | None]
"""The script of each hook, the failure policy, the condition, the timeout."""

ENDINGS = (
    *["go on"] * 40,
    *["respond", "respond shared", "respond under way", "respond 304"],
    *["raise", "garbage", "hang", "cancelled", "timeout"],
)
SHARED = Response(429, "shared", {"x-shared": "constant"}, details="shared")
"""One object for all exchanges."""


@dataclass
class Invocation:
    """One call of a hook."""

    number: int
    link: str
    hook: str
    failed: bool = False

    @property
    def mark(self) -> str:
        """Stands in everything it edits."""
        return f"mark{self.number}."


@dataclass
class Journal:
    """Every call of every hook, in order."""

    calls: list[Invocation] = field(default_factory=list[Invocation])

    def hook(self, link: str, name: str, script: Script) -> Any:
        """A hook that follows its script and notes what became of it."""

        def begin() -> Invocation:
            call = Invocation(len(self.calls), link, name)
            self.calls.append(call)
            return call

        def act(exchange: Exchange, *chunk: bytes) -> Any:
            call = begin()
            try:
                for edit in script.edits:
                    perform(edit, exchange, call.mark)
                return end(script.ending, exchange, call.mark)
            except BaseException:
                call.failed = True
                raise

        async def act_later(exchange: Exchange, *chunk: bytes) -> Any:
            call = begin()
            try:
                for edit in script.edits:
                    await asyncio.sleep(0.001)
                    perform(edit, exchange, call.mark)
                if script.ending == "hang":
                    await asyncio.Event().wait()
                return end(script.ending, exchange, call.mark)
            except BaseException:
                call.failed = True
                raise

        return act_later if script.asynchronous else act


Edit: TypeAlias = Callable[[Exchange, Any, Headers, str], Any]
"""Edits an exchange: the half that the phase is about, that half's headers (or trailers), all with a mark."""

EDITS: dict[str, Edit] = {
    "set new": lambda x, half, fields, mark: fields.update({f"x-{mark}": mark}),
    "set shared": lambda x, half, fields, mark: fields.update({"x-shared": mark}),
    "add shared": lambda x, half, fields, mark: fields.add("x-shared", mark),
    "remove shared": lambda x, half, fields, mark: fields.pop("x-shared", None),
    "remove all": lambda x, half, fields, mark: fields.clear(),
    "many": lambda x, half, fields, mark: fields.update({f"x-{mark}{n}": mark for n in range(20)}),
    "too large": lambda x, half, fields, mark: fields.update({"x-large": mark + "a" * 900}),
    "framing": lambda x, half, fields, mark: fields.update({"content-length": "3"}),
    "bad value": lambda x, half, fields, mark: fields.update({"x-bad": f"{mark}\r\n"}),
    "path": lambda x, half, fields, mark: setattr(x.request, "path", f"/{mark}"),
    "path illegal": lambda x, half, fields, mark: setattr(x.request, "path", f"/ {mark}"),
    "method": lambda x, half, fields, mark: setattr(x.request, "method", f"X-{mark.upper()}"),
    "status": lambda x, half, fields, mark: setattr(x.response, "status", 299),
    "no content": lambda x, half, fields, mark: setattr(x.response, "status", 204),
    "body": lambda x, half, fields, mark: setattr(half, "body", mark * 3),
    "no body": lambda x, half, fields, mark: setattr(half, "body", b""),
    "metadata": lambda x, half, fields, mark: x.metadata.emit("ours", {mark: 1}),
    "metadata illegal": lambda x, half, fields, mark: x.metadata.emit("theirs", {mark: 1}),
    "route": lambda x, half, fields, mark: x.clear_route_cache(),
    "details": lambda x, half, fields, mark: setattr(x.response, "details", mark),
    "grpc status": lambda x, half, fields, mark: setattr(x.response, "grpc_status", 7),
    "other half": lambda x, half, fields, mark: x.request.headers.update({"x-late": mark}),
}


HARMLESS = ("set new", "set shared", "add shared", "remove shared", "body", "metadata")
"""Legal in most phases, so that most hooks do something."""
ON_RESPONSES = ("status", "no content")


def perform(edit: str, exchange: Exchange, mark: str) -> None:
    """One edit; it raises where it is illegal, as it would in any filter."""
    assert exchange.phase is not None
    half: Any = exchange.request if exchange.phase.direction is Direction.REQUEST else exchange.response
    EDITS[edit](exchange, half, half.trailers if exchange.phase.part is Part.TRAILERS else half.headers, mark)


def end(ending: str, exchange: Exchange, mark: str) -> Any:
    """What a hook gives back."""
    match ending:
        case "respond":
            return Response(403, mark, [("x-own", mark), ("x-own", mark)])
        case "respond 304":
            return Response(304)
        case "respond shared":
            return SHARED
        case "respond under way":
            return exchange.response
        case "raise":
            raise LookupError(mark)
        case "garbage" | "hang":
            return {"hang": None, "garbage": mark}[ending]
        case "cancelled":
            raise asyncio.CancelledError
        case "timeout":
            raise TimeoutError
        case _:
            return None


# What Envoy says


@dataclass(frozen=True)
class Half:
    """One direction of an exchange, and what Envoy shows of it."""

    shown: bool
    """Envoy asks about its headers."""
    pieces: tuple[bytes, ...] | None
    """None: there is no body."""
    trailers: bool
    length: bool
    """Framed by content-length."""
    mode: BodyMode


@dataclass(frozen=True)
class Scenario:
    """A chain and a conversation."""

    filters: tuple[ScriptedFilter, ...]
    request: Half | None
    response: Half | None
    method: str
    status: int
    early: int
    """After how many messages of the request the response begins."""
    cut: int
    """After how many messages the stream breaks off."""
    told: bool
    """Envoy says how it sends bodies."""
    watching: bool

    def chain(self, journal: Journal) -> Chain:
        """The chain, whose filters write into `journal`."""
        uses: list[Use] = []
        for number, (scripts, policy, when, timeout) in enumerate(self.filters):
            name = f"f{number}"
            hooks = {hook: journal.hook(name, hook, script) for hook, script in scripts.items()}
            filter_ = acting_with(
                hooks, metadata_out=OURS, requires=frozenset({"routing"}) if number % 2 else frozenset()
            )
            uses.append(Use(filter_, name=name, on_error=policy, when=when, timeout=timeout))  # type: ignore[arg-type]
        return Chain(uses, timeout=1)


class Envoy:
    """Envoy's side: what it has of the exchange, and what it says next."""

    def __init__(self, scenario: Scenario) -> None:
        self.scenario = scenario
        self.headers: dict[Direction, RawHeaders] = {Direction.REQUEST: [], Direction.RESPONSE: []}
        self.replaced: set[Direction] = set()
        self.modes = {
            Direction.REQUEST: scenario.request.mode if scenario.request else BodyMode.NONE,
            Direction.RESPONSE: scenario.response.mode if scenario.response else BodyMode.NONE,
        }

    def messages(self) -> Iterator[Message]:
        """What it says; it takes notice of answers in between."""
        there = list(self._half(Direction.REQUEST, self.scenario.request))
        back = list(self._half(Direction.RESPONSE, self.scenario.response))
        at = min(self.scenario.early, len(there))
        every = [*there[:at], *back[:1], *there[at:], *back[1:]]
        said = 0
        for message in itertools.islice(every, self.scenario.cut):
            if message.phase.part is not Part.HEADERS and message.phase.direction in self.replaced:
                continue
            said += 1
            yield self._first(message) if said == 1 else message

    def take(self, message: Message, answer: Answer | None) -> None:
        """Does what an answer says."""
        direction = message.phase.direction
        if message.phase.part is Part.HEADERS:
            self.headers[direction] = list(message.headers)
        if isinstance(answer, Continue) and message.phase.part is not Part.TRAILERS:
            self.headers[direction] = apply(self.headers[direction], answer.set_headers, answer.remove_headers)
            if answer.replace:
                self.replaced.add(direction)
                self.headers[direction] = [item for item in self.headers[direction] if item[0] != "content-length"]

    def _first(self, message: Message) -> Message:
        protocol = (
            Protocol(self.modes[Direction.REQUEST], self.modes[Direction.RESPONSE])
            if self.scenario.told and not self.scenario.watching
            else None
        )
        return Message(
            message.phase,
            message.headers,
            message.body,
            message.end_of_stream,
            protocol=protocol,
            observability=message.observability,
        )

    def _half(self, direction: Direction, half: Half | None) -> Iterator[Message]:
        if half is None:
            return
        watching = self.scenario.watching
        phases = {part: Phase(f"{direction.value}_{part.name.lower()}") for part in Part}
        if half.shown:
            end = half.pieces is None and not half.trailers
            yield Message(phases[Part.HEADERS], self._raw(direction, half), end_of_stream=end, observability=watching)
        for content, last in self._bodies(half):
            yield Message(
                phases[Part.BODY], body=content, end_of_stream=last and not half.trailers, observability=watching
            )
        if half.trailers:
            yield Message(phases[Part.TRAILERS], [("x-shared", b"trailer")], end_of_stream=True, observability=watching)

    def _bodies(self, half: Half) -> Iterator[tuple[bytes, bool]]:
        if half.pieces is None or half.mode is BodyMode.NONE:
            return
        if half.mode in (BodyMode.BUFFERED, BodyMode.BUFFERED_PARTIAL) and not self.scenario.watching:
            yield b"".join(half.pieces), True
            return
        for number, piece in enumerate(half.pieces, 1):
            yield piece, number == len(half.pieces)

    def _raw(self, direction: Direction, half: Half) -> RawHeaders:
        headers: RawHeaders = [("x-shared", b"1"), ("x-shared", b"2"), ("x-other", b"3")]
        if half.length:
            headers.append(("content-length", b"%d" % len(b"".join(half.pieces or ()))))
        if direction is Direction.RESPONSE:
            return [(":status", b"%d" % self.scenario.status), *headers]
        pseudo = {":method": self.scenario.method, ":scheme": "http", ":authority": "a.example", ":path": "/a?q"}
        return [*((name, value.encode()) for name, value in pseudo.items()), *headers]


# Strategies
#
# A filter and a half are drawn as one number each: drawn field by field, drawing would take longer than the exchange.

HOOKS = [f"on_{phase.value}" for phase in Phase]
QUIET = Script((), "go on", asynchronous=False)


def some_filter(seed: int) -> ScriptedFilter:
    """One of endlessly many filters, most of them with hooks that do something."""
    choose = random.Random(seed)
    scripts = {
        hook.replace("body", choose.choice(["body", "chunk"])): Script(
            tuple(
                choose.choices([*EDITS, *HARMLESS * 4, *ON_RESPONSES * 4 * ("response" in hook)], k=choose.randrange(5))
            ),
            choose.choice(ENDINGS),
            asynchronous=choose.random() < 0.5,
        )
        for hook in choose.sample(HOOKS, choose.randint(1, 5))
    }
    condition = choose.choice([None, None, {"path": "/a"}, {"path": "/mark*"}, {"not": {"path": "/a"}}])
    return scripts | {"on_complete": QUIET}, choose.choice(["deny", "skip"]), condition, choose.choice([None, 0.5])


def some_half(seed: int) -> Half | None:
    """A direction, most often there, shown, and buffered."""
    choose = random.Random(seed)
    if choose.random() < 0.1:
        return None
    pieces = [choose.randbytes(choose.randrange(4)) for _ in range(choose.randint(1, 3))]
    return Half(
        shown=choose.random() < 0.85,
        pieces=tuple(pieces) if choose.random() < 0.7 else None,
        trailers=choose.random() < 0.4,
        length=choose.random() < 0.5,
        mode=choose.choice([BodyMode.BUFFERED] * 12 + list(BodyMode)),
    )


SEEDS = st.integers(0, 10**9)
SCENARIOS = st.builds(
    Scenario,
    filters=st.lists(SEEDS.map(some_filter), min_size=1, max_size=4).map(tuple),
    request=SEEDS.map(some_half),
    response=SEEDS.map(some_half),
    method=st.sampled_from(["GET", "POST", "HEAD"]),
    status=st.sampled_from([200, 200, 204, 304, 500]),
    early=st.integers(1, 4),
    cut=st.sampled_from([9, 9, 9, 1, 2, 3]),
    told=st.sampled_from([True, True, True, False]),
    watching=st.sampled_from([False] * 19 + [True]),
)
