"""A hook that is cancelled: it may clean up, it may not stay, and nobody waits for it for ever."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import suppress
from typing import Any

import pytest

from extproc import Chain, Exchange, Phase, Response, Use
from extproc.answers import UNCHANGED
from extproc.driving import drive, wait
from extproc.machine import ExchangeMachine
from extproc.messages import Immediate
from extproc.trace import Event
from tests.acting import acting
from tests.envoy_side import converse, go, request
from tests.jumping_loop import LoopClock, run

NEVER = 1e9
"""Seconds, in a loop where waiting takes no time."""


async def swallows(exchange: Exchange) -> None:
    while True:
        try:
            await asyncio.sleep(NEVER)
        except asyncio.CancelledError:
            exchange.state["swallowed"] = exchange.state.get("swallowed", 0) + 1


async def cleans_up_for_too_long(exchange: Exchange) -> None:
    try:
        await asyncio.sleep(NEVER)
    finally:
        await asyncio.sleep(NEVER)


async def cannot_be_closed(exchange: Exchange) -> None:
    for _ in range(3):
        try:
            await asyncio.sleep(NEVER)
        except BaseException:  # noqa: BLE001 (what the test is about)
            continue


async def cleans_up(exchange: Exchange) -> None:
    try:
        await asyncio.sleep(NEVER)
    finally:
        await asyncio.sleep(0.05)
        exchange.state["cleaned"] = True


async def falls_back(exchange: Exchange) -> Response:
    with suppress(asyncio.CancelledError):
        await asyncio.sleep(NEVER)
    return Response(203)


STUBBORN = [swallows, cleans_up_for_too_long, cannot_be_closed]


@pytest.mark.parametrize("hook", STUBBORN)
def test_a_hook_that_swallows_its_cancellation_is_closed_and_its_policy_applies(
    hook: Callable[..., Any], caplog: pytest.LogCaptureFixture
) -> None:
    machine, [answer] = go(Chain([Use(acting(on_request_headers=hook), name="stubborn")]), request())
    assert answer == Immediate(504, details="extproc.stubborn.timeout")
    assert "filter 'stubborn' was cancelled and went on: its hook is closed" in caplog.text
    assert machine.exchange.ended == "immediate"


@pytest.mark.parametrize("hook", STUBBORN)
def test_it_cannot_keep_an_exchange_from_its_end(hook: Callable[..., Any]) -> None:
    ended: list[str] = []

    async def leave() -> None:
        last = acting(on_complete=lambda exchange: ended.append(exchange.ended))
        chain = Chain([acting(on_request_headers=hook), last])
        machine = ExchangeMachine(chain, "x-1", clock=LoopClock())
        async with asyncio.TaskGroup() as tasks:
            task = tasks.create_task(converse(machine, request()))
            await asyncio.sleep(0)
            task.cancel()

    run(leave())
    assert ended == ["cancelled"]


def test_a_hook_that_cleans_up_is_let_do_so(caplog: pytest.LogCaptureFixture) -> None:
    machine, [answer] = go(Chain([Use(acting(on_request_headers=cleans_up), name="tidy")]), request())
    assert answer == Immediate(504, details="extproc.tidy.timeout")
    assert machine.exchange.state == {"cleaned": True}
    assert "went on" not in caplog.text


def test_a_hook_may_answer_when_its_time_is_up() -> None:
    _, [answer] = go(Chain([acting(on_request_headers=falls_back)]), request())
    assert answer.status == 203


@pytest.mark.parametrize("hook", [swallows, cannot_be_closed, falls_back])
def test_whoever_watches_sees_a_swallowed_cancellation(hook: Callable[..., Any]) -> None:
    seen: list[Event] = []

    async def leave() -> None:
        chain = Chain([Use(acting(on_request_headers=hook), name="stubborn")])
        machine = ExchangeMachine(chain, "x-1", clock=LoopClock(), trace=True)
        async with asyncio.TaskGroup() as tasks:
            task = tasks.create_task(converse(machine, request()))
            await asyncio.sleep(0)
            task.cancel()
        seen.extend(machine.events or [])

    run(leave())
    went_on = "returned" if hook is falls_back else "went on: its hook is closed"
    assert seen == [Event("stubborn", Phase.REQUEST_HEADERS, "swallow", note=f"was cancelled and {went_on}")]


@pytest.mark.parametrize("hook", [cleans_up, swallows])
def test_cleaning_up_when_the_time_is_up_is_no_swallowing(hook: Callable[..., Any]) -> None:
    machine, _ = go(Chain([acting(on_request_headers=hook)]), request())
    actions = [event.action for event in machine.events or []]
    assert actions == (["deny"] if hook is cleans_up else ["swallow", "deny"])


@pytest.mark.parametrize("hook", [falls_back, swallows])
def test_no_other_hook_runs_once_the_client_is_gone(hook: Callable[..., Any]) -> None:
    seen: list[Phase | None] = []

    async def leave() -> None:
        after = acting(on_request_headers=lambda x: seen.append(x.phase))
        machine = ExchangeMachine(Chain([acting(on_request_headers=hook), after]), "x-1", clock=LoopClock())
        async with asyncio.TaskGroup() as tasks:
            task = tasks.create_task(converse(machine, request()))
            await asyncio.sleep(0)
            task.cancel()

    run(leave())
    assert seen == []


async def _its_own_timeout(exchange: Exchange) -> None:
    try:
        async with asyncio.timeout(0.01):
            await asyncio.sleep(NEVER)
    except TimeoutError:
        await asyncio.sleep(0.5)


async def _a_task_it_cancels(exchange: Exchange) -> None:
    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(asyncio.sleep(NEVER)).cancel()
    await asyncio.sleep(0.5)


async def _slow_cleaning_of_its_own(exchange: Exchange) -> None:
    try:
        async with asyncio.timeout(0.01):
            try:
                await asyncio.sleep(NEVER)
            finally:
                await asyncio.sleep(0.5)
    except TimeoutError:
        pass


@pytest.mark.parametrize("hook", [_its_own_timeout, _a_task_it_cancels, _slow_cleaning_of_its_own])
def test_what_a_hook_cancels_itself_is_its_own_business(hook: Callable[..., Any]) -> None:
    _, answers = go(Chain([acting(on_request_headers=hook)]), request())
    assert answers == [UNCHANGED[Phase.REQUEST_HEADERS]]


@pytest.mark.parametrize("hook", STUBBORN)
def test_what_may_take_its_time_may_not_take_it_once_the_client_is_gone(hook: Callable[..., Any]) -> None:
    async def leave() -> bool:
        exchange = Exchange("x-1", LoopClock())
        async with asyncio.TaskGroup() as tasks:
            task = tasks.create_task(drive(wait(exchange, hook(exchange), None)))
            await asyncio.sleep(0)
            task.cancel()
        return task.cancelled()

    assert run(leave())
