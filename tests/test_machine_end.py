"""The end of an exchange: `on_complete` runs once, whatever comes, and says how it ended."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from extproc import Chain, Exchange, Phase, PhaseError, Response, Use
from extproc.driving import drive
from extproc.machine import ExchangeMachine
from extproc.messages import Continue, HeaderEdit, Immediate, Message, Protocol
from extproc.phases import BodyMode
from tests.acting import Do, acting, with_every_hook
from tests.envoy_side import body, converse, go, request, response
from tests.jumping_loop import LoopClock, run


def test_on_complete_runs_once_whatever_comes() -> None:
    log: list[str] = []
    machine = ExchangeMachine(Chain([with_every_hook("a", log)]), "x-1")
    assert (run(machine.close()), run(machine.close())) == (True, False)
    assert (log, machine.over, run(machine.receive(request()))) == (["a end"], True, None)


@pytest.mark.parametrize(
    ("do", "messages", "ended"),
    [
        (lambda x: None, [request(), response()], "complete"),
        (lambda x: None, [request()], "complete"),
        (lambda x: Response(403), [request()], "immediate"),
        (lambda x: 1 / 0, [request()], "immediate"),
        (lambda x: None, [request(), request()], "aborted"),
    ],
)
def test_on_complete_is_told_how_the_exchange_ended(do: Do, messages: list[Message], ended: str) -> None:
    seen: list[str] = []
    go(Chain([acting(on_request_headers=do, on_complete=lambda x: seen.append(x.ended))]), *messages)
    assert seen == [ended]


def test_on_complete_sees_what_there_was_and_can_edit_nothing() -> None:
    seen: list[Any] = []

    def look(exchange: Exchange) -> None:
        seen.append((exchange.request.path, exchange.response.status, exchange.request.body))
        for side in (exchange.request, exchange.response):
            with pytest.raises(PhaseError):
                side.headers["x"] = "1"
            with pytest.raises(PhaseError):
                side.body = "x"

    go(Chain([acting(on_complete=look)]), request(path="/a"), response(status=201))
    assert seen == [("/a", 201, b"")]


@pytest.mark.parametrize("fails", [lambda x: 1 / 0, lambda x: asyncio.Event().wait(), lambda x: cancelled_elsewhere()])
def test_one_filter_that_fails_in_on_complete_does_not_keep_the_others_from_it(
    fails: Do, caplog: pytest.LogCaptureFixture
) -> None:
    seen: list[str] = []
    chain = Chain([Use(acting(on_complete=fails), name="bad"), acting(on_complete=lambda x: seen.append("good"))])
    go(chain, request())
    assert seen == ["good"]
    assert "filter 'bad' failed in on_complete" in caplog.text


async def cancelled_elsewhere() -> None:
    """Waits for something that somebody cancels, as a client pool that is closed does."""
    task: asyncio.Task[None] = asyncio.get_running_loop().create_task(asyncio.sleep(1))
    task.cancel()
    await task


@pytest.mark.parametrize("policy", ["deny", "skip"])
def test_a_conditional_filter_that_failed_gets_its_on_complete(policy: Any) -> None:
    """It may hold what only on_complete gives back."""
    seen: list[str] = []
    bad = acting(on_request_headers=lambda x: 1 / 0, on_complete=lambda x: seen.append("end"))
    go(Chain([Use(bad, when={"path": "/"}, on_error=policy)]), request())
    assert seen == ["end"]


# Cancellation: the client went away, or Envoy's timer fired


def test_a_cancelled_exchange_stops_the_hook_and_completes_every_filter() -> None:
    log: list[str] = []

    async def hang(exchange: Exchange) -> None:
        exchange.request.headers["x-half"] = "1"
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            log.append("stopped")
            raise

    def end(exchange: Exchange) -> None:
        log.append(f"{exchange.ended} {'x-half' in exchange.request.headers}")

    chain = Chain([Use(acting(on_request_headers=hang, on_complete=end), on_error="skip"), acting(on_complete=end)])

    async def scene() -> None:
        machine = ExchangeMachine(chain, "x-1", clock=LoopClock())
        task = asyncio.get_running_loop().create_task(converse(machine, request()))
        await asyncio.sleep(0)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    run(scene())
    assert log == ["stopped", "cancelled False", "cancelled False"]


def test_a_second_cancellation_during_on_complete_does_not_skip_the_others() -> None:
    """Envoy resets a stream right after its last answer: then the end of most exchanges is cancelled."""
    log: list[str] = []
    slow = acting(on_complete=lambda x: asyncio.Event().wait())

    async def scene() -> None:
        machine = ExchangeMachine(
            Chain([slow, acting(on_complete=lambda x: log.append("end"))]), "x-1", clock=LoopClock()
        )
        task = asyncio.get_running_loop().create_task(machine.close())
        await asyncio.sleep(0)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    run(scene())
    assert log == ["end"]


# What filters have begun beside the exchange


async def looked_up(name: str) -> str:
    await asyncio.sleep(0.01)
    return f"{name}!"


def test_what_was_begun_in_one_hook_can_be_awaited_in_a_later_one() -> None:
    def begin(exchange: Exchange) -> None:
        exchange.state["lookup"] = exchange.spawn(looked_up("x"))

    async def end(exchange: Exchange) -> None:
        exchange.response.headers["x-found"] = await exchange.state["lookup"]

    async def scene() -> list[Any]:
        chain = Chain([acting(on_request_headers=begin, on_response_headers=end)])
        return await converse(ExchangeMachine(chain, "x-1", clock=LoopClock()), request(), response())

    assert run(scene())[1].set_headers == (HeaderEdit("x-found", b"x!"),)


@pytest.mark.parametrize("messages", [[], [response()], [request()]], ids=["complete", "response", "aborted"])
def test_what_still_runs_at_the_end_is_cancelled(messages: list[Message]) -> None:
    begun: list[asyncio.Task[Any]] = []
    late: list[str] = []

    def complete(exchange: Exchange) -> None:
        with pytest.raises(PhaseError, match="the exchange is over"):
            _ = exchange.spawn(looked_up("too late"))
        late.append(exchange.ended)

    async def scene() -> None:
        begin = acting(on_request_headers=lambda x: begun.append(x.spawn(asyncio.sleep(1e9))), on_complete=complete)
        await converse(ExchangeMachine(Chain([begin]), "x-1", clock=LoopClock()), request(), *messages)
        await asyncio.wait(begun)

    run(scene())
    assert [task.cancelled() for task in begun] == [True]
    assert len(late) == 1


def test_a_piece_that_waited_goes_nowhere_once_the_other_direction_has_ended_the_exchange() -> None:
    async def scene() -> list[Any]:
        ready = asyncio.Event()

        async def wait(exchange: Exchange, chunk: bytes) -> None:
            await ready.wait()

        chain = Chain([acting(on_request_chunk=wait, on_response_headers=lambda x: Response(503))])
        machine = ExchangeMachine(chain, "x-1", clock=LoopClock())
        said: list[Any] = []

        async def say(message: Message) -> None:
            await drive(machine.process(message, said.append))

        await say(request(end=False, protocol=Protocol(BodyMode.STREAMED, BodyMode.NONE)))
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(say(body(Phase.REQUEST_BODY, b"piece", end=False)))
            await asyncio.sleep(0.001)
            await say(response())
            ready.set()
        return said

    assert [type(answer) for answer in run(scene())] == [Continue, Immediate]
