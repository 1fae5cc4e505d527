"""BUFFERED bodies, trailers, content-length, and CONTINUE_AND_REPLACE."""

from __future__ import annotations

from typing import Any

from extproc.envoy.model import MutationRules
from tests.envoy.answers import say
from tests.envoy.scenario import (
    ALL,
    BODIES,
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

_LENGTH_BARRED = config("headers bodies", rules=MutationRules(disallow_expression="content-length"))
_LENGTH_BARRED_ERROR = config(
    "headers bodies", rules=MutationRules(disallow_expression="content-length", disallow_is_error=True)
)
_UNSEEN = config("bodies")
_UNSEEN_ALL = config("bodies trailers")
_TRAILERS = config("headers trailers")
_422 = config("headers bodies", status_on_error=422)
_OPEN = config("headers bodies", failure_mode_allow=True)

_FRAMINGS = {"counted": post(), "chunked": post(chunked=True)}
_REPLIES = {"counted": reply(body=b"hello"), "chunked": reply(body=b"hello", chunked=True)}

_BODY_ANSWERS: dict[str, dict[str, Any]] = {
    "longer": {"body": b"longer body"},
    "as-long": {"body": b"olleh"},
    "empty": {"body": b""},
    "cleared": {"clear_body": True},
    "longer-and-length-removed": {"body": b"longer body", "remove": ["content-length"]},
    "cleared-and-length-removed": {"clear_body": True, "remove": ["content-length"]},
    "length-removed-only": {"remove": ["content-length"]},
    "longer-with-replace": {"body": b"longer body", "remove": ["content-length"], "replace": True},
}

_HEAD_REPLY = reply(200, ("x-r", b"1"), body=b"")
_NOT_MODIFIED = reply(304, ("etag", b'"1"'), body=b"")

SCENARIOS = [
    Scenario("every-phase", ALL, request=TRAILED_POST, response=TRAILED_REPLY),
    Scenario("get-has-no-body-phase", ALL),
    Scenario("content-length-0-has-no-body-phase", ALL, request=post(b""), response=reply(body=b"")),
    Scenario(
        "an-empty-chunked-body-is-one-empty-message",
        ALL,
        request=post(b"", chunked=True),
        response=reply(body=b"", chunked=True),
    ),
    Scenario(
        "an-empty-chunked-body-can-be-filled",
        ALL,
        {RQB: [say(RQB, body=b"new")], RSB: [say(RSB, body=b"new")]},
        post(b"", chunked=True),
        reply(body=b"", chunked=True),
    ),
    Scenario(
        "an-empty-body-before-trailers-has-no-body-phase",
        ALL,
        request=post(b"", trailers=[("x-t", b"1")]),
        response=reply(body=b"", trailers=[("x-t", b"1")]),
    ),
    Scenario(
        "an-empty-body-before-unwanted-trailers-is-never-asked-about",
        BODIES,
        request=post(b"", trailers=[("x-t", b"1")]),
        response=reply(body=b"", trailers=[("x-t", b"1")]),
    ),
    Scenario("trailers-that-are-not-wanted-pass", BODIES, request=TRAILED_POST, response=TRAILED_REPLY),
    Scenario("trailers-without-bodies", _TRAILERS, request=TRAILED_POST, response=TRAILED_REPLY),
    Scenario("head-has-no-response-body-phase", BODIES, request=get(method="HEAD"), response=_HEAD_REPLY),
    Scenario("304-has-no-response-body-phase", BODIES, response=_NOT_MODIFIED),
    # Body answers
    *(
        Scenario(f"request-body-{what}-{framing}", BODIES, on(RQB, say(RQB, **answer)), request)
        for what, answer in _BODY_ANSWERS.items()
        for framing, request in _FRAMINGS.items()
    ),
    *(
        Scenario(f"response-body-{what}-{framing}", BODIES, on(RSB, say(RSB, **answer)), response=response)
        for what, answer in _BODY_ANSWERS.items()
        for framing, response in _REPLIES.items()
    ),
    *(
        Scenario(
            f"request-body-longer-and-length-set-{framing}",
            BODIES,
            on(RQB, say(RQB, ("content-length", b"11"), body=b"longer body")),
            request,
        )
        for framing, request in _FRAMINGS.items()
    ),
    *(
        Scenario(
            f"response-body-with-status-header-and-length-{framing}",
            BODIES,
            on(RSB, say(RSB, (":status", b"418"), ("x-n", b"1"), ("content-length", b"3"), body=b"tea")),
            response=response,
        )
        for framing, response in _REPLIES.items()
    ),
    Scenario(
        "request-body-cleared-and-length-set-to-0",
        BODIES,
        on(RQB, say(RQB, ("content-length", b"0"), clear_body=True)),
        post(),
    ),
    Scenario(
        "request-body-answer-edits-headers",
        BODIES,
        on(RQB, say(RQB, ("x-n", b"1"), (":path", b"/n"), remove=["x-a"])),
        post(b"hello", ("x-a", b"1")),
    ),
    Scenario(
        "edits-of-both-answers-add-up",
        BODIES,
        {RQH: [say(RQH, ("x-n", b"1"))], RQB: [say(RQB, add=[("x-n", b"2")])]},
        post(),
    ),
    Scenario(
        "length-removed-with-the-headers-then-body-longer",
        BODIES,
        {RQH: [say(RQH, remove=["content-length"])], RQB: [say(RQB, body=b"longer")]},
        post(),
    ),
    Scenario("a-mismatch-fails-with-status-on-error", _422, on(RQB, say(RQB, body=b"longer")), post()),
    Scenario("a-mismatch-fails-even-when-open", _OPEN, on(RQB, say(RQB, body=b"longer")), post()),
    Scenario("a-body-in-a-headers-answer-is-dropped", BODIES, on(RQH, say(RQH, body=b"ignored")), post()),
    Scenario("a-smaller-length-alone-cuts-the-body", BODIES, on(RQB, say(RQB, ("content-length", b"3"))), post()),
    Scenario("a-smaller-length-alone-cuts-the-response", HEADERS, on(RSH, say(RSH, ("content-length", b"1")))),
    Scenario("status-204-on-a-response-with-a-body", HEADERS, on(RSH, say(RSH, (":status", b"204")))),
    Scenario(
        "transfer-encoding-in-a-response-is-dropped", HEADERS, on(RSH, say(RSH, ("transfer-encoding", b"chunked")))
    ),
    Scenario("length-removed-from-a-response", HEADERS, on(RSH, say(RSH, remove=["content-length"]))),
    Scenario(
        "a-method-with-a-body-gets-a-length-of-0",
        config(rules=MutationRules(allow_all_routing=True)),
        on(RQH, say(RQH, (":method", b"PUT"))),
    ),
    # content-length out of the processor's reach
    *(
        Scenario(
            f"length-barred-{what}{suffix}",
            barred,
            {phase: [say(phase, *sets, **answer)]},
            request,
            reply(body=b"hello"),
        )
        for suffix, barred in {"": _LENGTH_BARRED, "-is-an-error": _LENGTH_BARRED_ERROR}.items()
        for what, phase, sets, answer, request in (
            ("request-body-longer-and-length-set", RQB, [("content-length", b"11")], {"body": b"longer body"}, post()),
            (
                "request-body-longer-and-length-removed",
                RQB,
                [],
                {"body": b"longer", "remove": ["content-length"]},
                post(),
            ),
            (
                "request-body-longer-and-length-set-chunked",
                RQB,
                [("content-length", b"11")],
                {"body": b"longer body"},
                post(chunked=True),
            ),
            ("request-body-as-long-and-length-set", RQB, [("content-length", b"5")], {"body": b"olleh"}, post()),
            ("response-body-longer-and-length-set", RSB, [("content-length", b"11")], {"body": b"longer body"}, post()),
            ("replace", RQH, [], {"body": b"longer body", "replace": True}, post()),
            (
                "replace-and-length-set",
                RQH,
                [("content-length", b"11")],
                {"body": b"longer body", "replace": True},
                post(),
            ),
            (
                "replace-and-length-removed",
                RQH,
                [],
                {"body": b"longer", "replace": True, "remove": ["content-length"]},
                post(),
            ),
        )
    ),
    # Headers that the processor is not asked about
    Scenario("headers-unseen-lose-their-length", _UNSEEN, request=post(), response=reply(body=b"hello")),
    Scenario(
        "headers-unseen-then-body-longer",
        _UNSEEN,
        {RQB: [say(RQB, body=b"longer")], RSB: [say(RSB, body=b"longer")]},
        post(),
    ),
    Scenario(
        "headers-unseen-then-edited-in-vain",
        _UNSEEN,
        {RQB: [say(RQB, ("x-n", b"1"))], RSB: [say(RSB, ("x-n", b"1"), (":status", b"201"))]},
        post(),
    ),
    Scenario("headers-unseen-get", _UNSEEN, request=get(), response=_NOT_MODIFIED),
    Scenario("headers-unseen-head", _UNSEEN, request=get(method="HEAD"), response=_HEAD_REPLY),
    Scenario("headers-unseen-with-trailers", _UNSEEN_ALL, request=TRAILED_POST, response=TRAILED_REPLY),
    # Trailers
    Scenario(
        "trailers-edited",
        ALL,
        {RQT: [say(RQT, ("x-t", b"2"), add=[("x-u", b"1")])], RST: [say(RST, ("x-u", b"2"), remove=["x-t"])]},
        TRAILED_POST,
        TRAILED_REPLY,
    ),
    Scenario(
        "trailers-all-removed",
        ALL,
        {RQT: [say(RQT, remove=["x-t"])], RST: [say(RST, remove=["x-t"])]},
        TRAILED_POST,
        TRAILED_REPLY,
    ),
    Scenario(
        "trailers-appended-to",
        ALL,
        {
            RQT: [say(RQT, add=[("user-agent", b"1"), ("user-agent", b"2")])],
            RST: [say(RST, add=[("grpc-status", b"1"), ("grpc-status", b"2"), ("x-t", b"2")])],
        },
        TRAILED_POST,
        TRAILED_REPLY,
    ),
    Scenario("trailers-illegal", ALL, on(RQT, say(RQT, ("x n", b"1"))), TRAILED_POST, TRAILED_REPLY),
    Scenario("trailers-illegal-in-the-response", ALL, on(RST, say(RST, ("x n", b"1"))), TRAILED_POST, TRAILED_REPLY),
    Scenario(
        "trailers-illegal-without-bodies", _TRAILERS, on(RST, say(RST, ("x n", b"1"))), TRAILED_POST, TRAILED_REPLY
    ),
    Scenario(
        "trailers-protected-names",
        ALL,
        on(RQT, say(RQT, ("host", b"1"), ("x-envoy-a", b"1"), remove=["host"])),
        TRAILED_POST,
        TRAILED_REPLY,
    ),
    Scenario(
        "trailers-are-lost-where-a-length-is-set",
        ALL,
        on(RQB, say(RQB, ("content-length", b"5"))),
        TRAILED_POST,
        TRAILED_REPLY,
    ),
    Scenario(
        "bodies-and-trailers-edited",
        ALL,
        {
            RQB: [say(RQB, ("x-n", b"1"), body=b"longer body")],
            RQT: [say(RQT, ("x-u", b"1"))],
            RSB: [say(RSB, body=b"longer body")],
        },
        TRAILED_POST,
        TRAILED_REPLY,
    ),
    # CONTINUE_AND_REPLACE
    *(
        Scenario(
            f"replace-request-{what}-{where}", asked, on(RQH, say(RQH, body=b"longer body", replace=True)), request
        )
        for where, asked in {"headers": HEADERS, "everything": ALL, "trailers": _TRAILERS}.items()
        for what, request in {"get": get(), "empty": post(b""), "trailed": TRAILED_POST, **_FRAMINGS}.items()
    ),
    *(
        Scenario(
            f"replace-response-{what}-{where}",
            asked,
            on(RSH, say(RSH, body=b"longer body", replace=True)),
            response=response,
        )
        for where, asked in {"headers": HEADERS, "everything": ALL, "trailers": _TRAILERS}.items()
        for what, response in {"empty": reply(body=b""), "trailed": TRAILED_REPLY, **_REPLIES}.items()
    ),
    Scenario(
        "replace-and-length-set",
        ALL,
        on(RQH, say(RQH, ("content-length", b"11"), body=b"longer body", replace=True)),
        post(),
    ),
    Scenario(
        "replace-and-length-set-on-get",
        ALL,
        on(RQH, say(RQH, ("content-length", b"11"), body=b"longer body", replace=True)),
    ),
    Scenario(
        "replace-and-length-removed",
        ALL,
        on(RQH, say(RQH, body=b"longer body", replace=True, remove=["content-length"])),
        post(),
    ),
    Scenario(
        "replace-without-a-body-ends-processing", ALL, on(RQH, say(RQH, ("x-n", b"1"), replace=True)), TRAILED_POST
    ),
    Scenario("replace-with-an-empty-body", ALL, on(RQH, say(RQH, body=b"", replace=True)), post()),
    Scenario("replace-with-a-cleared-body-on-get", ALL, on(RQH, say(RQH, clear_body=True, replace=True))),
    Scenario(
        "replace-sets-the-method",
        HEADERS,
        on(RQH, say(RQH, (":method", b"POST"), ("host", b"x"), body=b"longer body", replace=True)),
    ),
    Scenario("replace-without-a-body-sets-the-method", HEADERS, on(RQH, say(RQH, (":method", b"POST"), replace=True))),
    Scenario(
        "replace-a-response-and-its-status",
        ALL,
        on(RSH, say(RSH, (":status", b"404"), body=b"gone", replace=True)),
        response=TRAILED_REPLY,
    ),
    Scenario("replace-a-response-with-nothing", ALL, on(RSH, say(RSH, clear_body=True, replace=True))),
    Scenario(
        "replace-the-body-of-a-304",
        BODIES,
        on(RSH, say(RSH, body=b"longer body", replace=True)),
        response=_NOT_MODIFIED,
    ),
    Scenario(
        "replace-the-response-to-head",
        BODIES,
        on(RSH, say(RSH, body=b"longer body", replace=True)),
        get(method="HEAD"),
        _HEAD_REPLY,
    ),
]
