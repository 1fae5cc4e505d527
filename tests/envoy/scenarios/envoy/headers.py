"""Header edits, by the names of Envoy's own integration tests."""

from __future__ import annotations

from extproc.envoy.model import ForwardRules, MutationRules, StringMatch
from extproc.guard import Limits
from extproc.phases import BodyMode
from tests.envoy.answers import say
from tests.envoy.scenario import (
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

_TRAILERS = config("headers trailers")
_LISTED = StringMatch("exact", "x-listed")
_ALLOWED = config(forward_rules=ForwardRules(allowed=(_LISTED, StringMatch("prefix", "x-t"))))
_DISALLOWED = config(forward_rules=ForwardRules(disallowed=(_LISTED,)))
_BOTH = config(
    "headers trailers",
    forward_rules=ForwardRules(allowed=(StringMatch("prefix", "x-"),), disallowed=(StringMatch("exact", "x-b"),)),
)
_STRICT = MutationRules(disallow_is_error=True)
_SMALL = Limits(50, 60 * 1024)
_FIFTY = config("all", request_limits=_SMALL, response_limits=_SMALL)
_BAD = (":method", b"POST")
_NON_UTF8 = b"\xc3\x28"


def _many(count: int) -> list[tuple[str, bytes]]:
    return [(f"x-{index}", b"1") for index in range(count)]


SCENARIOS = [
    Scenario("GetAndSetHeaders", HEADERS, on(RQH, say(RQH, ("x-new-header", b"new"), remove=["x-remove-this"])), get()),
    Scenario(
        "GetAndSetPathHeader",
        HEADERS,
        on(
            RQH,
            say(RQH, (":path", b"/mutated"), (":scheme", b"https"), (":authority", b"new"), (":method", b"POST")),
        ),
    ),
    Scenario(
        "SetHostHeaderRoutingSucceeded",
        config(rules=MutationRules(allow_all_routing=True)),
        on(RQH, say(RQH, (":authority", b"new-host"), ("x-canary", b"1"), clear_route=True)),
    ),
    Scenario(
        "GetAndSetHeadersNonUtf8WithValueInBytes",
        HEADERS,
        {RQH: [say(RQH, ("x-bad", _NON_UTF8))], RSH: [say(RSH, ("x-bad", _NON_UTF8))]},
        get("/a", ("x-in", _NON_UTF8)),
    ),
    Scenario(
        "GetAndSetHeadersOnResponse", HEADERS, on(RSH, say(RSH, ("x-response-processed", b"1"), (":status", b"201")))
    ),
    Scenario("GetAndSetHeadersOnResponseBadStatus", HEADERS, on(RSH, say(RSH, ("x-a", b"1"), (":status", b"100")))),
    Scenario(
        "GetAndSetHeadersOnResponseTwoStatuses",
        HEADERS,
        on(RSH, say(RSH, ("x-a", b"1"), (":status", b"201"), add=[(":status", b"202")])),
    ),
    Scenario(
        "GetAndSetHeadersAndTrailersOnResponse",
        _TRAILERS,
        {RSH: [say(RSH, ("x-a", b"1"))], RST: [say(RST, ("x-modified-trailers", b"xxx"))]},
        response=TRAILED_REPLY,
    ),
    Scenario(
        "GetAndSetOnlyTrailersOnResponse",
        config("request_headers response_trailers"),
        on(RST, say(RST, ("x-modified-trailers", b"xxx"))),
        response=TRAILED_REPLY,
    ),
    Scenario(
        "GetAndSetTrailersIncorrectlyOnResponse", _TRAILERS, on(RST, say(RSH, ("x-a", b"1"))), response=TRAILED_REPLY
    ),
    Scenario(
        "GetAndSetHeadersAndTrailersWithAllowedHeader",
        _ALLOWED,
        request=get("/a", ("x-listed", b"1"), ("x-other", b"2")),
        response=reply(200, ("x-listed", b"1")),
    ),
    Scenario(
        "GetAndSetHeadersAndTrailersWithDisallowedHeader",
        _DISALLOWED,
        request=get("/a", ("x-listed", b"1"), ("x-other", b"2")),
        response=reply(200, ("x-listed", b"1")),
    ),
    Scenario(
        "GetAndSetHeadersAndTrailersWithBothAllowedAndDisallowedHeader",
        _BOTH,
        request=post(b"hello", ("x-a", b"1"), ("x-b", b"2"), trailers=[("x-b", b"1"), ("x-c", b"2"), ("y", b"3")]),
        response=reply(200, ("x-a", b"1"), ("x-b", b"2"), trailers=[("x-b", b"1"), ("x-c", b"2"), ("y", b"3")]),
    ),
    Scenario(
        "GetAndIncorrectlyModifyHeaderOnBody",
        config("headers bodies", rules=_STRICT),
        on(RSB, say(RSB, (":scheme", b"tcp"))),
        response=reply(body=b"hello"),
    ),
    Scenario(
        "GetAndIncorrectlyModifyHeaderOnBodyPartialBuffer",
        config("headers bodies", body=BodyMode.BUFFERED_PARTIAL, rules=_STRICT),
        on(RSB, say(RSB, (":scheme", b"tcp"))),
        response=reply(body=b"hello"),
    ),
    Scenario("HeaderMutationCheckPassWithHcmSizeConfig", _FIFTY, on(RQH, say(RQH, *_many(40)))),
    Scenario("SetHeaderMutationFailWithRequestHeader", _FIFTY, on(RQH, say(RQH, *_many(60)))),
    Scenario("RemoveHeaderMutationFailWithResponseHeader", BODIES, on(RSH, say(RSH, remove=["x"] * 101))),
    Scenario("SetHeaderMutationFailWithRequestBody", _FIFTY, on(RQB, say(RQB, *_many(60))), post()),
    Scenario(
        "RemoveHeaderMutationFailWithResponseBody",
        BODIES,
        on(RSB, say(RSB, remove=["x"] * 101)),
        response=reply(body=b"hello"),
    ),
    Scenario("HeaderMutationResultSizeFailWithRequestTrailer", _FIFTY, on(RQT, say(RQT, *_many(50))), TRAILED_POST),
    Scenario(
        "HeaderMutationResultSizeFailWithResponseTrailer",
        _TRAILERS,
        on(RST, say(RST, *_many(100))),
        response=TRAILED_REPLY,
    ),
]

NOT_HERE = {
    "GetAndSetHeadersWithLogging": "what it checks is a test filter's log; the exchange is GetAndSetHeaders",
    "SetHostHeaderRoutingFailed": "the listeners here route every host; see clear_route_cache for a route chosen anew",
    "GetAndSetHeadersNonUtf8WithValueInString": "`value` is not read at all: headers-value-instead-of-raw-value",
    "GetAndSetHeadersUpstream": "ext_proc as an upstream filter is another filter chain",
}
