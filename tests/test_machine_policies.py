"""What happens to an exchange when a filter fails in it: `deny`, `skip`, timeouts, and nothing half done."""

from __future__ import annotations

import asyncio
import contextlib
from typing import Any

import pytest

from extproc import Chain, Exchange, Phase, Response, Use
from extproc.answers import UNCHANGED
from extproc.messages import Continue, HeaderEdit, Immediate, Protocol
from extproc.phases import BodyMode
from tests.acting import Do, acting, acting_in
from tests.envoy_side import body, go, request, response, trailers

OURS = frozenset({"ours"})

MESSAGES = {
    Phase.REQUEST_HEADERS: request(end=False),
    Phase.REQUEST_BODY: body(Phase.REQUEST_BODY, b"up", end=False),
    Phase.REQUEST_TRAILERS: trailers(Phase.REQUEST_TRAILERS),
    Phase.RESPONSE_HEADERS: response(end=False),
    Phase.RESPONSE_BODY: body(Phase.RESPONSE_BODY, b"down", end=False),
    Phase.RESPONSE_TRAILERS: trailers(Phase.RESPONSE_TRAILERS),
}


class BadError(Exception):
    """An exception of the filter's own."""


def fail(exchange: Exchange) -> None:
    raise BadError("detail that stays here")


async def fail_later(exchange: Exchange) -> None:
    await asyncio.sleep(0.01)
    fail(exchange)


async def hang(exchange: Exchange) -> None:
    await asyncio.Event().wait()


async def cancelled_elsewhere(exchange: Exchange) -> None:
    task: asyncio.Task[None] = asyncio.get_running_loop().create_task(asyncio.sleep(1))
    task.cancel()
    await task


def raise_cancelled(exchange: Exchange) -> None:
    raise asyncio.CancelledError


async def garbage_later(exchange: Exchange) -> Any:
    return "no"


def stop_iteration(exchange: Exchange) -> None:
    raise StopIteration


def recurse(exchange: Exchange) -> None:
    recurse(exchange)


FAILURES: dict[str, tuple[Do, int]] = {
    "raises": (fail, 500),
    "raises after a while": (fail_later, 500),
    "hangs": (hang, 504),
    "is cut off by what it waits for": (cancelled_elsewhere, 500),
    "raises CancelledError": (raise_cancelled, 500),
    "returns garbage": (lambda x: object(), 500),
    "returns garbage after a while": (garbage_later, 500),
    "raises StopIteration": (stop_iteration, 500),
    "recurses": (recurse, 500),
    "raises TimeoutError": (lambda x: (_ for _ in ()).throw(TimeoutError), 504),
}


@pytest.mark.parametrize("phase", Phase)
@pytest.mark.parametrize("failure", FAILURES)
def test_deny_refuses_the_exchange(failure: str, phase: Phase, caplog: pytest.LogCaptureFixture) -> None:
    do, status = FAILURES[failure]
    machine, answers = go(Chain([Use(acting_in(phase, do), name="guard")]), *MESSAGES.values())
    at = list(MESSAGES).index(phase)
    details = "extproc.guard.timeout" if status == 504 else "extproc.guard.error"
    refused = Immediate(status, details=details)
    assert answers == [*(UNCHANGED[item] for item in list(MESSAGES)[:at]), refused, *[None] * (5 - at)]
    assert f"filter 'guard' failed in {phase.value} (policy: deny)" in caplog.text
    assert machine.events is not None
    assert [(event.filter, event.phase, event.action) for event in machine.events] == [("guard", phase, "deny")]


@pytest.mark.parametrize("phase", Phase)
@pytest.mark.parametrize("failure", FAILURES)
def test_skip_goes_on_without_the_filter(failure: str, phase: Phase, caplog: pytest.LogCaptureFixture) -> None:
    do, _ = FAILURES[failure]
    machine, answers = go(Chain([Use(acting_in(phase, do), name="extra", on_error="skip")]), *MESSAGES.values())
    assert answers == [UNCHANGED[item] for item in MESSAGES]
    assert f"filter 'extra' failed in {phase.value} (policy: skip)" in caplog.text
    assert machine.events is not None
    assert [(event.filter, event.phase, event.action) for event in machine.events] == [("extra", phase, "skip")]


@pytest.mark.parametrize("do", [lambda x: x.request.headers["x-not-there"], lambda x: x.request.json()])
def test_an_error_that_a_client_provokes_is_an_error_like_any_other(do: Do) -> None:
    _, [answer] = go(Chain([acting(on_request_headers=do)]), request())
    assert answer.status == 500


def test_a_failed_filter_is_out_for_the_rest_of_the_exchange() -> None:
    seen: list[Phase | None] = []

    def first_fails(exchange: Exchange) -> None:
        seen.append(exchange.phase)
        fail(exchange)

    note: Do = lambda x: seen.append(x.phase)  # noqa: E731
    filter_ = acting(on_request_headers=first_fails, on_request_body=note, on_response_headers=note)
    go(Chain([Use(filter_, on_error="skip")]), *MESSAGES.values())
    assert seen == [Phase.REQUEST_HEADERS]


