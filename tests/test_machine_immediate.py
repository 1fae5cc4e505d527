"""A filter's own response: back through the filters before it, in reverse, and out to the client."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from extproc import Chain, Exchange, Phase, Response, Use
from extproc.guard import FRAMING
from extproc.messages import HeaderEdit, Immediate
from tests.acting import Do, acting, acting_in, acting_with
from tests.envoy_side import body, go, request, response, trailers

ANSWERABLE = {
    Phase.REQUEST_HEADERS: [request(end=False)],
    Phase.REQUEST_BODY: [request(end=False), body(Phase.REQUEST_BODY, b"up")],
    Phase.REQUEST_TRAILERS: [request(end=False), trailers(Phase.REQUEST_TRAILERS)],
    Phase.RESPONSE_HEADERS: [request(), response(end=False)],
    Phase.RESPONSE_BODY: [request(), response(end=False), body(Phase.RESPONSE_BODY, b"down")],
}


def noting(name: str, log: list[str]) -> Use:
    """A filter that notes each hook, with the status it sees."""

    def note(phase: Phase) -> Do:
        def hook(exchange: Exchange) -> None:
            status = exchange.response.status if exchange.has_response else "-"
            log.append(f"{name} {phase.value} {status}")

        return hook

    return Use(acting_with({f"on_{phase.value}": note(phase) for phase in Phase}), name=name)


@pytest.mark.parametrize("phase", ANSWERABLE)
def test_a_response_ends_the_exchange(phase: Phase) -> None:
    chain = Chain([Use(acting_in(phase, lambda x: Response(403, "no", {"x-why": "key"})), name="guard")])
    machine, answers = go(chain, *ANSWERABLE[phase], trailers(Phase.RESPONSE_TRAILERS))
    answer = Immediate(403, (HeaderEdit("x-why", b"key"),), b"no", "extproc.guard")
    assert answers[-2:] == [answer, None]
    assert (machine.over, machine.exchange.ended, machine.exchange.response.status) == (True, "immediate", 403)


@pytest.mark.parametrize("phase", ANSWERABLE)
def test_it_passes_back_through_the_filters_before_it_in_reverse_and_no_others(phase: Phase) -> None:
    log: list[str] = []
    chain = Chain([noting("a", log), noting("b", log), acting_in(phase, lambda x: Response(403)), noting("c", log)])
    go(chain, *ANSWERABLE[phase])
    back = [f"{name} {part} 403" for part in ("response_headers", "response_body") for name in "ba"]
    assert log[-4:] == back
    assert not any(entry.startswith("c") and entry.endswith("403") for entry in log)


def test_filters_after_the_one_that_answers_do_not_see_the_request() -> None:
    log: list[str] = []
    go(Chain([acting(on_request_headers=lambda x: Response(403)), noting("late", log)]), request())
    assert log == []


def test_a_response_to_the_response_leaves_out_the_filters_that_had_the_first_one() -> None:
    """Responses run in reverse: the filters after it have had their say on what is no more."""
    log: list[str] = []
    chain = Chain([noting("a", log), acting(on_response_headers=lambda x: Response(502)), noting("b", log)])
    go(chain, response(status=200))
    assert log == ["b response_headers 200", "a response_headers 502", "a response_body 502"]


def test_filters_before_it_edit_it_as_they_would_any_response() -> None:
    def headers(exchange: Exchange) -> None:
        exchange.response.headers["x-edited"] = "1"
        exchange.response.headers.add("set-cookie", "b=2")
        exchange.response.status = 404

    def whole(exchange: Exchange) -> None:
        exchange.response.body += b", really"

    first = acting(on_response_headers=headers, on_response_body=whole)
    guard = acting(on_request_headers=lambda x: Response(403, "no", [("set-cookie", "a=1")]))
    _, [answer] = go(Chain([first, guard]), request())
    edits = (
        HeaderEdit("set-cookie", b"a=1"),
        HeaderEdit("x-edited", b"1"),
        HeaderEdit("set-cookie", b"b=2", append=True),
    )
    assert answer == Immediate(404, edits, b"no, really", "extproc.acting-2")


def test_a_chunk_hook_gets_the_whole_body_and_then_the_end() -> None:
    chunks: list[bytes] = []

    def upper(exchange: Exchange, chunk: bytes) -> bytes:
        chunks.append(chunk)
        return chunk.upper() or b"!"

    _, [answer] = go(
        Chain([acting(on_response_chunk=upper), acting(on_request_headers=lambda x: Response(403, "no"))]), request()
    )
    assert (answer.body, chunks) == (b"NO!", [b"no", b""])


def test_a_filter_before_it_may_answer_in_its_stead() -> None:
    log: list[str] = []
    replace = acting(on_response_headers=lambda x: Response(302, details="login") if x.response.status == 401 else None)
    chain = Chain([noting("a", log), replace, noting("b", log), acting(on_request_headers=lambda x: Response(401))])
    _, [answer] = go(chain, request())
    assert (answer.status, answer.details) == (302, "login")
    assert log == [
        *[f"{name} request_headers -" for name in "ab"],
        "b response_headers 401",
        *[f"a {part} 302" for part in ("response_headers", "response_body")],
    ]


def test_of_many_answers_that_of_the_first_filter_goes_out() -> None:
    """Made from headers alone, it leaves the body hook of the second without anything to answer to."""
    chain = Chain(
        [
            acting(on_response_headers=lambda x: Response(x.response.status + 1)),
            acting(on_response_body=lambda x: Response(x.response.status + 10)),
            acting(on_response_headers=lambda x: Response(x.response.status + 100)),
            acting(on_request_headers=lambda x: Response(300)),
        ]
    )
    _, [answer] = go(chain, request())
    assert answer.status == 401


@pytest.mark.parametrize(("policy", "status"), [("skip", 403), ("deny", 500)])
def test_a_filter_that_fails_on_the_way_back_fails_by_its_policy(policy: Any, status: int) -> None:
    log: list[str] = []
    bad = Use(acting(on_response_headers=lambda x: 1 / 0), name="bad", on_error=policy)
    _, [answer] = go(Chain([noting("a", log), bad, acting(on_request_headers=lambda x: Response(403))]), request())
    assert answer.status == status
    assert log[1:] == [f"a response_headers {status}", f"a response_body {status}"]


def test_a_denial_passes_back_too() -> None:
    """So that a filter before it can turn it into a page, or add its headers."""
    first = acting(on_response_headers=lambda x: x.response.headers.__setitem__("x-seen", str(x.response.status)))
    _, [answer] = go(Chain([first, Use(acting(on_request_headers=lambda x: 1 / 0), name="guard")]), request())
    assert answer == Immediate(500, (HeaderEdit("x-seen", b"500"),), details="extproc.guard.error")


def test_a_conditional_filter_before_it_takes_part_only_if_its_condition_held() -> None:
    log: list[str] = []
    yes, no = Use(noting("yes", log).filter, when={"path": "/"}), Use(noting("no", log).filter, when={"path": "/other"})
    go(Chain([yes, no, acting(on_request_headers=lambda x: Response(403))]), request())
    assert log == ["yes request_headers -", "yes response_headers 403", "yes response_body 403"]


def test_an_answer_may_take_its_time() -> None:
    async def later(exchange: Exchange) -> Response:
        await asyncio.sleep(0.1)
        return Response(403)

    async def look(exchange: Exchange) -> None:
        await asyncio.sleep(0.1)
        exchange.response.headers["x-late"] = "1"

    _, [answer] = go(Chain([acting(on_response_headers=look), acting(on_request_headers=later)]), request())
    assert (answer.status, answer.set_headers) == (403, (HeaderEdit("x-late", b"1"),))


# One Response object for many exchanges

SHARED = Response(403, "no", {"x-a": "1"}, details="why", grpc_status=7)


def spoil(exchange: Exchange) -> None:
    own = exchange.response
    own.headers["x-a"] = own.headers["x-b"] = exchange.request.path
    own.status, own.body, own.details, own.grpc_status = 404, exchange.request.path, exchange.request.path, 5


def test_the_same_response_for_many_exchanges_stays_what_it_is() -> None:
    chain = Chain(
        [
            Use(acting(on_response_headers=spoil), when={"path": "/spoil/**"}),
            acting(on_request_headers=lambda x: SHARED),
        ]
    )
    for path in ("/spoil/1", "/plain", "/spoil/2", "/plain"):
        _, [answer] = go(chain, request(path=path))
        if path == "/plain":
            assert answer == Immediate(403, (HeaderEdit("x-a", b"1"),), b"no", "why", 7)
        else:
            assert (answer.status, answer.body, answer.details, answer.grpc_status) == (404, path.encode(), path, 5)
    SHARED.headers["x-own"] = "still editable"
    del SHARED.headers["x-own"]


def test_what_it_became_can_be_read_at_the_end_and_not_edited() -> None:
    seen: list[Any] = []

    def look(exchange: Exchange) -> None:
        with pytest.raises(Exception, match="has left already"):
            exchange.response.status = 200
        seen.append((exchange.response.status, exchange.response.body))

    go(Chain([acting(on_request_headers=lambda x: Response(403, "no"), on_complete=look)]), request())
    assert seen == [(403, b"no")]


# The response that is under way


@pytest.mark.parametrize("phase", [Phase.RESPONSE_HEADERS, Phase.RESPONSE_BODY])
def test_returning_the_response_under_way_means_going_on(phase: Phase) -> None:
    """As middleware elsewhere does it; taken as an answer, it would lose the upstream's body."""

    def edit(exchange: Exchange) -> Response:
        exchange.response.headers["x-a"] = "1"
        return exchange.response

    _, answers = go(Chain([acting_in(phase, edit)]), *ANSWERABLE[phase])
    assert [type(answer).__name__ for answer in answers] == ["Continue"] * len(answers)
    assert answers[-1].set_headers == (HeaderEdit("x-a", b"1"),)


