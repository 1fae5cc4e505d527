"""Hooks in threads: they do what they would do on the loop, and one that was given up does nothing any more."""

from __future__ import annotations

import asyncio
import contextvars
import logging
import threading
from collections.abc import Callable
from dataclasses import replace
from typing import Any, ClassVar

import pytest
from hypothesis import given, settings

from extproc import Chain, Exchange, Filter, OffloadError, Phase, Response, Use
from extproc.answers import UNCHANGED
from extproc.machine import ExchangeMachine
from extproc.messages import Continue, HeaderEdit, Immediate
from extproc.offload import Threads
from tests.acting import Do, acting, acting_with
from tests.envoy_side import body, converse, request, response
from tests.scenarios import SCENARIOS, Envoy, Journal, Scenario

A_LONG_TIME = 30.0
"""Seconds after which a test gives up waiting."""

SHORT = 0.05
"""Seconds: the timeout of a hook that will not return in time."""


def offloaded(do: Do, hook: str = "on_request_headers", **options: Any) -> Use:
    return Use(acting_with({hook: do}), name="slow", offload="thread", **options)


async def exchange_of(chain: Chain, *messages: Any) -> tuple[ExchangeMachine, list[Any]]:
    machine = ExchangeMachine(chain, "x-1", trace=True)
    return machine, await converse(machine, *messages)


class Gate:
    """A hook that stays where it is until it is let go, and then does one more thing."""

    def __init__(self, then: Callable[[Exchange], Any] = lambda _: None) -> None:
        self.entered = threading.Event()
        self.left = threading.Event()
        self.go_on = threading.Event()
        self.error: BaseException | None = None
        self._then = then

    def __call__(self, exchange: Exchange) -> Any:
        self.entered.set()
        assert self.go_on.wait(A_LONG_TIME)
        try:
            return self._then(exchange)
        except BaseException as error:
            self.error = error
            raise
        finally:
            self.left.set()


# What a hook does, it does as on the loop


def test_a_hook_runs_in_another_thread_and_its_edits_arrive() -> None:
    threads: list[threading.Thread] = []

    def edit(exchange: Exchange) -> None:
        threads.append(threading.current_thread())
        exchange.request.headers["x-edited"] = "1"
        exchange.state["note"] = "kept"
        exchange.log.info("from a thread")

    machine, answers = asyncio.run(exchange_of(Chain([offloaded(edit)]), request()))
    assert answers == [Continue(Phase.REQUEST_HEADERS, (HeaderEdit("x-edited", b"1"),))]
    assert machine.exchange.state == {"note": "kept"}
    assert threads[0] is not threading.main_thread()
    assert threads[0].daemon, "one that hangs must not keep the process from ending"


@settings(max_examples=150, deadline=None)
@given(SCENARIOS)
def test_a_chain_answers_the_same_wherever_its_hooks_run(scenario: Scenario) -> None:
    assert answers(scenario, offload=True) == answers(scenario, offload=False)


def answers(scenario: Scenario, *, offload: bool) -> list[Any]:
    """What a chain of plain functions says, all of them on the loop or all of them in threads."""
    filters = tuple(
        ({name: replace(script, asynchronous=False) for name, script in scripts.items()}, policy, when, None)
        for scripts, policy, when, _ in scenario.filters
    )
    plain = replace(scenario, filters=filters).chain(Journal())
    uses = [
        Use(link.filter, link.name, link.when, link.on_error, None, "thread" if offload else "none")
        for link in plain.links
    ]
    return asyncio.run(spoken(Chain(uses, timeout=A_LONG_TIME), scenario))


async def spoken(chain: Chain, scenario: Scenario) -> list[Any]:
    machine, envoy = ExchangeMachine(chain, "x-1", trace=True), Envoy(scenario)
    said: list[Any] = []
    for message in envoy.messages():
        answer = await machine.receive(message)
        envoy.take(message, answer)
        said.append(answer)
    await machine.close()
    await chain.stop()
    return [said, machine.events, machine.exchange.ended]


@pytest.mark.parametrize("error", [StopIteration, asyncio.CancelledError, LookupError])
def test_what_a_hook_raises_is_a_matter_of_its_policy(error: type[BaseException]) -> None:
    def fail(exchange: Exchange) -> None:
        exchange.request.headers["x-edited"] = "1"
        raise error

    _, [answer] = asyncio.run(exchange_of(Chain([offloaded(fail, on_error="skip")]), request()))
    assert answer == UNCHANGED[Phase.REQUEST_HEADERS]


