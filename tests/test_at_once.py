"""What is answered at once is answered as the machine would answer it; what cannot be, the machine goes on with."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from extproc import Chain, Exchange, PhaseError, Response, Use, When
from extproc.at_once import answer_at_once, can_answer_at_once
from extproc.machine import ExchangeMachine
from extproc.messages import Continue, HeadersMessage, Message, Protocol
from extproc.phases import BodyMode, Phase
from extproc.terms import Terms
from tests.acting import acting, acting_with
from tests.envoy_side import body, converse, request, response
from tests.jumping_loop import LoopClock, run

NOTHING_ELSE = Protocol(BodyMode.NONE, BodyMode.NONE)
FOR_ALL = request(protocol=NOTHING_ELSE)
TERMS = Terms(clock=LoopClock(), change_modes=True)


@pytest.fixture(autouse=True, scope="module")
def quiet() -> Iterator[None]:
    """Hundreds of failures on purpose need not be formatted."""
    logging.disable(logging.CRITICAL)
    yield
    logging.disable(logging.NOTSET)


def fails(exchange: Exchange) -> None:
    exchange.request.headers["x-new"] = "half"
    raise LookupError


async def waits(exchange: Exchange) -> None:
    await asyncio.sleep(0.001)
    exchange.request.headers["x-waited"] = "1"


async def answers_late(exchange: Exchange) -> Response:
    await asyncio.sleep(0.001)
    return Response(429, details="late")


ACTS: dict[str, Callable[[Exchange], Any]] = {
    "nothing": lambda x: None,
    "sets": lambda x: x.request.headers.__setitem__("x-new", "1"),
    "changes": lambda x: x.request.headers.__setitem__("x-there", "2"),
    "adds": lambda x: x.request.headers.add("x-there", "3"),
    "removes": lambda x: x.request.headers.discard("x-there"),
    "another path": lambda x: setattr(x.request, "path", "/other"),
    "another route": lambda x: x.clear_route_cache(),
    "metadata": lambda x: x.metadata.emit("ours", {"a": 1}),
    "what came beside": lambda x: x.request.headers.__setitem__("x-beside", f"{dict(x.attributes)} {dict(x.metadata)}"),
    "time": lambda x: x.request.headers.__setitem__("x-time", f"{x.now} {x.deadline} {x.remaining} {x.id}"),
    "no body wanted": lambda x: x.skip_body(),
    "a body": lambda x: setattr(x.request, "body", b"new"),
    "an answer": lambda x: Response(403, "no", {"x-why": "because"}),
    "a failure": fails,
    "no legal edit": lambda x: x.request.headers.__setitem__("connection", "close"),
    "too much": lambda x: x.request.headers.__setitem__("x-new", "x" * 70_000),
    "no answer": lambda x: "nonsense",
    "waits": waits,
    "answers late": answers_late,
}


def then(act: str) -> Callable[[Exchange], Any]:
    """Does it, and keeps the exchange."""

    def hook(exchange: Exchange) -> Any:
        SEEN.append((act, exchange))
        return ACTS[act](exchange)

    return hook


SEEN: list[tuple[str, Exchange]] = []


@dataclass
class Came:
    """What came of an exchange."""

    answers: list[Any] = field(default_factory=list[Any])
    ran: list[str] = field(default_factory=list[str])
    left: Any = None


USES = st.builds(
    lambda act, on_error, when: Use(
        acting(on_request_headers=then(act), metadata_out=frozenset({"ours"})), on_error=on_error, when=when
    ),
    st.sampled_from(sorted(ACTS)),
    st.sampled_from(["deny", "skip"]),
    st.sampled_from([None, None, When(path=("/shop/*",)), When(path=("/else/*",))]),
)
FIRST = st.builds(
    lambda end, attributes, metadata, more: request(
        ("x-there", "1"),
        *more,
        path="/shop/1",
        end=end,
        protocol=NOTHING_ELSE,
        attributes=attributes,
        metadata=metadata,
        size=200,
    ),
    st.booleans(),
    st.sampled_from([{}, {"source.address": "10.0.0.1:1"}]),
    st.sampled_from([{}, {"theirs": {"b": 2}}]),
    st.sampled_from([(), (("x-there", "again"),)]),
)


def in_parts(message: Message) -> HeadersMessage:
    beside = (
        message.attributes,
        message.metadata,
        message.typed_metadata,
        message.protocol,
        message.observability,
    )
    return message.phase, list(message.headers), dict(message.headers), message.end_of_stream, beside


def came(answers: list[Any]) -> Came:
    ran, exchanges = [act for act, _ in SEEN], [exchange for _, exchange in SEEN]
    SEEN.clear()
    left = [(x.id, x.ended, x.request._headers._items, x.request._headers._sealed) for x in exchanges[:1]]
    return Came(answers, ran, left)


def by_the_machine(chain: Chain, message: Message) -> Came:
    machine = ExchangeMachine(chain, "x-1", TERMS)
    return came(run(converse(machine, message)))


async def begun(chain: Chain, message: Message) -> Continue | ExchangeMachine | None:
    return answer_at_once(chain, TERMS, "x-1", in_parts(message), message.size)


def at_once(chain: Chain, message: Message) -> Came:
    async def goes_on() -> list[Any]:
        answer = await begun(chain, message)
        assert answer is not None
        return [answer] if isinstance(answer, Continue) else await converse(answer, message)

    return came(run(goes_on()))


@given(st.lists(USES, max_size=3), FIRST)
def test_it_is_as_the_machine_would_have_it(uses: list[Use], message: Message) -> None:
    chain = Chain(uses)
    assert at_once(chain, message) == by_the_machine(chain, message)


@pytest.mark.parametrize(
    ("act", "directly"),
    [("sets", True), ("a failure", False), ("an answer", False), ("a body", False), ("waits", False)],
)
def test_only_what_needs_a_machine_gets_one(act: str, directly: bool) -> None:
    """A test of the test above: it compares both kinds."""
    answer = run(begun(Chain([acting(on_request_headers=then(act))]), FOR_ALL))
    SEEN.clear()
    assert isinstance(answer, Continue) is directly
    if isinstance(answer, ExchangeMachine):
        run(converse(answer, FOR_ALL))


OTHERS = {
    "a body": body(Phase.REQUEST_BODY, b"x", protocol=NOTHING_ELSE),
    "a response": response(protocol=NOTHING_ELSE),
    "a body may follow": request(protocol=Protocol(BodyMode.BUFFERED, BodyMode.NONE)),
    "the response's may": request(protocol=Protocol(BodyMode.NONE, BodyMode.STREAMED)),
    "an Envoy that does not say": request(protocol=None),
    "an Envoy that only watches": request(protocol=NOTHING_ELSE, observability=True),
}


@pytest.mark.parametrize("case", OTHERS)
def test_nothing_happens_where_more_may_follow(case: str) -> None:
    chain = Chain([acting(on_request_headers=then("sets"))])
    assert run(begun(chain, OTHERS[case])) is None
    assert SEEN == []


@pytest.mark.parametrize(
    ("uses", "terms", "can"),
    [
        ([acting(on_request_headers=then("sets"))], TERMS, True),
        ([Use(acting(on_request_headers=then("sets")), when=When(path=("/*",)))], TERMS, True),
        ([], TERMS, True),
        ([acting(on_request_headers=then("sets"))], Terms(trace=True), False),
        ([acting_with({"on_response_headers": then("sets")})], TERMS, False),
        ([acting_with({"on_complete": then("sets")})], TERMS, False),
        ([Use(acting(on_request_headers=then("sets")), offload="thread")], TERMS, False),
    ],
    ids=["request headers", "a condition", "no filter", "a trace", "a response", "the end", "a thread"],
)
def test_a_chain_that_wants_more_than_request_headers_is_for_the_machine(
    uses: list[Any], terms: Terms, can: bool
) -> None:
    assert can_answer_at_once(Chain(uses), terms) is can


def test_what_a_hook_begins_beside_the_exchange_ends_with_it() -> None:
    tasks: list[asyncio.Task[None]] = []

    async def scene() -> None:
        chain = Chain([acting(on_request_headers=lambda x: tasks.append(x.spawn(asyncio.sleep(1e9))))])
        assert isinstance(await begun(chain, FOR_ALL), Continue)
        await asyncio.gather(*tasks, return_exceptions=True)

    run(scene())
    assert tasks[0].cancelled()


def test_an_exchange_that_was_kept_cannot_be_edited_afterwards() -> None:
    kept: list[Exchange] = []
    run(begun(Chain([acting(on_request_headers=kept.append)]), FOR_ALL))
    for edit in (
        lambda x: x.request.headers.__setitem__("x-late", "1"),
        lambda x: setattr(x.request, "body", b"late"),
        lambda x: x.clear_route_cache(),
        lambda x: x.spawn(asyncio.sleep(1)),
    ):
        with pytest.raises(PhaseError):
            edit(kept[0])
