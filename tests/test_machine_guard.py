"""No illegal answer can be built: what a filter tries fails in that filter, and log and trace say which it was."""

from __future__ import annotations

from typing import Any

import pytest

from extproc import Chain, Exchange, Phase, Response, Use
from extproc.guard import FRAMING, Limits
from extproc.messages import Immediate, Message
from tests.acting import Do, acting, acting_in
from tests.envoy_side import body, go, request, response, trailers


def set_header(name: str, value: Any = "1") -> Do:
    return lambda exchange: exchange.request.headers.__setitem__(name, value)


def assign(attribute: str, value: Any) -> Do:
    return lambda exchange: setattr(exchange.request, attribute, value)


REFUSED: dict[str, tuple[Do, str]] = {
    **{f"framing {name}": (set_header(name), "frames the message") for name in sorted(FRAMING)},
    "remove content-length": (lambda x: x.request.headers.pop("content-length"), "frames the message"),
    "append transfer-encoding": (lambda x: x.request.headers.add("Transfer-Encoding", "chunked"), "frames the message"),
    "empty name": (set_header(""), "no legal name"),
    "space in a name": (set_header("x y"), "no legal name"),
    "colon in a name": (set_header("x:y"), "no legal name"),
    "line break in a name": (set_header("x\r\ny"), "no legal name"),
    "name outside ASCII": (set_header("é"), "no legal name"),
    "long name": (set_header("x" * 8192), "no legal name"),
    "CR LF in a value": (set_header("x", "1\r\nset-cookie: a=b"), "control character b'\\r'"),
    "LF in a value": (set_header("x", "1\n2"), "control character b'\\n'"),
    "NUL in a value": (set_header("x", "1\x002"), "control character b'\\x00'"),
    "DEL in a value": (set_header("x", b"1\x7f2"), "control character b'\\x7f'"),
    "value that is no text": (set_header("x", 3), "takes str or bytes, not int"),
    ":path as a header": (set_header(":path", "/x"), "pseudo-header"),
    ":method as a header": (set_header(":method", "PUT"), "pseudo-header"),
    "unknown pseudo-header": (set_header(":foo"), "pseudo-header"),
    "host as a header": (set_header("host", "b"), "use request.host"),
    "removing host": (lambda x: x.request.headers.pop("host", None), "use request.host"),
    "removing :path": (lambda x: x.request.headers.pop(":path", None), "pseudo-header"),
    "x-envoy-": (set_header("x-envoy-max-retries"), "'envoy_headers'"),
    "space in the path": (assign("path", "/a b"), "begin with '/'"),
    "empty path": (assign("path", ""), "begin with '/'"),
    "path without a slash": (assign("path", "a"), "begin with '/'"),
    "fragment in the path": (assign("target", "/a#b"), "begin with '/'"),
    "CR LF in the path": (assign("target", "/a\r\nx: y"), "begin with '/'"),
    "method without asking": (assign("method", "PUT"), "'routing'"),
    "host without asking": (assign("host", "b"), "'routing'"),
    "scheme without asking": (assign("scheme", "https"), "'routing'"),
    "too many headers": (
        lambda x: x.request.headers.update({f"x-{n}": "1" for n in range(120)}),
        "the number of headers would be 126, over Envoy's limit of 100",
    ),
    "too large headers": (set_header("x", "a" * 90_000), "the size of the headers in bytes"),
    "body that is none": (assign("body", 3), "a body is bytes or str"),
    "status-less response": (lambda x: Response(), "status"),  # type: ignore[call-arg]
    "response with status 100": (lambda x: Response(100), "200 to 599"),
    "response with status 700": (lambda x: Response(700), "200 to 599"),
    "204 with a body": (lambda x: Response(204, "x"), "has no body"),
    "response with content-length": (lambda x: Response(200, "x", {"content-length": "4"}), "frames the message"),
    "response with CR LF": (lambda x: Response(302, headers={"location": "/\r\nx: y"}), "control character"),
    "response with too many headers": (
        lambda x: Response(200, headers=[(f"x-{n}", "1") for n in range(101)]),
        "the number of headers would be 102",
    ),
    "response with too large headers": (
        lambda x: Response(200, headers={"x": "a" * 90_000}),
        "the size of the headers",
    ),
    "text in place of a response": (lambda x: "no", "HookError: returned str"),
    "number in place of a response": (lambda x: 403, "HookError: returned int"),
    "True in place of a response": (lambda x: True, "HookError: returned bool"),
    "class in place of a response": (lambda x: Response, "HookError: returned type"),
    "request in place of a response": (lambda x: x.request, "HookError: returned Request"),
    "response that is not there": (lambda x: x.response.headers.clear(), "there is no response yet"),
    "trailers that are not there": (lambda x: x.request.trailers.clear(), "the trailers are not here"),
    "body that is not here": (lambda x: x.request.text, "the body is not here yet"),
    "metadata without asking": (lambda x: x.metadata.emit("ours", {}), "`metadata_out`"),
}


@pytest.mark.parametrize("policy", ["deny", "skip"])
@pytest.mark.parametrize("case", REFUSED)
def test_an_illegal_edit_fails_in_the_filter_that_makes_it(
    case: str, policy: Any, caplog: pytest.LogCaptureFixture
) -> None:
    do, sentence = REFUSED[case]
    chain = Chain([acting(), Use(acting(on_request_headers=do), name="culprit", on_error=policy), acting()])
    machine, [answer] = go(chain, request(("content-length", "3"), ("x-before", "1"), end=False))
    [record] = caplog.records
    assert "filter 'culprit' failed in request_headers" in record.getMessage()
    assert sentence in record.getMessage()
    assert machine.events is not None
    [event] = machine.events
    assert (event.filter, event.phase, event.action) == ("culprit", Phase.REQUEST_HEADERS, policy)
    assert sentence in event.note
    if policy == "deny":
        assert answer == Immediate(500, details="extproc.culprit.error")
    else:
        assert (answer.set_headers, answer.remove_headers, answer.body) == ((), (), None)


