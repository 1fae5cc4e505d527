"""What a filter of the catalogue decides hangs neither on body modes, nor on where bodies are cut, nor on trailers."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from importlib.metadata import entry_points

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import extproc_filters
from extproc import Chain, Exchange, Filter
from extproc.envoy.model import Close, EnvoyModel, ExtProcConfig, HttpMessage, Outcome
from extproc.envoy.model.values import Reply
from extproc.machine import ExchangeMachine
from extproc.messages import Message, RawHeaders
from extproc.phases import BodyMode
from tests.filters.catalogue import CASES, Case
from tests.filters.driver import FakeClock, finished

EVERY_BODY = (BodyMode.STREAMED, BodyMode.BUFFERED, BodyMode.BUFFERED_PARTIAL, BodyMode.FULL_DUPLEX_STREAMED)
"""The modes that show a filter the whole body; without trailers, that is."""
BEFORE_TRAILERS = (BodyMode.BUFFERED, BodyMode.FULL_DUPLEX_STREAMED)
FRAMING = {"content-length", "transfer-encoding"}
LINE: RawHeaders = [(":authority", b"a"), (":path", b"/a?q=1"), (":method", b"POST"), (":scheme", b"http")]
THEIRS: RawHeaders = [(":status", b"200"), ("x-theirs", b"1"), ("set-cookie", b"theirs=1")]


class Whole(Filter):
    """A neighbour that has bodies whole."""

    def on_request_body(self, exchange: Exchange) -> None:
        if exchange.request.body:
            exchange.request.body = exchange.request.body[::-1]

    def on_response_body(self, exchange: Exchange) -> None:
        if exchange.response.body:
            exchange.response.body = exchange.response.body[::-1]


class Pieces(Filter):
    """A neighbour that has them in pieces."""

    def on_request_chunk(self, exchange: Exchange, chunk: bytes) -> bytes:
        return chunk.swapcase()

    def on_response_chunk(self, exchange: Exchange, chunk: bytes) -> bytes:
        return chunk.swapcase()


@dataclass(frozen=True)
class Body:
    """A body and where it is cut; None: there is none."""

    content: bytes | None
    cuts: tuple[int, ...]
    trailers: RawHeaders | None

    def message(self, headers: RawHeaders, *, split: bool) -> HttpMessage:
        """A message with it, in pieces or not."""
        if self.content is None:
            return HttpMessage(headers)
        counted = self.trailers is None
        length = ("content-length", b"%d" % len(self.content)) if counted else ("transfer-encoding", b"chunked")
        places = sorted(place % (len(self.content) + 1) for place in self.cuts) if split else []
        ends = [*places, len(self.content)]
        pieces = tuple(self.content[start:end] for start, end in zip([0, *places], ends, strict=True))
        return HttpMessage([*headers, length], pieces, self.trailers)


@dataclass(frozen=True)
class Traffic:
    """Exchanges, one after the other, through one chain."""

    requests: tuple[RawHeaders, ...]
    there: Body
    back: Body
    neighbours: tuple[type[Filter], ...]
    first: bool
    """The neighbours come before the filter."""
    piecewise: bool
    """Each piece comes when the one before it is dealt with."""
    ahead: bool = False
    """Bodies are sent before the headers are answered, where they are STREAMED."""


BODIES = st.builds(
    Body,
    st.none() | st.binary(max_size=30) | st.just(b"z" * 70_000),
    st.lists(st.integers(0, 10**5), max_size=4).map(tuple),
    st.sampled_from([None, [("x-sum", b"1")]]),
)


def traffic(case: Case) -> st.SearchStrategy[Traffic]:
    return st.builds(
        Traffic,
        st.lists(st.sampled_from(case.requests), min_size=1, max_size=4).map(tuple),
        BODIES,
        BODIES,
        st.sampled_from([(), (Whole,), (Pieces,), (Whole, Pieces)]),
        st.booleans(),
        st.booleans(),
        st.booleans(),
    )


def play(case: Case, said: Traffic, modes: tuple[BodyMode, BodyMode], *, split: bool) -> list[Outcome]:
    """What comes of it, framing aside."""
    neighbours = [kind() for kind in said.neighbours]
    chain = Chain([*neighbours, case.make()] if said.first else [case.make(), *neighbours])
    finished(chain.start())
    config = ExtProcConfig.for_chain(chain)
    there, back = modes
    mode = replace(config.mode, request_body=there, response_body=back, request_trailers=True, response_trailers=True)
    ahead = said.ahead and there is back is BodyMode.STREAMED
    model = EnvoyModel(replace(config, mode=mode, send_body_without_waiting_for_header_response=ahead))
    response = said.back.message(THEIRS, split=split)
    return [
        exchange(chain, model, said, said.there.message([*LINE, *headers], split=split), response, f"x-{number}")
        for number, headers in enumerate(said.requests)
    ]


def exchange(  # noqa: PLR0917 (in the order in which they are met)
    chain: Chain, model: EnvoyModel, said: Traffic, request: HttpMessage, response: HttpMessage, name: str
) -> Outcome:
    machine = ExchangeMachine(chain, name, clock=FakeClock())

    async def processor(message: Message) -> Sequence[Reply]:
        outputs = await machine.receive_all(message)
        return [*outputs, Close()] if machine.over else outputs  # as a front does

    outcome = finished(model.run(request, response, processor, piecewise=said.piecewise))
    finished(machine.close())
    return replace(outcome, upstream=unframed(outcome.upstream), client=unframed(outcome.client), counters={})


def unframed(message: HttpMessage | None) -> HttpMessage | None:
    """The message in one piece."""
    if message is None:
        return None
    headers = [item for item in message.headers if item[0] not in FRAMING]
    return HttpMessage(headers, (message.body,), message.trailers or None)


@pytest.mark.parametrize("mode", BodyMode, ids=lambda mode: mode.name)
@pytest.mark.parametrize("name", CASES)
@settings(max_examples=35, deadline=None)
@given(data=st.data())
def test_neither_mode_nor_cuts_decide(name: str, mode: BodyMode, data: st.DataObject) -> None:
    case = CASES[name]
    said = data.draw(traffic(case))
    there, back = data.draw(st.permutations([mode, data.draw(st.sampled_from(BodyMode))]))
    if not (shows(there, said.there) and shows(back, said.back)):
        said = replace(said, neighbours=())  # they would fail, and loudly: tests/test_body_modes.py
    wanted = play(case, said, (BodyMode.BUFFERED, BodyMode.BUFFERED), split=False)
    assert play(case, said, (there, back), split=True) == wanted


def shows(mode: BodyMode, body: Body) -> bool:
    """Whether a filter may want this body in this mode."""
    return mode in (EVERY_BODY if body.trailers is None else BEFORE_TRAILERS)


@pytest.mark.parametrize("name", CASES)
def test_the_requests_bring_about_every_decision(name: str) -> None:
    case = CASES[name]
    nothing = Body(None, (), None)
    said = Traffic(case.requests, nothing, nothing, (), first=False, piecewise=False)
    outcomes = play(case, said, (BodyMode.NONE, BodyMode.NONE), split=False)
    assert {case.decision(outcome) for outcome in outcomes} == case.decisions


def test_the_whole_catalogue_is_here() -> None:
    """A filter that is new has to decide alike in every mode too."""
    ours = {point.name: point.load() for point in entry_points(group="extproc.filters") if own(point.value)}
    assert {name: type(case.make()) for name, case in CASES.items()} == ours
    exported: Sequence[object] = [getattr(extproc_filters, name) for name in extproc_filters.__all__]
    assert {kind for kind in exported if isinstance(kind, type) and issubclass(kind, Filter)} == set(ours.values())


def own(value: str) -> bool:
    return value.partition(":")[0].partition(".")[0] == extproc_filters.__name__