def test_the_response_under_way_is_known_again() -> None:
    def tag(exchange: Exchange) -> Response:
        exchange.response.headers["x-edited"] = "1"
        return exchange.response

    _, [answer] = asyncio.run(exchange_of(Chain([offloaded(tag, "on_response_headers")]), response()))
    assert answer == Continue(Phase.RESPONSE_HEADERS, (HeaderEdit("x-edited", b"1"),))


def test_a_hook_sees_the_context_variables_of_its_exchange() -> None:
    variable: contextvars.ContextVar[str] = contextvars.ContextVar("variable")

    async def talk() -> list[Any]:
        variable.set("here")
        chain = Chain([offloaded(lambda exchange: Response(200, variable.get()))])
        return (await exchange_of(chain, request()))[1]

    (answer,) = asyncio.run(talk())
    assert answer.body == b"here"


def test_what_others_put_into_the_state_meanwhile_stays() -> None:
    def edit(exchange: Exchange) -> None:
        exchange.state.update(mine=1, shared="new")
        del exchange.state["old"]

    gate = Gate(edit)

    async def talk() -> dict[str, Any]:
        machine = ExchangeMachine(Chain([offloaded(gate)], timeout=A_LONG_TIME), "x-1")
        machine.exchange.state.update(old=0, shared="old")
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(machine.receive(request()))
            await asyncio.to_thread(gate.entered.wait, A_LONG_TIME)
            machine.exchange.state["theirs"] = 2
            gate.go_on.set()
        return machine.exchange.state

    assert asyncio.run(talk()) == {"mine": 1, "shared": "new", "theirs": 2}


def test_randomness_is_repeatable_in_a_thread() -> None:
    def roll(exchange: Exchange) -> Response:
        return Response(200, str(exchange.random.random()))

    async def two_rolls(offload: str) -> Any:
        chain = Chain([acting(on_request_headers=lambda x: x.random.random() and None), offloaded(roll)])
        again = Chain([Use(link.filter, offload=offload) for link in chain.links])  # type: ignore[arg-type]
        return (await exchange_of(again, request()))[1][0].body

    assert asyncio.run(two_rolls("thread")) == asyncio.run(two_rolls("none"))


# A hook that was given up


@pytest.fixture
def gave_up(caplog: pytest.LogCaptureFixture) -> Callable[[], list[str]]:
    """The lines about hooks that returned too late."""
    caplog.set_level(logging.WARNING, "extproc.machine")
    return lambda: [line for line in caplog.messages if "after it was given up" in line]


EVERYTHING: dict[str, Callable[[Exchange], Any]] = {
    "header": lambda x: x.request.headers.update({"x-late": "1"}),
    "path": lambda x: setattr(x.request, "path", "/late"),
    "body": lambda x: setattr(x.request, "body", b"late"),
    "route": lambda x: x.clear_route_cache(),
}
"""Edits that a hook learns are too late."""

SILENT: dict[str, Callable[[Exchange], Any]] = {
    "state": lambda x: x.state.update(late=1),
    "randomness": lambda x: x.random.random(),
    "attributes": lambda x: x.attributes.update(late=1),
}
"""What happens to nobody's exchange."""


@pytest.mark.parametrize("what", EVERYTHING | SILENT)
def test_a_hook_that_was_given_up_cannot_touch_the_exchange(what: str, gave_up: Callable[[], list[str]]) -> None:
    gate = Gate((EVERYTHING | SILENT)[what])

    def look(exchange: Exchange) -> None:
        seen.append((exchange.request.path, dict(exchange.request.headers), dict(exchange.state)))

    seen: list[Any] = []
    after = acting(on_request_body=look, on_complete=look)

    async def talk() -> Any:
        chain = Chain([offloaded(gate, "on_request_body", on_error="skip", timeout=SHORT), after], timeout=A_LONG_TIME)
        machine = ExchangeMachine(chain, "x-1")
        first = await machine.receive(request(method="POST", end=False))
        second = await machine.receive(body(Phase.REQUEST_BODY, b"hello"))
        gate.go_on.set()
        assert await asyncio.to_thread(gate.left.wait, A_LONG_TIME)
        await machine.close()
        await chain.stop()
        return machine, [first, second]

    machine, answers = asyncio.run(talk())
    assert answers == [UNCHANGED[Phase.REQUEST_HEADERS], UNCHANGED[Phase.REQUEST_BODY]]
    assert seen == [("/", {}, {})] * 2
    assert (machine.exchange.attributes, machine.exchange._random) == ({}, None)
    assert (gate.error is not None) == (what in EVERYTHING)