def test_returning_it_on_the_way_back_means_going_on_too() -> None:
    chain = Chain(
        [acting(on_response_headers=lambda x: x.response), acting(on_request_headers=lambda x: Response(403, "no"))]
    )
    _, [answer] = go(chain, request())
    assert (answer.status, answer.body, answer.details) == (403, b"no", "extproc.acting-2")


def test_the_upstreams_response_kept_for_later_is_copied_without_its_framing() -> None:
    """Whoever answers with it in a request phase gives its headers, and the body that is here."""
    early = response(("content-length", "5"), ("connection", "close"), ("x-a", "1"), status=413, end=False)
    chain = Chain([acting(on_request_body=lambda x: x.response, on_response_body=lambda x: None)])
    _, [_, _, answer] = go(chain, request(end=False), early, body(Phase.REQUEST_BODY, b"up"))
    assert answer == Immediate(413, (HeaderEdit("x-a", b"1"),), details="extproc.acting")


def test_a_response_without_a_final_status_cannot_be_the_answer() -> None:
    """Envoy would make it 200."""
    early = response(status=101, end=False)
    chain = Chain([Use(acting(on_request_body=lambda x: x.response, on_response_body=lambda x: None), name="guard")])
    machine, answers = go(chain, request(end=False), early, body(Phase.REQUEST_BODY, b"up"))
    assert answers[2] == Immediate(500, details="extproc.guard.error")
    assert machine.events is not None
    assert "cannot be the answer" in machine.events[0].note


