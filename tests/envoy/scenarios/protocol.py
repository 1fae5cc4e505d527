"""Broken conversations: wrong answers, missing answers, streams that end; what fails and what goes on unprocessed."""

from __future__ import annotations

from extproc.envoy.model import Close
from extproc.messages import Abort
from extproc.phases import Direction, Phase
from extproc.wire.ext_proc_pb2 import ProcessingResponse
from tests.envoy.answers import answer_now, say
from tests.envoy.moves import waiting
from tests.envoy.raw_processor import Action, unchanged
from tests.envoy.scenario import (
    ALL,
    HEADERS,
    RQB,
    RQH,
    RQT,
    RSB,
    RSH,
    RST,
    TRAILED_POST,
    TRAILED_REPLY,
    Scenario,
    config,
    get,
    on,
    post,
    reply,
)

_SOON = 0.1
_OPEN = config("all", failure_mode_allow=True)
_503 = config("all", status_on_error=503)
_EMPTY = ProcessingResponse()
_ABORT = Abort("INTERNAL", 'boom: {x} "q"')

_OTHER = {RQH: RSH, RQB: RQH, RQT: RQB, RSH: RQH, RSB: RSH, RST: RSB}


def _faults(phase: Phase) -> dict[str, list[Action]]:
    return {
        "empty": [_EMPTY],
        "of-another-phase": [unchanged(_OTHER[phase])],
        "closed": [Close()],
        "aborted": [_ABORT],
        "twice": [unchanged(phase), unchanged(phase)],
        "and-then-aborted": [unchanged(phase), Abort("UNKNOWN", "late")],
        "and-then-closed": [unchanged(phase), Close()],
        "and-then-empty": [unchanged(phase), _EMPTY],
        "and-then-immediate": [unchanged(phase), answer_now(403, body=b"late")],
    }


def _surplus(phase: Phase) -> dict[str, Action]:
    return {"another-answer": unchanged(phase), "an-abort": _ABORT, "a-close": Close()}


_LAST = {
    "request_headers": RQH,
    "headers": RSH,
    "request_headers request_trailers": RQT,
    "request_headers request_body": RQB,
}

SCENARIOS = [
    *(
        Scenario(f"{phase.value}-answer-{what}-{how}", where, {phase: faults}, TRAILED_POST, TRAILED_REPLY)
        for phase in Phase
        for what, faults in _faults(phase).items()
        for how, where in {"shut": ALL, "open": _OPEN, "503": _503}.items()
        if how != "503" or what in ("empty", "aborted")
    ),
    *(
        Scenario(
            f"{phase.value}-answer-missing-{how}",
            where,
            {phase: []},
            TRAILED_POST,
            TRAILED_REPLY,
            moves=waiting(for_response=phase.direction is Direction.RESPONSE),
        )
        for phase in Phase
        for how, where in {
            "shut": config("all", timeout=_SOON),
            "open": config("all", timeout=_SOON, failure_mode_allow=True),
            "503": config("all", timeout=_SOON, status_on_error=503),
        }.items()
        if how != "503" or phase is RQH
    ),
    Scenario("an-answer-ahead-of-its-message", HEADERS, on(RQH, unchanged(RQH), unchanged(RSH))),
    Scenario("a-body-answer-ahead-of-its-message", ALL, on(RQH, unchanged(RQH), unchanged(RQB)), post()),
    Scenario(
        "edits-made-before-a-failure-stay-when-open", _OPEN, {RQH: [say(RQH, ("x-n", b"1"))], RQB: [_ABORT]}, post()
    ),
    Scenario("an-abort-without-a-message", HEADERS, on(RQH, Abort("UNAVAILABLE", ""))),
    *(
        Scenario(f"an-abort-with-{code.lower()}", HEADERS, on(RQH, Abort(code, "why")))
        for code in ("CANCELLED", "UNKNOWN", "UNAUTHENTICATED")
    ),
    Scenario(
        "a-clean-end-bypasses-the-rest", ALL, on(RQH, say(RQH, ("x-n", b"1")), Close()), TRAILED_POST, TRAILED_REPLY
    ),
    # Once Envoy will ask no more it closes the stream, and whatever is said then is not heard
    *(
        Scenario(
            f"{what}-after-the-last-answer-of-{phases.replace(' ', '-')}",
            config(phases),
            on(phase, unchanged(phase), action),
            TRAILED_POST,
            TRAILED_REPLY,
        )
        for phases, phase in _LAST.items()
        for what, action in _surplus(phase).items()
    ),
    *(
        Scenario(f"only-{phases.replace(' ', '-')}-{what}", config(phases), {}, request, response)
        for phases in (
            "request_headers",
            "response_headers",
            "request_body",
            "response_body",
            "request_trailers",
            "response_trailers",
            "request_headers request_body",
            "request_headers request_trailers",
            "response_headers response_body",
        )
        for what, (request, response) in {
            "bodiless": (get(), reply(body=b"")),
            "bodies": (post(), reply(body=b"hello")),
            "trailers": (TRAILED_POST, TRAILED_REPLY),
        }.items()
    ),
    Scenario(
        "another-answer-before-trailers-that-nobody-asks-about",
        config("request_headers request_body"),
        on(RQH, unchanged(RQH), unchanged(RQH)),
        post(b"", trailers=[("x-t", b"1")]),
    ),
    Scenario(
        "another-body-answer-without-trailers",
        config("request_headers request_body"),
        on(RQB, unchanged(RQB), unchanged(RQB)),
        post(),
    ),
    Scenario(
        "another-body-answer-before-response-phases",
        config("headers bodies"),
        on(RQB, unchanged(RQB), unchanged(RQB)),
        TRAILED_POST,
    ),
    Scenario(
        "another-answer-after-a-get-that-nobody-asks-more-about",
        config("request_headers request_body"),
        on(RQH, unchanged(RQH), unchanged(RQH)),
    ),
    Scenario(
        "another-answer-to-the-last-response-body", config("headers bodies"), on(RSB, unchanged(RSB), unchanged(RSB))
    ),
    Scenario("a-failure-after-the-response-headers-left", config("response_body"), on(RSB, _ABORT)),
    Scenario(
        "a-missing-answer-after-the-response-headers-left",
        config("response_body", timeout=_SOON),
        {RSB: []},
        moves=waiting(for_response=True),
    ),
    Scenario("a-failure-before-the-request-body-left", config("request_body"), on(RQB, _ABORT), post()),
    Scenario("a-failure-to-head", HEADERS, on(RQH, _EMPTY), get(method="HEAD")),
    Scenario("a-failure-to-grpc", HEADERS, on(RQH, _EMPTY), post(b"", ("content-type", b"application/grpc"))),
    Scenario(
        "a-timeout-to-grpc",
        config(timeout=_SOON),
        {RQH: []},
        post(b"", ("content-type", b"application/grpc")),
        moves=waiting(),
    ),
]