def test_a_filter_that_failed_in_one_exchange_takes_part_in_the_next() -> None:
    calls: list[int] = []

    def fail_once(exchange: Exchange) -> None:
        calls.append(1)
        if len(calls) == 1:
            fail(exchange)

    chain = Chain([acting(on_request_headers=fail_once)])
    statuses = [go(chain, request())[1][0] for _ in range(2)]
    assert statuses == [Immediate(500, details="extproc.acting.error"), UNCHANGED[Phase.REQUEST_HEADERS]]


# Nothing half done


def edit_everything(exchange: Exchange) -> None:
    """Whatever can be edited in the phase that is running."""
    assert exchange.phase is not None
    is_request = exchange.phase.value.startswith("request")
    side = exchange.request if is_request else exchange.response
    if exchange.phase.value.endswith("trailers"):
        side.trailers["x-half"] = "1"
    else:
        side.headers["x-half"] = "1"
        side.headers.add("x-there", "2")
        side.headers.pop("x-gone", None)
        side.body = "half"
    if exchange.phase in (Phase.REQUEST_HEADERS, Phase.REQUEST_BODY):
        exchange.request.path = "/half"
        exchange.clear_route_cache()
    if exchange.phase in (Phase.RESPONSE_HEADERS, Phase.RESPONSE_BODY):
        exchange.response.status = 500
        exchange.response.details = "half"
        exchange.response.grpc_status = 13
    exchange.metadata.emit("ours", {"half": True})


@pytest.mark.parametrize("phase", Phase)
@pytest.mark.parametrize("failure", FAILURES)
def test_a_filter_that_is_skipped_leaves_no_trace_of_its_edits(failure: str, phase: Phase) -> None:
    def do(exchange: Exchange) -> Any:
        edit_everything(exchange)
        return FAILURES[failure][0](exchange)

    def keep(exchange: Exchange) -> None:
        """What the filter before it edited stays."""
        exchange.metadata.emit("ours", {"kept": True})

    messages = dict(MESSAGES)
    messages[Phase.REQUEST_HEADERS] = request(("x-there", "1"), ("x-gone", "1"), end=False)
    messages[Phase.RESPONSE_HEADERS] = response(("x-there", "1"), ("x-gone", "1"), end=False)
    keeper, half = acting_in(phase, keep, metadata_out=OURS), acting_in(phase, do, metadata_out=OURS)
    filters = [Use(keeper), Use(half, name="half", on_error="skip")]
    _, answers = go(Chain(filters if phase.value.startswith("request") else filters[::-1]), *messages.values())
    assert answers == [Continue(item, metadata={"ours": {"kept": True}} if item is phase else {}) for item in MESSAGES]


def test_a_filter_that_is_skipped_leaves_no_trace_on_the_response_of_another() -> None:
    def spoil(exchange: Exchange) -> None:
        edit_everything(exchange)
        fail(exchange)

    spoiler = acting(on_response_headers=spoil, on_response_body=spoil, metadata_out=OURS)
    answering = acting(on_request_headers=lambda x: Response(403, "no", {"x-there": "1"}, details="why", grpc_status=7))
    _, [answer] = go(Chain([Use(spoiler, on_error="skip"), answering]), request())
    assert answer == Immediate(403, (HeaderEdit("x-there", b"1"),), b"no", "why", 7)


def test_what_a_filter_did_in_an_earlier_hook_stays_when_it_fails_later() -> None:
    chain = Chain([Use(acting(on_request_headers=edit_headers, on_request_body=fail), on_error="skip")])
    _, answers = go(chain, request(end=False), body(Phase.REQUEST_BODY, b""))
    assert answers == [
        Continue(Phase.REQUEST_HEADERS, (HeaderEdit("x-early", b"1"),)),
        UNCHANGED[Phase.REQUEST_BODY],
    ]


def edit_headers(exchange: Exchange) -> None:
    exchange.request.headers["x-early"] = "1"


@pytest.mark.parametrize("trace", [True, False])
def test_a_filter_that_has_changed_a_piece_of_a_body_cannot_be_left_out_any_more(trace: bool) -> None:
    def change_then_fail(exchange: Exchange, chunk: bytes) -> bytes:
        if exchange.state.setdefault("pieces", 0):
            raise LookupError
        exchange.state["pieces"] += 1
        return b"#"

    chain = Chain([Use(acting(on_request_chunk=change_then_fail), name="half", on_error="skip")])
    headers = request(end=False, protocol=Protocol(BodyMode.STREAMED, BodyMode.NONE))
    pieces = [body(Phase.REQUEST_BODY, b"piece", end=False)] * 2
    _, answers = go(chain, headers, *pieces, trace=trace)
    assert answers[1:] == [Continue(Phase.REQUEST_BODY, body=b"#"), Immediate(500, details="extproc.half.error")]


