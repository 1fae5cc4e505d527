"""Immediate responses: what the client gets, and when it is too late."""

from __future__ import annotations

from extproc.envoy.model import MutationRules
from tests.envoy.answers import answer_now
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
)

_FREE = config(rules=MutationRules(allow_all_routing=True, allow_envoy=True))
_STRICT = config(rules=MutationRules(disallow_is_error=True))
_DISABLED = config(disable_immediate_response=True)
_DISABLED_OPEN = config(disable_immediate_response=True, failure_mode_allow=True)
_TRAILERS = config("headers trailers")
_BODY_ONLY = config("response_body")
_TRAILERS_ONLY = config("trailers")
_GRPC = post(b"", ("content-type", b"application/grpc"))
_NO = answer_now(403, ("x-a", b"1"), body=b"no")
_PROTECTED = [("x-a", b"1"), ("x-envoy-foo", b"1"), ("host", b"h"), (":foo", b"1"), (":method", b"PUT"), ("x-b", b"1")]

SCENARIOS = [
    Scenario("immediate-bare", HEADERS, on(RQH, answer_now(403))),
    Scenario("immediate-with-a-body", HEADERS, on(RQH, _NO)),
    Scenario(
        "immediate-with-everything",
        HEADERS,
        on(
            RQH,
            answer_now(
                429,
                ("content-type", b"application/json"),
                ("content-length", b"3"),
                (":status", b"200"),
                add=[("set-cookie", b"a"), ("set-cookie", b"b"), ("vary", b"a"), ("vary", b"b")],
                body=b'{"slow": "down"}',
                details="too  many\trequests",
            ),
        ),
    ),
    Scenario(
        "immediate-without-a-body-loses-type-and-length",
        HEADERS,
        on(RQH, answer_now(403, ("content-type", b"a/b"), ("content-length", b"5"), ("x-a", b"1"))),
    ),
    *(
        Scenario(
            f"immediate-status-{'unset' if status is None else status}",
            HEADERS,
            on(RQH, answer_now(status, body=b"body")),
        )
        for status in (None, 0, 100, 199, 200, 302, 599)
    ),
    Scenario("immediate-204", HEADERS, on(RQH, answer_now(204))),
    Scenario("immediate-204-with-a-body-is-sent-with-its-length", HEADERS, on(RQH, answer_now(204, body=b"body"))),
    Scenario("immediate-to-head", HEADERS, on(RQH, _NO), get(method="HEAD")),
    Scenario("immediate-to-a-post", HEADERS, on(RQH, _NO), post()),
    Scenario(
        "immediate-with-an-illegal-header-drops-the-rest",
        HEADERS,
        on(RQH, answer_now(403, ("x-a", b"1"), ("x n", b"1"), ("x-b", b"1"), body=b"no")),
    ),
    Scenario("immediate-protected-headers", HEADERS, on(RQH, answer_now(403, *_PROTECTED, body=b"no"))),
    Scenario("immediate-protected-headers-allowed", _FREE, on(RQH, answer_now(403, *_PROTECTED, body=b"no"))),
    Scenario("immediate-protected-headers-are-an-error", _STRICT, on(RQH, answer_now(403, *_PROTECTED, body=b"no"))),
    Scenario(
        "immediate-knows-no-limits",
        HEADERS,
        on(RQH, answer_now(403, *[(f"h{i}", b"") for i in range(101)], body=b"no")),
    ),
    # gRPC
    Scenario(
        "immediate-to-grpc",
        HEADERS,
        on(RQH, answer_now(403, ("x-a", b"1"), body=b"not ok", details="d", grpc_status=7)),
        _GRPC,
    ),
    *(
        Scenario(
            f"immediate-to-grpc-without-a-grpc-status-{status}",
            HEADERS,
            on(RQH, answer_now(status, body=b"not \xff ok % \n")),
            _GRPC,
        )
        for status in (200, 400, 401, 403, 404, 418, 429, 500, 502, 503, 504)
    ),
    Scenario("immediate-to-grpc-without-a-body", HEADERS, on(RQH, answer_now(403)), _GRPC),
    Scenario(
        "immediate-to-grpc-by-head",
        HEADERS,
        on(RQH, answer_now(403, body=b"no")),
        get("/a", ("content-type", b"application/grpc"), method="HEAD"),
    ),
    Scenario(
        "immediate-grpc-status-for-a-client-that-is-not-grpc",
        HEADERS,
        on(RQH, answer_now(403, body=b"no", grpc_status=7)),
    ),
    *(
        Scenario(
            f"immediate-to-{kind.decode()}",
            HEADERS,
            on(RQH, answer_now(403, body=b"no")),
            post(b"", ("content-type", kind)),
        )
        for kind in (
            b"application/grpc+json",
            b"application/grpc-web",
            b"application/grpc;charset=utf-8",
            b"Application/Grpc",
        )
    ),
    # Phases
    Scenario("immediate-in-response-headers", HEADERS, on(RSH, _NO)),
    *(
        Scenario(f"immediate-in-{phase.value}", ALL, on(phase, _NO), TRAILED_POST, TRAILED_REPLY)
        for phase in (RQB, RQT, RSB, RST)
    ),
    *(
        Scenario(f"immediate-in-{phase.value}-without-bodies", _TRAILERS, on(phase, _NO), TRAILED_POST, TRAILED_REPLY)
        for phase in (RQT, RST)
    ),
    Scenario("immediate-after-the-response-headers-left", _BODY_ONLY, on(RSB, _NO)),
    Scenario("immediate-after-the-response-body-left", _TRAILERS_ONLY, on(RST, _NO), TRAILED_POST, TRAILED_REPLY),
    Scenario("immediate-disabled", _DISABLED, on(RQH, _NO)),
    Scenario("immediate-disabled-and-open", _DISABLED_OPEN, on(RQH, _NO)),
    Scenario("immediate-then-another-answer", HEADERS, on(RQH, _NO, _NO)),
]
