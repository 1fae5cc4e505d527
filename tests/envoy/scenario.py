"""`Scenario`: one exchange as data, and how to write one down."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, TypeAlias

from extproc.chain import Chain
from extproc.envoy.model import Context, ExtProcConfig, HttpMessage, MutationRules, ProcessingMode
from extproc.envoy.model.per_route import routed
from extproc.machine import ExchangeMachine
from extproc.messages import Abort, Message, RawHeaders
from extproc.phases import BodyMode, Part, Phase
from extproc.wire import encode
from extproc.wire.ext_proc_pb2 import ProcessingResponse
from tests.envoy.answers import stream
from tests.envoy.listeners import Setting
from tests.envoy.moves import Move, whole
from tests.envoy.raw_processor import Action, Behaviour, unchanged

RQH, RQB, RQT = Phase.REQUEST_HEADERS, Phase.REQUEST_BODY, Phase.REQUEST_TRAILERS
RSH, RSB, RST = Phase.RESPONSE_HEADERS, Phase.RESPONSE_BODY, Phase.RESPONSE_TRAILERS

PATIENT = 10.0
"""Seconds; so long that Envoy's timer never fires under load."""


def config(
    phases: str = "headers",
    *,
    body: BodyMode = BodyMode.BUFFERED,
    rules: MutationRules | None = None,
    timeout: float = PATIENT,
    **settings: Any,
) -> ExtProcConfig:
    """A configuration that asks for some phases: headers, bodies (in the mode `body`), trailers, or by their names."""
    wanted = {phase for word in phases.split() for phase in _PHASES[word]}
    return ExtProcConfig(
        mode=ProcessingMode(
            request_headers=RQH in wanted,
            response_headers=RSH in wanted,
            request_body=body if RQB in wanted else BodyMode.NONE,
            response_body=body if RSB in wanted else BodyMode.NONE,
            request_trailers=RQT in wanted,
            response_trailers=RST in wanted,
        ),
        rules=rules or MutationRules(),
        message_timeout=timeout,
        **settings,
    )


_PHASES: dict[str, list[Phase]] = {
    "headers": [RQH, RSH],
    "bodies": [RQB, RSB],
    "trailers": [RQT, RST],
    "all": list(Phase),
} | {phase.value: [phase] for phase in Phase}


HEADERS = config()
BODIES = config("headers bodies")
ALL = config("all")


def get(path: str = "/a", *headers: tuple[str, bytes], method: str = "GET") -> HttpMessage:
    """A request without a body, as it is at the filter."""
    return HttpMessage(_request(method, path, headers))


def post(
    body: bytes = b"hello",
    *headers: tuple[str, bytes],
    chunked: bool = False,
    trailers: RawHeaders | None = None,
) -> HttpMessage:
    """A request with a body: with a content-length, or in chunks."""
    counted = not chunked and trailers is None
    length = [("content-length", b"%d" % len(body))] if counted else []
    chunks = () if counted and not body else (body,)
    return HttpMessage(_request("POST", "/a", [*length, *headers]), chunks, trailers)


def _request(method: str, path: str, headers: Sequence[tuple[str, bytes]]) -> RawHeaders:
    line = [(":authority", b"ex"), (":path", path.encode()), (":method", method.encode()), (":scheme", b"http")]
    return [*line, *headers, ("x-forwarded-proto", b"http")]


def reply(
    status: int = 200,
    *headers: tuple[str, bytes],
    body: bytes = b"ok",
    chunked: bool = False,
    trailers: RawHeaders | None = None,
) -> HttpMessage:
    """A response of the upstream, as it is at the filter."""
    line = [(":status", b"%d" % status)]
    if chunked or trailers is not None:
        return HttpMessage([*line, *headers, ("transfer-encoding", b"chunked")], (body,), trailers)
    return HttpMessage([*line, ("content-length", b"%d" % len(body)), *headers], (body,) if body else ())


def split(message: HttpMessage, size: int) -> HttpMessage:
    """The message with a body in pieces of so many bytes."""
    body = message.body
    return replace(message, chunks=tuple(body[start : start + size] for start in range(0, len(body), size)))


