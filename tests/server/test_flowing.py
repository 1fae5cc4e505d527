"""Pieces of a body that are dealt with in one go are answered as if each went the long way."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from extproc import Chain, Exchange, Response, Use
from extproc.filter import OnError
from extproc.messages import Message, Output
from extproc.observe import Observer
from extproc.phases import BodyMode
from extproc.server import FrontOptions
from extproc.server.bounds import Bounds
from extproc.server.session import Service, Session
from extproc.timing import Timing
from extproc.trace import Event
from extproc.wire import LARGE
from extproc.wire.ext_proc_pb2 import ProcessingRequest, ProcessingResponse
from tests.acting import acting_with
from tests.jumping_loop import LoopClock, run
from tests.server.test_session import Pipe, settle

HALVES = ("request", "response")
MORE_TIME = Bounds(timing=Timing.extensible(0.2, 5))
"""Envoy may be asked to wait longer, once for each message."""


@pytest.fixture(autouse=True, scope="module")
def quiet() -> Iterator[None]:
    """Hundreds of failures on purpose need not be formatted."""
    logging.disable(logging.CRITICAL)
    yield
    logging.disable(logging.NOTSET)


# What a hook may do with a piece


def fails(exchange: Exchange, chunk: bytes) -> None:
    exchange.metadata.emit("ours", {"half": True})
    raise LookupError


def tells(exchange: Exchange, chunk: bytes) -> None:
    exchange.metadata.emit("ours", {"size": len(chunk)})


async def waits(exchange: Exchange, chunk: bytes) -> bytes:
    await asyncio.sleep(0.001)
    return b"waited" + chunk


async def fails_late(exchange: Exchange, chunk: bytes) -> None:
    await asyncio.sleep(0.001)
    raise LookupError


ACTS: dict[str, Callable[[Exchange, bytes], Any]] = {
    "nothing": lambda x, chunk: None,
    "the same": lambda x, chunk: chunk,
    "a copy": lambda x, chunk: bytes(bytearray(chunk)),
    "a change": lambda x, chunk: b"#" + chunk[1:],
    "nothing left": lambda x, chunk: b"",
    "more": lambda x, chunk: chunk + b"more",
    "more than goes in a piece": lambda x, chunk: chunk + bytes(65 * 1024),
    "when": lambda x, chunk: b"%r" % [x.now, x.deadline, x.remaining, x.phase, x.id],
    "metadata": tells,
    "headers, too late": lambda x, chunk: x.request.headers.__setitem__("x-late", "1"),
    "the body, too late": lambda x, chunk: setattr(x.request, "body", b"late"),
    "another route, too late": lambda x, chunk: x.clear_route_cache(),
    "no more of it": lambda x, chunk: x.skip_body(),
    "an answer": lambda x, chunk: Response(403, "no"),
    "a failure": fails,
    "nonsense": lambda x, chunk: 5,
    "a wait": waits,
    "a late failure": fails_late,
}
PLAIN = ["nothing", "a wait", "the same", "a copy", "a change", "more", "when"]


@dataclass
class Taking:
    """How a filter takes the body of one half: with each piece comes the next act."""

    half: str
    acts: list[str]

    def hook(self, log: list[Any]) -> Callable[[Exchange, bytes], Any]:
        acts = iter(self.acts)

        def take(exchange: Exchange, chunk: bytes) -> Any:
            act = next(acts, "nothing")
            log.append((act, exchange.phase, chunk, exchange.request.headers._sealed, exchange.request._body_sealed))
            return ACTS[act](exchange, chunk)

        return take


@dataclass
class Story:
    """What filters there are, and what Envoy says, in order."""

    takings: Sequence[tuple[Taking, OnError]]
    modes: tuple[BodyMode, BodyMode]
    status: int
    watched: str
    """Whether Envoy says that it only watches: never, at first or always."""
    said: Sequence[tuple[str, str, int, bool, bool]]
    """The half, what comes of it, how much, whether with something beside it, and whether it comes at once."""

    def chain(self, log: list[Any]) -> Chain:
        uses: list[Any] = [acting_with({"on_request_headers": lambda x: None, "on_response_headers": lambda x: None})]
        for taking, on_error in self.takings:
            hooks = {f"on_{taking.half}_chunk": taking.hook(log)}
            uses.append(Use(acting_with(hooks, metadata_out=frozenset({"ours"})), on_error=on_error))
        return Chain(uses, timeout=5)

    def messages(self) -> Iterator[ProcessingRequest]:
        yield self._headers("request", {":method": "POST", ":path": "/", "content-length": "9"})
        answered = False
        for half, what, size, beside, _ in self.said:
            if half == "response" and not answered:
                answered = True
                yield self._headers("response", {":status": str(self.status)})
            message = ProcessingRequest()
            if what == "trailers":
                getattr(message, f"{half}_trailers").SetInParent()
            else:
                part = getattr(message, f"{half}_body")
                part.body, part.end_of_stream = b"x" * size, what == "end"
            if beside:
                message.metadata_context.filter_metadata["theirs"]["size"] = size
            else:
                message.metadata_context.SetInParent()
            message.observability_mode = self.watched == "always"
            yield message

    def _headers(self, half: str, items: dict[str, str]) -> ProcessingRequest:
        message = ProcessingRequest()
        part = getattr(message, f"{half}_headers")
        for name, value in items.items():
            part.headers.headers.add(key=name, raw_value=value.encode())
        if half == "request":
            request_mode, response_mode = self.modes
            message.protocol_config.request_body_mode = request_mode.value  # type: ignore[assignment]
            message.protocol_config.response_body_mode = response_mode.value  # type: ignore[assignment]
        message.observability_mode = self.watched != "never"
        return message


FLOWS = [BodyMode.STREAMED, BodyMode.FULL_DUPLEX_STREAMED]
MODES = st.sampled_from(FLOWS * 4 + [BodyMode.BUFFERED, BodyMode.NONE])
SIZES = st.sampled_from([LARGE] * 6 + [3000, LARGE - 9, 10, 0])
ACTED = st.lists(st.sampled_from(PLAIN) | st.sampled_from(sorted(ACTS)), min_size=4, max_size=8)
POLICIES: st.SearchStrategy[OnError] = st.sampled_from(["deny", "skip"])
SAID = st.tuples(
    st.sampled_from(["request"] * 3 + ["response"]),
    st.sampled_from(["piece"] * 12 + ["end", "trailers"]),
    SIZES,
    st.sampled_from([False] * 7 + [True]),
    st.booleans(),
)
TAKINGS = st.lists(
    st.tuples(st.builds(Taking, st.sampled_from(["request", *HALVES]), ACTED), POLICIES), min_size=1, max_size=3
) | st.tuples(*(st.tuples(st.builds(Taking, st.just(half), ACTED), POLICIES) for half in HALVES))
STORIES = st.builds(
    Story,
    TAKINGS,
    st.tuples(MODES, MODES),
    st.sampled_from([200, 200, 204]),
    st.sampled_from(["never"] * 6 + ["at first", "always"]),
    st.lists(SAID, min_size=3, max_size=12),
)


# Two ways


class Blind:
    """An observer that looks away: where there is one, each message goes the long way."""

    def begin(self, exchange_id: str) -> Blind:
        return self

    def message(self, message: Message, answers: Sequence[Output], now: float) -> None:
        pass

    def end(self, exchange: Exchange, events: list[Event]) -> None:
        pass


@dataclass
class Came:
    """What came of an exchange."""

    sent: list[ProcessingResponse] = field(default_factory=list[ProcessingResponse])
    ended: list[tuple[str, str]] = field(default_factory=list[tuple[str, str]])
    read: int = 0
    log: list[Any] = field(default_factory=list[Any])
    left: Any = None


def converse(story: Story, options: FrontOptions, cuts: Callable[[bytes], list[bytes]]) -> Came:
    log: list[Any] = []

    async def scene() -> Came:
        chain = story.chain(log)
        await chain.start()
        pipe = Pipe()
        session = Service(chain, options).open(pipe)
        at_once = [comes_at_once for *_, comes_at_once in story.said]
        for number, message in enumerate(story.messages()):
            data = message.SerializeToString()
            session.receive_parts(cuts(data), len(data))
            if not at_once[number % len(at_once)]:
                await asyncio.sleep(0.01)
        session.finish()
        await asyncio.sleep(0.01)
        return Came(
            [ProcessingResponse.FromString(data) for data in pipe.sent], pipe.ended, pipe.read, log, left(session)
        )

    return run(scene())


def left(session: Session) -> Any:
    exchange = session._machine.exchange
    return exchange.ended, exchange._off, [(lane.pending, lane.last) for lane in session._machine._lanes.values()]


def differently(story: Story, cut: int = 3000) -> tuple[Came, Came]:
    """What comes of it in one go, each message in so many parts, and what in the long way."""

    def in_parts(data: bytes) -> list[bytes]:
        return [part for part in (data[:cut], data[cut : cut + 9], data[cut + 9 :]) if part]

    def options(observer: Observer | None = None) -> FrontOptions:
        return FrontOptions(clock=LoopClock(), ids=iter(["x-1"]), observer=observer, bounds=MORE_TIME)

    return converse(story, options(), in_parts), converse(story, options(Blind()), lambda data: [data])


@settings(max_examples=600, deadline=None)
@given(STORIES, st.just(3000) | st.integers(1, 1100))
def test_it_makes_no_difference(story: Story, cut: int) -> None:
    short, long = differently(story, cut)
    assert short == long


def test_what_comes_out_too_late_counts_as_part_of_a_body_that_has_begun() -> None:
    """One that nothing has come of could be left out; so the first pieces must count, whichever way they went."""
    said = [("request", "piece", size, False, False) for size in (0, LARGE, LARGE)]
    holds = Taking("request", ["nothing", "nothing", "more"])
    story = Story(
        [(holds, "skip")],
        (BodyMode.STREAMED, BodyMode.NONE),
        200,
        "never",
        [*said, ("request", "trailers", 0, False, False)],
    )
    short, long = differently(story)
    assert short == long
    assert short.sent[-1].HasField("immediate_response")


async def test_a_piece_waits_until_the_one_before_it_could_be_written() -> None:
    said = [("request", "piece", LARGE, False, True)] * 3
    story = Story(
        [(Taking("request", ["nothing"] * 3), "deny")], (BodyMode.STREAMED, BodyMode.NONE), 200, "never", said
    )
    log: list[Any] = []
    headers, *pieces = [message.SerializeToString() for message in story.messages()]
    pipe = Pipe()
    session = Service(story.chain(log)).open(pipe)
    session.receive(headers)
    session.receive(pieces[0])
    pipe.blocked = asyncio.get_running_loop().create_future()
    session.receive(pieces[1])
    session.receive(pieces[2])
    assert (len(log), len(pipe.sent)) == (2, 3)
    pipe.blocked.set_result(None)
    await settle()
    assert (len(log), len(pipe.sent)) == (3, 4)


def test_a_filter_that_has_failed_gets_no_more_pieces_where_envoy_only_watches_either() -> None:
    """Elsewhere the exchange is over then: the filter has changed a piece already, so it cannot be left out."""
    said = [("request", "piece", LARGE, False, False)] * 4
    taking = Taking("request", ["a change", "a failure", "a change", "a change"])
    story = Story([(taking, "deny")], (BodyMode.STREAMED, BodyMode.NONE), 200, "at first", said)
    for came in differently(story):
        assert [act for act, *_ in came.log] == ["a change", "a failure"]
