"""One exchange on its way through a chain: order, visibility, conditions, and when it is over."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from extproc import BodyMode, Chain, Exchange, Phase, PhaseError, Response, Use
from extproc.answers import UNCHANGED
from extproc.machine import ExchangeMachine
from extproc.messages import Abort, Continue, HeaderEdit, Immediate, Message, Piece, Protocol
from tests.acting import Do, acting, acting_in, acting_with
from tests.envoy_side import BUFFERED, apply, body, converse, go, request, response, trailers
from tests.jumping_loop import LoopClock, run

EVERY_PHASE = [
    request(("x-a", "1"), end=False),
    body(Phase.REQUEST_BODY, b"up", end=False),
    trailers(Phase.REQUEST_TRAILERS, ("t", "1")),
    response(("x-b", "1"), end=False),
    body(Phase.RESPONSE_BODY, b"down", end=False),
    trailers(Phase.RESPONSE_TRAILERS, ("t", "2")),
]


def setting(name: str, value: str = "1") -> Do:
    """A hook that sets a header in the direction that is running."""

    def hook(exchange: Exchange) -> None:
        assert exchange.phase is not None
        side = exchange.request if exchange.phase.value.startswith("request") else exchange.response
        (side.trailers if exchange.phase.value.endswith("trailers") else side.headers)[name] = value

    return hook


def with_every_hook(name: str, log: list[str]) -> Use:
    """A filter that notes each of its hooks."""

    def note(hook: str) -> Do:
        return lambda exchange: log.append(f"{name} {hook}")

    hooks = {f"on_{phase.value}": note(phase.value) for phase in Phase}
    return Use(acting_with({**hooks, "on_complete": note("end")}), name=name)


# Answers


def test_every_message_gets_one_answer_of_its_phase() -> None:
    _, answers = go(Chain([acting_in(phase, setting("x-new", phase.value)) for phase in Phase]), *EVERY_PHASE)
    assert [answer.phase for answer in answers] == [message.phase for message in EVERY_PHASE]
    assert [answer.set_headers for answer in answers] == [
        (HeaderEdit("x-new", message.phase.value.encode()),) for message in EVERY_PHASE
    ]


@pytest.mark.parametrize("chain", [Chain([]), Chain([acting_in(phase, lambda x: None) for phase in Phase])])
def test_what_changes_nothing_is_answered_by_the_constants(chain: Chain) -> None:
    """A front serves them without encoding anything."""
    _, answers = go(chain, *EVERY_PHASE)
    assert all(answer is UNCHANGED[answer.phase] for answer in answers)


def test_an_edit_that_another_filter_takes_back_is_no_change() -> None:
    chain = Chain([acting(on_request_headers=setting("x-a", "2")), acting(on_request_headers=setting("x-a", "1"))])
    _, [answer] = go(chain, request(("x-a", "1")))
    assert answer is UNCHANGED[Phase.REQUEST_HEADERS]


def test_a_chain_whose_hooks_do_not_suspend_runs_without_an_event_loop() -> None:
    chain = Chain([acting(on_request_headers=setting("x-new"), on_complete=lambda x: None)])
    machine = ExchangeMachine(chain, "x-1")
    with pytest.raises(StopIteration) as answered:
        machine.receive(request()).send(None)
    assert answered.value.value.set_headers == (HeaderEdit("x-new", b"1"),)
    with pytest.raises(StopIteration):
        machine.close().send(None)


@pytest.mark.parametrize("attribute", ["path", "target", "query"])
def test_a_changed_path_clears_the_route_by_itself(attribute: str) -> None:
    """Else the new path would go to where the old one leads."""
    chain = Chain(
        [acting(on_request_headers=lambda x: setattr(x.request, attribute, "/canary" * (attribute != "query")))]
    )
    _, [answer] = go(chain, request(path="/a?b"))
    assert answer.clear_route_cache


@pytest.mark.parametrize(("attribute", "value"), [("method", "PUT"), ("host", "b.example"), ("scheme", "https")])
def test_changed_routing_headers_clear_the_route_too(attribute: str, value: str) -> None:
    chain = Chain(
        [acting(on_request_headers=lambda x: setattr(x.request, attribute, value), requires=frozenset({"routing"}))]
    )
    _, [answer] = go(chain, request())
    assert answer.clear_route_cache


def test_other_headers_do_not_clear_the_route() -> None:
    _, [answer, _] = go(Chain([acting(on_request_headers=setting("x-a"))]), request(), response())
    assert not answer.clear_route_cache


def test_a_changed_status_is_no_change_of_route() -> None:
    chain = Chain([acting(on_response_headers=lambda x: setattr(x.response, "status", 503))])
    _, [_, answer] = go(chain, request(), response())
    assert (answer.set_headers, answer.clear_route_cache) == ((HeaderEdit(":status", b"503"),), False)


# Order and visibility


def test_requests_meet_filters_in_order_and_responses_in_reverse() -> None:
    log: list[str] = []
    go(Chain([with_every_hook("a", log), with_every_hook("b", log)]), *EVERY_PHASE)
    wanted = [f"{name} {phase.value}" for phase in Phase for name in ("ab" if phase.value.startswith("req") else "ba")]
    assert log == [*wanted, "a end", "b end"]


@pytest.mark.parametrize("message", EVERY_PHASE, ids=lambda message: message.phase.value)
def test_edits_are_seen_by_later_filters_and_envoys_copy_becomes_ours(message: Message) -> None:
    seen: list[Any] = []

    def look(exchange: Exchange) -> None:
        side = exchange.request if message.phase.value.startswith("request") else exchange.response
        fields = side.trailers if message.phase.value.endswith("trailers") else side.headers
        seen.append(list(fields._items))

    filters = [acting_in(message.phase, setting("x-new", "2")), acting_in(message.phase, look)]
    chain = Chain(filters if message.phase.value.startswith("request") else filters[::-1])
    _, [answer] = go(chain, message)
    assert apply(message.headers, answer.set_headers, answer.remove_headers) == seen[0]


def test_the_request_can_be_read_in_the_response_phases_but_not_edited() -> None:
    seen: list[str] = []

    def look(exchange: Exchange) -> None:
        seen.append(exchange.request.headers["x-a"])
        edits: list[Do] = [
            lambda: exchange.request.headers.add("x-late", "1"),
            lambda: setattr(exchange.request, "path", "/late"),
            lambda: setattr(exchange.request, "body", "late"),
        ]
        for edit in edits:
            with pytest.raises(PhaseError, match="it has left already"):
                edit()

    machine, answers = go(Chain([acting(on_response_headers=look)]), request(("x-a", "1")), response())
    assert (seen, answers[1], machine.events) == (["1"], UNCHANGED[Phase.RESPONSE_HEADERS], [])


def test_headers_cannot_be_edited_in_a_trailers_phase() -> None:
    machine, answers = go(
        Chain([acting(on_request_trailers=lambda x: x.request.headers.add("x", "1"))]), *EVERY_PHASE[:3]
    )
    assert isinstance(answers[2], Immediate)
    assert machine.events is not None
    assert "PhaseError" in machine.events[0].note


def test_trailers_that_envoy_shows_without_headers_can_be_edited() -> None:
    _, [answer] = go(Chain([acting(on_response_trailers=setting("t", "3"))]), EVERY_PHASE[5])
    assert answer == Continue(Phase.RESPONSE_TRAILERS, (HeaderEdit("t", b"3"),))


# Conditions


def by_path(log: list[str], path: str, *, name: str = "guard") -> Use:
    return Use(with_every_hook(name, log).filter, name=name, when={"path": path})


def test_a_filter_whose_condition_holds_takes_part_in_every_phase() -> None:
    log: list[str] = []
    go(Chain([by_path(log, "/api/**")]), request(path="/api/x"), response())
    assert log == [
        "guard request_headers",
        "guard request_body",
        "guard response_headers",
        "guard response_body",
        "guard end",
    ]


def test_a_filter_whose_condition_does_not_hold_takes_no_part_at_all() -> None:
    log: list[str] = []
    _, answers = go(Chain([by_path(log, "/api/**")]), *EVERY_PHASE)
    assert log == []
    assert all(answer is UNCHANGED[answer.phase] for answer in answers)


def test_a_condition_is_judged_on_the_request_as_it_stands_at_the_filters_turn() -> None:
    log: list[str] = []
    rewrite = acting(on_request_headers=lambda x: setattr(x.request, "path", "/b"))
    chain = Chain(
        [by_path(log, "/a", name="a"), rewrite, by_path(log, "/b", name="b"), by_path(log, "/a", name="late")]
    )
    go(chain, request(path="/a"))
    assert log == ["a request_headers", "b request_headers", "a request_body", "b request_body", "a end", "b end"]


def test_a_condition_without_a_hook_for_the_request_is_judged_all_the_same() -> None:
    log: list[str] = []
    quiet = acting(on_response_headers=lambda x: log.append(x.request.path))
    chain = Chain([Use(quiet, when={"path": "/a"})])
    for path in ("/a", "/b"):
        go(chain, request(path=path), response())
    assert log == ["/a"]


def test_a_condition_is_judged_anew_in_every_exchange() -> None:
    log: list[str] = []
    chain = Chain([by_path(log, "/a")])
    for path in ("/a", "/b", "/a"):
        go(chain, request(path=path, end=False))
    assert log == ["guard request_headers", "guard end"] * 2


def test_a_response_without_a_request_meets_only_the_unconditional_filters() -> None:
    """Envoy made it by itself, before it asked about the request."""
    log: list[str] = []
    chain = Chain(
        [
            with_every_hook("always", log),
            by_path(log, "**"),
            Use(with_every_hook("not", log).filter, name="not", when={"not": {"path": "/a"}}),
        ]
    )
    machine, answers = go(chain, *EVERY_PHASE[3:])
    assert log == [*(f"always {message.phase.value}" for message in EVERY_PHASE[3:]), "always end"]
    assert machine.exchange.request.method == ""
    assert len(answers) == 3


def test_a_request_that_never_was_cannot_be_edited() -> None:
    machine, [answer] = go(Chain([acting(on_response_headers=lambda x: x.request.headers.add("x", "1"))]), response())
    assert isinstance(answer, Immediate)
    assert machine.events is not None
    assert "Envoy made the response by itself" in machine.events[0].note


def test_a_response_may_begin_before_the_request_has_ended() -> None:
    seen: list[Any] = []

    def look(exchange: Exchange) -> None:
        with pytest.raises(PhaseError, match="body is not here yet"):
            _ = exchange.request.body
        seen.append(exchange.response.status)

    chain = Chain([acting(on_response_headers=look, on_request_body=lambda x: seen.append(x.request.body))])
    _, answers = go(chain, request(end=False), response(status=413), body(Phase.REQUEST_BODY, b"late"))
    assert (seen, [answer.phase for answer in answers]) == (
        [413, b"late"],
        [Phase.REQUEST_HEADERS, Phase.RESPONSE_HEADERS, Phase.REQUEST_BODY],
    )


# What Envoy gets wrong


@pytest.mark.parametrize(
    ("messages", "answered"),
    [
        ([request(), request()], 1),
        ([request(end=False), body(Phase.REQUEST_BODY, b"", end=False), request()], 2),
        ([request(end=False), body(Phase.REQUEST_BODY, b""), body(Phase.REQUEST_BODY, b"")], 2),
        ([response(), response()], 1),
        ([response(end=False), trailers(Phase.RESPONSE_TRAILERS), body(Phase.RESPONSE_BODY, b"")], 2),
        ([request(end=False), trailers(Phase.REQUEST_TRAILERS), trailers(Phase.REQUEST_TRAILERS)], 2),
    ],
)
def test_a_message_out_of_order_breaks_the_stream_off(
    messages: list[Message], answered: int, caplog: pytest.LogCaptureFixture
) -> None:
    log: list[str] = []
    machine, answers = go(Chain([with_every_hook("a", log)]), *messages, response())
    assert answers[answered] == Abort("INVALID_ARGUMENT", "extproc.message_order")
    assert answers[answered + 1 :] == [None] * (len(messages) - answered)
    assert (machine.exchange.ended, log.count("a end")) == ("aborted", 1)
    assert "came twice or too late" in caplog.text


def test_a_streamed_body_may_come_in_pieces() -> None:
    streamed = Protocol(BodyMode.STREAMED, BodyMode.STREAMED)
    pieces = [body(Phase.REQUEST_BODY, b"a", end=False)] * 3
    _, answers = go(Chain([]), request(end=False, protocol=streamed), *pieces)
    assert answers[1:] == [UNCHANGED[Phase.REQUEST_BODY]] * 3


def test_a_body_that_nobody_wants_is_carried_on_where_envoy_leaves_that_to_us() -> None:
    """In FULL_DUPLEX_STREAMED, what is not sent back is lost."""
    duplex = Protocol(BodyMode.FULL_DUPLEX_STREAMED, BodyMode.FULL_DUPLEX_STREAMED)
    messages = [
        request(end=False, protocol=duplex),
        *(body(Phase.REQUEST_BODY, b"a", end=end) for end in (False, True)),
    ]

    async def scene() -> list[Any]:
        machine = ExchangeMachine(Chain([]), "x-1", clock=LoopClock())
        return [output for message in messages for output in await machine.receive_all(message)]

    assert run(scene()) == [
        UNCHANGED[Phase.REQUEST_HEADERS],
        Piece(Phase.REQUEST_BODY, b"a"),
        Piece(Phase.REQUEST_BODY, b"a", end_of_stream=True),
    ]


@pytest.mark.parametrize("policy", ["deny", "skip"])
@pytest.mark.parametrize(
    ("message", "hook"),
    [
        (body(Phase.REQUEST_BODY, b"up"), "on_request_headers"),
        (trailers(Phase.REQUEST_TRAILERS), "on_request_headers"),
        (body(Phase.RESPONSE_BODY, b"down", protocol=BUFFERED), "on_response_headers"),
    ],
)
def test_who_needs_headers_that_envoy_does_not_show_fails(
    message: Message, hook: str, policy: Any, caplog: pytest.LogCaptureFixture
) -> None:
    """Else a misconfigured Envoy would walk requests past it."""
    blind = Use(acting_with({hook: lambda x: None}), name="blind", on_error=policy)
    _, [answer] = go(Chain([blind]), message)
    if policy == "skip":
        assert answer is UNCHANGED[message.phase]
    else:
        assert answer == Immediate(500, details="extproc.blind.error")
    assert "header_mode to SEND" in caplog.text


def test_a_condition_that_cannot_be_judged_for_want_of_headers_fails() -> None:
    guard = Use(acting(on_request_body=lambda x: None), name="guard", when={"path": "/a"})
    _, [answer] = go(Chain([guard]), body(Phase.REQUEST_BODY, b"up"))
    assert answer == Immediate(500, details="extproc.guard.error")


@pytest.mark.parametrize(
    "do", [lambda x: None, lambda x: Response(403), lambda x: x.request.headers.add("x", "1"), lambda x: 1 / 0]
)
def test_nothing_is_answered_to_an_envoy_that_only_watches(do: Do) -> None:
    messages = [request(protocol=None, observability=True), response(observability=True), response(observability=True)]
    log: list[str] = []
    _, answers = go(Chain([acting(on_request_headers=do), with_every_hook("a", log)]), *messages)
    assert answers == [None] * 3
    assert log.count("a end") == 1


def test_who_only_watches_sees_bodies_whole_too() -> None:
    seen: list[bytes] = []
    messages = [
        request(end=False, protocol=None, observability=True),
        body(Phase.REQUEST_BODY, b"a", end=False, observability=True),
        body(Phase.REQUEST_BODY, b"b", observability=True),
    ]

    def refuse(exchange: Exchange) -> Response:
        exchange.request.headers["x-a"] = "1"
        return Response(403)

    looking = acting(on_request_body=lambda x: seen.append(x.request.body))
    machine, answers = go(Chain([acting(on_request_headers=refuse), looking]), *messages)
    assert (answers, seen, machine.exchange.ended) == ([None] * 3, [b"ab"], "complete")


# The end


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


def test_exchanges_share_nothing_but_the_filters() -> None:
    """Two at once, each waiting in the middle of a hook."""

    async def mark(exchange: Exchange) -> None:
        exchange.request.headers["x-id"] = exchange.request.path
        exchange.state["path"] = exchange.request.path
        await asyncio.sleep(0.01)
        exchange.request.headers["x-state"] = exchange.state["path"]

    chain = Chain([acting(on_request_headers=mark)])

    async def scene() -> list[Any]:
        machines = [ExchangeMachine(chain, f"x-{n}", clock=LoopClock()) for n in range(5)]
        asked = [machine.receive(request(path=f"/{n}")) for n, machine in enumerate(machines)]
        return await asyncio.gather(*asked)

    for n, answer in enumerate(run(scene())):
        path = f"/{n}".encode()
        assert answer.set_headers == (HeaderEdit("x-id", path), HeaderEdit("x-state", path))