def test_a_response_comes_too_late_once_the_client_has_the_beginning_of_another() -> None:
    """The upstream may answer before it has the whole request."""
    chain = Chain([Use(acting(on_request_body=lambda x: Response(403)), name="late")])
    _, answers = go(chain, request(end=False), response(), body(Phase.REQUEST_BODY, b"up"))
    assert answers[2] == Immediate(500, details="extproc.late.error")


# What goes out


@pytest.mark.parametrize("status", [204, 304])
def test_no_body_goes_out_with_a_status_that_has_none(status: int) -> None:
    chain = Chain(
        [
            acting(on_response_headers=lambda x: setattr(x.response, "status", status)),
            acting(on_request_headers=lambda x: Response(200, "x")),
        ]
    )
    _, [answer] = go(chain, request())
    assert (answer.status, answer.body) == (status, b"")


def test_no_body_goes_out_to_a_head_request() -> None:
    _, [answer] = go(Chain([acting(on_request_headers=lambda x: Response(403, "no"))]), request(method="HEAD"))
    assert (answer.status, answer.body) == (403, b"")


def test_no_framing_header_goes_out() -> None:
    raw = [(":status", b"403"), *((name, b"1") for name in sorted(FRAMING)), ("x-a", b"1")]
    _, [answer] = go(Chain([acting(on_request_headers=lambda x: Response._received(raw))]), request())
    assert answer.set_headers == (HeaderEdit("x-a", b"1"),)


def test_metadata_goes_out_with_it() -> None:
    def refuse(exchange: Exchange) -> Response:
        exchange.metadata.emit("ours", {"caller": None})
        return Response(403)

    _, [answer] = go(Chain([acting(on_request_headers=refuse, metadata_out=frozenset({"ours"}))]), request())
    assert answer.metadata == {"ours": {"caller": None}}


def test_a_response_in_the_trailers_of_a_response_comes_too_late() -> None:
    chain = Chain([Use(acting(on_response_trailers=lambda x: Response(500)), name="late")])
    _, answers = go(chain, request(), response(end=False), trailers(Phase.RESPONSE_TRAILERS))
    assert answers[-1] == Immediate(500, details="extproc.late.error")


def test_the_trace_says_who_answered_and_why() -> None:
    guard = Use(acting(on_request_headers=lambda x: Response(403, details="no key")), name="guard")
    machine, _ = go(Chain([guard]), request())
    assert machine.events is not None
    assert [(event.filter, event.action, event.note) for event in machine.events] == [
        ("guard", "respond", "403 no key")
    ]