TRAILED_POST = post(trailers=[("x-t", b"1")])
TRAILED_REPLY = reply(body=b"hello", trailers=[("x-t", b"1")])


Doing: TypeAlias = "Sequence[Action] | Turns | Callable[[Message], Sequence[Action]]"
"""What is done about a message: always the same, each time something else, or what comes of the message."""

Script: TypeAlias = Mapping[Phase, Doing]
"""What a processor does about the messages of a phase. Phases that are not in it are continued unchanged."""


@dataclass(frozen=True)
class Turns:
    """What is done about the first message of a phase, the second, and so on; None, and then: they go on unchanged."""

    turns: tuple[Sequence[Action] | None, ...]


@dataclass(frozen=True)
class Second:
    """A second ext_proc filter, nearer to the upstream, with a processor of its own."""

    config: ExtProcConfig = HEADERS
    script: Script = field(default_factory=dict[Phase, Doing])


_NOTHING_MORE = Context()


@dataclass(frozen=True)
class Scenario:
    """One exchange: what comes in, how Envoy is configured, what the processor does."""

    name: str
    config: ExtProcConfig = HEADERS
    script: Script = field(default_factory=dict[Phase, Doing])
    request: HttpMessage = field(default_factory=get)
    response: HttpMessage = field(default_factory=reply)
    chain: Chain | None = None
    """Instead of a script: what our own machine makes of these filters."""
    moves: tuple[Move, ...] | None = None
    """In which order all this happens; None: the whole request at once, then the whole response."""
    http2: bool = False
    """Client and upstream speak HTTP/2."""
    context: Context = _NOTHING_MORE
    """What Envoy knows and the messages do not show."""
    more: tuple[tuple[str, Any], ...] = ()
    """Fields of the filter that the model knows nothing of."""
    second: Second | None = None

    @property
    def setting(self) -> Setting:
        """The listener it needs."""
        return Setting(self.config, self.http2, self.more, None if self.second is None else self.second.config)

    @property
    def plan(self) -> tuple[Move, ...]:
        """The moves."""
        return whole() if self.moves is None else self.moves

    def behaviour(self) -> Behaviour:
        """What the processor does in one exchange."""
        if self.chain is not None:
            return _machine(self.chain)
        return scripted(self.script, routed(self.config).mode)

    def second_behaviour(self) -> Behaviour:
        """What the processor of the second filter does."""
        second = self.second or Second()
        return scripted(second.script, routed(second.config).mode)


def on(phase: Phase, *actions: Action) -> Script:
    """A script that does something about one phase."""
    return {phase: actions}


def turns(*sequences: Sequence[Action] | None) -> Turns:
    """Something else each time."""
    return Turns(sequences)


def scripted(script: Script, mode: ProcessingMode | None = None) -> Behaviour:
    """Does what the script says about a phase, and changes nothing where it says nothing."""
    count: Counter[Phase] = Counter()

    async def behave(message: Message) -> Sequence[Action]:
        doing = script.get(message.phase)
        turn, count[message.phase] = count[message.phase], count[message.phase] + 1
        if isinstance(doing, Turns):
            doing = doing.turns[turn] if turn < len(doing.turns) else None
        if doing is None:
            return [_continued(message, mode)]
        return doing(message) if callable(doing) else doing

    return behave


def _continued(message: Message, mode: ProcessingMode | None) -> ProcessingResponse:
    """The answer that changes nothing; where a processor sends bodies itself, it sends what it got."""
    if mode is None or message.phase.part is not Part.BODY:
        return unchanged(message.phase)
    body_mode = mode.request_body if message.phase is RQB else mode.response_body
    if body_mode in (BodyMode.FULL_DUPLEX_STREAMED, BodyMode.GRPC):
        return stream(message.phase, message.body, end=message.end_of_stream)
    return unchanged(message.phase)


def _machine(chain: Chain) -> Behaviour:
    machine = ExchangeMachine(chain, "exchange-1")

    async def behave(message: Message) -> Sequence[Action]:
        answer = await machine.receive(message)
        if answer is None or isinstance(answer, Abort):
            return [] if answer is None else [answer]
        return [ProcessingResponse.FromString(encode(answer))]

    return behave