def test_what_a_hook_edited_before_it_was_given_up_is_seen_by_nobody() -> None:
    gate = Gate()

    def edit_and_stay(exchange: Exchange) -> Any:
        exchange.request.headers["x-early"] = "1"
        del exchange.request.headers["x-sent"]
        return gate(exchange)

    def look(exchange: Exchange) -> None:
        seen.append(dict(exchange.request.headers))

    def read(exchange: Exchange) -> None:
        assert "x-sent" in exchange.request.headers

    seen: list[dict[str, str]] = []

    async def talk() -> list[Any]:
        slow = offloaded(edit_and_stay, on_error="skip", timeout=SHORT)
        chain = Chain([acting(on_request_headers=read), slow, acting(on_request_headers=look)], timeout=A_LONG_TIME)
        _, answers = await exchange_of(chain, request(("x-sent", b"1")))
        gate.go_on.set()
        await chain.stop()
        return answers

    answers = asyncio.run(talk())
    assert (seen, answers) == ([{"x-sent": "1"}], [UNCHANGED[Phase.REQUEST_HEADERS]])


def test_a_hook_over_its_time_is_denied_and_its_return_is_logged(gave_up: Callable[[], list[str]]) -> None:
    gate = Gate(lambda exchange: Response(200, "too late"))

    async def talk() -> Any:
        chain = Chain([offloaded(gate, timeout=SHORT)], timeout=A_LONG_TIME)
        _, answers = await exchange_of(chain, request())
        given_up = chain.threads.given_up
        gate.go_on.set()
        await asyncio.to_thread(until, lambda: chain.threads.given_up == 0)
        return answers, given_up

    (answer,), given_up = asyncio.run(talk())
    assert answer == Immediate(504, details="extproc.slow.timeout")
    assert given_up == 1
    (line,) = gave_up()
    assert line.startswith("exchange x-1: filter 'slow' returned ")
    assert line.endswith(" s after it was given up")


def test_when_all_threads_are_busy_and_the_queue_is_full_the_policy_applies_at_once() -> None:
    gate = Gate()

    async def talk() -> Any:
        chain = Chain([offloaded(gate)], timeout=A_LONG_TIME, threads=2)
        many = chain.threads._most
        async with asyncio.TaskGroup() as tasks:
            accepted = [tasks.create_task(exchange_of(chain, request())) for _ in range(many)]
            while chain.threads._unfinished < many:
                await asyncio.sleep(0)
            _, [refused] = await exchange_of(chain, request())
            gate.go_on.set()
        await chain.stop()
        return refused, [task.result()[1] for task in accepted], chain.threads.refused

    refused, accepted, count = asyncio.run(talk())
    assert refused == Immediate(500, details="extproc.slow.error")
    assert accepted == [[UNCHANGED[Phase.REQUEST_HEADERS]]] * len(accepted)
    assert count == 1


def test_a_hook_that_waits_for_a_thread_uses_up_its_time_and_never_runs() -> None:
    gate, ran = Gate(), threading.Event()

    async def talk() -> Any:
        waiting = offloaded(lambda exchange: ran.set(), timeout=SHORT)
        chain = Chain([Use(acting(on_request_headers=gate), offload="thread"), waiting], timeout=A_LONG_TIME, threads=1)
        async with asyncio.TaskGroup() as tasks:
            blocked = tasks.create_task(exchange_of(chain, request()))
            await asyncio.to_thread(gate.entered.wait, A_LONG_TIME)
            second = Chain([waiting], timeout=A_LONG_TIME)
            second.steps = {**chain.steps, Phase.REQUEST_HEADERS: chain.steps[Phase.REQUEST_HEADERS][1:]}
            _, [answer] = await exchange_of(second, request())
            assert not ran.is_set()
            gate.go_on.set()
        await chain.stop()
        return answer, blocked.result()[1]

    answer, blocked = asyncio.run(talk())
    assert answer == Immediate(504, details="extproc.slow.timeout")
    assert blocked == [UNCHANGED[Phase.REQUEST_HEADERS]]