LATE: dict[str, tuple[Message, Do, str]] = {
    "request body in its trailers": (
        trailers(Phase.REQUEST_TRAILERS),
        lambda x: setattr(x.request, "body", "x"),
        "the body cannot be changed",
    ),
    "request header in its trailers": (
        trailers(Phase.REQUEST_TRAILERS),
        lambda x: x.request.headers.add("x", "1"),
        "cannot be changed",
    ),
    "path in the request's trailers": (
        trailers(Phase.REQUEST_TRAILERS),
        lambda x: setattr(x.request, "path", "/x"),
        "':path' cannot be changed",
    ),
    "status in the response's trailers": (
        trailers(Phase.RESPONSE_TRAILERS),
        lambda x: setattr(x.response, "status", 500),
        "':status' cannot be changed",
    ),
    "framing header in trailers": (
        trailers(Phase.REQUEST_TRAILERS),
        lambda x: x.request.trailers.add("content-length", "1"),
        "frames the message",
    ),
    "status of a response": (response(), lambda x: setattr(x.response, "status", 100), "200 to 599"),
    "framing header in a response": (
        response(end=False),
        lambda x: x.response.headers.add("content-length", "5"),
        "frames the message",
    ),
    "response in response trailers": (
        trailers(Phase.RESPONSE_TRAILERS),
        lambda x: Response(500),
        "a Response comes too late here",
    ),
    "request header in the response": (response(), lambda x: x.request.headers.add("x", "1"), "cannot be changed"),
    "route in the response": (response(), lambda x: x.clear_route_cache(), "the route is past"),
}


@pytest.mark.parametrize("case", LATE)
def test_an_edit_that_comes_too_late_fails_in_the_filter_that_makes_it(
    case: str, caplog: pytest.LogCaptureFixture
) -> None:
    message, do, sentence = LATE[case]
    chain = Chain([Use(acting_in(message.phase, do), name="culprit")])
    machine, answers = go(
        chain, request(), *([response()] if message.phase is Phase.RESPONSE_TRAILERS else []), message
    )
    assert f"filter 'culprit' failed in {message.phase.value}" in caplog.text
    assert machine.events is not None
    assert (machine.events[0].filter, sentence in machine.events[0].note) == ("culprit", True)
    assert isinstance(answers[-1], Immediate)


def test_two_filters_within_the_limits_that_together_break_them_fail_in_the_second() -> None:
    def more(exchange: Exchange) -> None:
        for n in range(6):
            exchange.request.headers.add(f"x-{exchange.state.setdefault('n', n)}-{n}", "1")

    chain = Chain([Use(acting(on_request_headers=more), name=name, on_error="skip") for name in ("one", "two")])
    machine, [answer] = go(chain, request(), limits=Limits(header_count=12))
    assert len(answer.set_headers) == 6
    assert machine.events is not None
    assert [(event.filter, event.action) for event in machine.events] == [("one", "edit"), ("two", "skip")]


def test_what_came_over_a_limit_may_stay() -> None:
    """Somebody gave that Envoy a larger one."""
    chain = Chain([acting(on_request_headers=lambda x: x.request.headers.__setitem__("x-0", "2"))])
    _, [answer] = go(chain, request(*((f"x-{n}", "1") for n in range(150))))
    assert [edit.name for edit in answer.set_headers] == ["x-0"]


@pytest.mark.parametrize("phase", Phase)
def test_limits_hold_in_every_phase(phase: Phase) -> None:
    def grow(exchange: Exchange) -> None:
        side = exchange.request if phase.value.startswith("request") else exchange.response
        (side.trailers if phase.value.endswith("trailers") else side.headers)["x"] = "a" * 90_000

    messages = {
        Phase.REQUEST_HEADERS: request(),
        Phase.RESPONSE_HEADERS: response(),
        Phase.REQUEST_BODY: body(Phase.REQUEST_BODY, b""),
        Phase.RESPONSE_BODY: body(Phase.RESPONSE_BODY, b""),
    }
    machine, [answer] = go(Chain([acting_in(phase, grow)]), messages.get(phase) or trailers(phase))
    assert isinstance(answer, Immediate)
    assert machine.events is not None
    assert "LimitError" in machine.events[0].note


def test_neither_log_nor_trace_nor_answer_shows_the_value_that_was_refused(caplog: pytest.LogCaptureFixture) -> None:
    do = set_header("authorization", "Bearer s3cret\r\n")
    machine, [answer] = go(Chain([acting(on_request_headers=do)]), request())
    assert "s3cret" not in "".join(record.getMessage() for record in caplog.records)
    assert "s3cret" not in repr(machine.events) + repr(answer)


def test_an_answer_to_envoy_never_holds_the_text_of_an_exception() -> None:
    """It would end up in Envoy's access log."""

    def fail(exchange: Exchange) -> None:
        raise RuntimeError("password=s3cret")

    _, [answer] = go(Chain([acting(on_request_headers=fail)]), request())
    _, [late] = go(Chain([acting(on_response_trailers=fail)]), trailers(Phase.RESPONSE_TRAILERS))
    assert "s3cret" not in repr(answer) + repr(late)
    assert (answer.details, late.details) == ("extproc.acting.error", "extproc.acting.error")