def test_what_a_filter_held_back_cannot_be_lost_when_it_is_left_out_for_a_failure_elsewhere() -> None:
    """It holds the body, fails in the response, and then trailers end what nobody may go on without."""
    holder = acting(on_request_body=lambda x: None, on_response_headers=fail)
    messages = [
        request(end=False, protocol=Protocol(BodyMode.STREAMED, BodyMode.NONE)),
        body(Phase.REQUEST_BODY, b"piece", end=False),
        response(end=False),
        trailers(Phase.REQUEST_TRAILERS),
    ]
    _, answers = go(Chain([Use(holder, name="holder", on_error="skip")]), *messages)
    assert answers[-1] == Immediate(500, details="extproc.holder.error")


def test_a_filter_after_the_one_that_was_skipped_sees_what_was_there_before_it() -> None:
    seen: list[Any] = []

    def spoil(exchange: Exchange) -> None:
        edit_everything(exchange)
        fail(exchange)

    def look(exchange: Exchange) -> None:
        seen.append((exchange.request.path, exchange.request.headers.multi_items()))

    spoiler = Use(acting(on_request_headers=spoil, metadata_out=OURS), on_error="skip")
    go(Chain([spoiler, acting(on_request_headers=look)]), request(("x-there", "1"), ("x-gone", "1"), path="/a"))
    assert seen == [("/a", [("x-there", "1"), ("x-gone", "1")])]


# Time


def slow(seconds: float) -> Do:
    async def hook(exchange: Exchange) -> None:
        await asyncio.sleep(seconds)
        exchange.request.headers[f"x-{seconds}"] = "1"

    return hook


@pytest.mark.parametrize(("seconds", "in_time"), [(0.5, True), (1.5, False)])
def test_a_filter_has_the_time_it_was_given(seconds: float, in_time: bool) -> None:
    chain = Chain([Use(acting(on_request_headers=slow(seconds)), timeout=1)], timeout=5)
    _, [answer] = go(chain, request())
    assert isinstance(answer, Continue) is in_time


def test_filters_share_the_time_of_the_chain() -> None:
    chain = Chain([Use(acting(on_request_headers=slow(0.6)), name=name, on_error="skip") for name in "ab"], timeout=1)
    machine, [answer] = go(chain, request())
    assert [edit.name for edit in answer.set_headers] == ["x-0.6"]
    assert machine.events is not None
    assert [(event.filter, event.action, event.note) for event in machine.events][1:] == [("b", "skip", "TimeoutError")]


def test_each_message_has_the_whole_time() -> None:
    filter_ = acting(on_request_headers=slow(0.6), on_request_body=slow(0.7))
    _, answers = go(Chain([filter_], timeout=1), request(end=False), body(Phase.REQUEST_BODY, b""))
    assert [answer.set_headers[0].name for answer in answers] == ["x-0.6", "x-0.7"]


def test_a_hook_without_time_left_may_still_answer_at_once() -> None:
    """Its filter need not be punished for the slow one before it, unless it has to wait."""

    async def at_once(exchange: Exchange) -> Response:
        return Response(403, details=f"{exchange.remaining:g} s left")

    chain = Chain(
        [Use(acting(on_request_headers=slow(2)), on_error="skip"), acting(on_request_headers=at_once)], timeout=1
    )
    _, [answer] = go(chain, request())
    assert (answer.status, answer.details) == (403, "0 s left")


def test_a_chunk_hook_has_its_time_too() -> None:
    chain = Chain([Use(acting(on_request_chunk=lambda x, chunk: hang(x)), name="guard")])
    _, [_, answer] = go(chain, request(end=False), body(Phase.REQUEST_BODY, b"a"))
    assert answer == Immediate(504, details="extproc.guard.timeout")


def test_a_hook_that_swallows_its_timeout_is_taken_at_its_word() -> None:
    async def stubborn(exchange: Exchange) -> Response:
        with contextlib.suppress(asyncio.CancelledError):
            await hang(exchange)
        return Response(503, details="late")

    _, [answer] = go(Chain([acting(on_request_headers=stubborn)]), request())
    assert (answer.status, answer.details) == (503, "late")


def test_details_that_a_hook_for_pieces_gave_a_reply_go_with_it_when_it_fails() -> None:
    def rename_and_fail(exchange: Exchange, _: bytes) -> None:
        exchange.response.details = "half done"
        raise RuntimeError

    before = Use(acting(on_response_chunk=rename_and_fail), on_error="skip")
    _, (answer,) = go(Chain([before, acting(on_request_headers=lambda _: Response(403, details="own"))]), request())
    assert answer.details == "own"