def test_a_client_that_goes_away_does_not_wait_for_the_thread(gave_up: Callable[[], list[str]]) -> None:
    gate = Gate()

    async def talk() -> str:
        chain = Chain([offloaded(gate)], timeout=A_LONG_TIME)
        machine = ExchangeMachine(chain, "x-1")
        task = asyncio.get_running_loop().create_task(converse(machine, request()))
        await asyncio.to_thread(gate.entered.wait, A_LONG_TIME)
        task.cancel()
        await asyncio.wait([task])
        gate.go_on.set()
        await asyncio.to_thread(until, lambda: chain.threads.given_up == 0)
        return machine.exchange.ended

    assert asyncio.run(talk()) == "cancelled"
    assert len(gave_up()) == 1


def until(condition: Callable[[], bool]) -> None:
    """Waits, in a thread of its own, for something that another thread is about to do."""
    tick = threading.Event()
    while not condition():
        tick.wait(0.001)


# Threads and settings


def test_threads_are_started_when_they_are_needed_and_end_with_the_chain() -> None:
    before = set(threading.enumerate())

    async def talk() -> int:
        chain = Chain([offloaded(lambda exchange: None)], threads=4)
        for _ in range(3):
            await exchange_of(chain, request())
        started = len(set(threading.enumerate()) - before)
        await chain.stop()
        return started

    assert asyncio.run(talk()) in (1, 2)  # a thread may not have come back for more yet
    until(lambda: set(threading.enumerate()) <= before)


def test_a_chain_can_be_used_again_after_it_was_stopped() -> None:
    async def talk() -> list[Any]:
        chain = Chain([offloaded(lambda exchange: Response(204))])
        await exchange_of(chain, request())
        await chain.stop()
        _, [answer] = await exchange_of(chain, request())
        await chain.stop()
        return [answer.status]

    assert asyncio.run(talk()) == [204]


class Lookup(Filter):
    offload: ClassVar = "thread"

    def on_request_headers(self, exchange: Exchange) -> None: ...


def test_the_chain_has_the_last_word_on_where_hooks_run() -> None:
    chain = Chain([Lookup(), Use(Lookup(), offload="none"), Use(acting(on_request_headers=print), offload="thread")])
    assert [link.offload for link in chain.links] == ["thread", "none", "thread"]


def test_an_async_hook_is_not_for_a_thread() -> None:
    with pytest.raises(TypeError, match=r"Both\.on_response_headers is async: with offload = 'thread'"):

        class Both(Lookup):
            async def on_response_headers(self, exchange: Exchange) -> None: ...


def test_an_async_filter_is_not_for_a_thread_in_a_chain_either() -> None:
    class Patient(Filter):
        async def on_request_headers(self, exchange: Exchange) -> None: ...

    with pytest.raises(ValueError, match="'patient' cannot run in a thread: its on_request_headers is async"):
        Chain([Use(Patient(), offload="thread")])


@pytest.mark.parametrize("value", ["process", True])
def test_a_place_that_does_not_exist_is_refused(value: Any) -> None:
    with pytest.raises(ValueError, match="offload of 'lookup' is 'none' or 'thread'"):
        Chain([Use(Lookup(), offload=value)])
    with pytest.raises(TypeError, match="offload is 'none' or 'thread'"):
        type("Odd", (Filter,), {"__module__": __name__, "offload": value})


def test_there_is_at_least_one_thread() -> None:
    with pytest.raises(ValueError, match="positive number, not 0"):
        Threads(0)


async def test_a_hook_that_returns_a_coroutine_did_not_do_its_work() -> None:
    async def later() -> None: ...

    chain = Chain([offloaded(lambda exchange: later(), on_error="skip")])
    machine, _ = await exchange_of(chain, request())
    assert machine.events is not None
    assert machine.events[0].note.startswith("HookError: returned a coroutine")


def test_the_error_of_a_full_queue_says_what_to_do() -> None:
    assert "all 8 threads are busy, 3 of them with hooks that were given up" in str(OffloadError(8, 3))
