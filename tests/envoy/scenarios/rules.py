"""Mutation rules, pseudo-headers and the route cache."""

from __future__ import annotations

from extproc.envoy.model import MutationRules
from tests.envoy.answers import say
from tests.envoy.scenario import HEADERS, RQB, RQH, RSB, RSH, Scenario, config, get, on, post, reply

_ENVOY = get("/a", ("x-a", b"1"), ("x-envoy-foo", b"1"))
_FREE = config(rules=MutationRules(allow_all_routing=True, allow_envoy=True))
_STRICT = config(rules=MutationRules(disallow_is_error=True))
_SYSTEM = config(rules=MutationRules(disallow_system=True))
_SOME = config(
    rules=MutationRules(disallow_all=True, allow_expression="x-ok.*|:authority", disallow_expression="x-ok-not")
)
_CASELESS = config(rules=MutationRules(disallow_expression="(?i)X-NO"))
_STRICT_OPEN = config(rules=MutationRules(disallow_is_error=True), failure_mode_allow=True)
_STRICT_422 = config(rules=MutationRules(disallow_is_error=True), status_on_error=422)
_NO_CLEAR = config(disable_clear_route_cache=True)
_BODIES = config("headers bodies")

_PROTECTED = {
    "method": (":method", b"PUT"),
    "scheme": (":scheme", b"https"),
    "authority": (":authority", b"new"),
    "host": ("host", b"new"),
    "x-envoy": ("x-envoy-foo", b"2"),
}
_MALFORMED = {
    "a-scheme-that-is-none": (":scheme", b"gopher"),
    "an-authority-with-a-space": (":authority", b"a b"),
    "an-authority-with-a-slash": (":authority", b"a/b"),
    "a-host-with-a-hash": ("host", b"a#b"),
    "an-authority-beyond-ascii": (":authority", b"\xc3\xa9"),
}
_STATUSES = [b"201", b"99", b"100", b"199", b"abc", b"200 OK", b"700", b"+202", b" 203 ", b""]

SCENARIOS = [
    Scenario("path-can-be-set", HEADERS, on(RQH, say(RQH, (":path", b"/new?q=1")))),
    Scenario("path-cannot-be-appended-to", HEADERS, on(RQH, say(RQH, add=[(":path", b"/new")]))),
    *(
        Scenario(f"{title}-{what}", rules, on(RQH, say(RQH, edit, ("x-ok", b"1"))), _ENVOY)
        for title, rules in {"refused": HEADERS, "allowed": _FREE, "refused-is-an-error": _STRICT}.items()
        for what, edit in _PROTECTED.items()
    ),
    *(
        Scenario(f"refused-even-when-routing-is-allowed-{what}", _FREE, on(RQH, say(RQH, edit, ("x-ok", b"1"))), _ENVOY)
        for what, edit in _MALFORMED.items()
    ),
    *(
        Scenario(f"{title}-removing-{name.strip(':')}", rules, on(RQH, say(RQH, ("x-ok", b"1"), remove=[name])), _ENVOY)
        for title, rules in {
            "refused": HEADERS,
            "refused-even-when-allowed": _FREE,
            "refused-is-an-error": _STRICT,
        }.items()
        for name in (":path", ":method", "host")
    ),
    Scenario("refused-removing-x-envoy", HEADERS, on(RQH, say(RQH, remove=["x-envoy-foo"])), _ENVOY),
    Scenario("allowed-removing-x-envoy", _FREE, on(RQH, say(RQH, remove=["x-envoy-foo"])), _ENVOY),
    Scenario("unknown-pseudo-header-vanishes-uncounted", HEADERS, on(RQH, say(RQH, (":foo", b"1")))),
    Scenario(
        "several-refusals-are-counted-each",
        HEADERS,
        on(RQH, say(RQH, (":method", b"PUT"), ("host", b"x"), remove=[":path"])),
    ),
    Scenario("disallow-system", _SYSTEM, on(RQH, say(RQH, (":path", b"/new"), ("x-a", b"2")))),
    Scenario("disallow-system-status", _SYSTEM, on(RSH, say(RSH, (":status", b"201"), ("x-a", b"2")))),
    Scenario(
        "expressions-match-whole-names-and-disallow-wins",
        _SOME,
        on(
            RQH,
            say(
                RQH,
                ("x-ok", b"1"),
                ("x-ok-2", b"1"),
                ("x-ok-not", b"1"),
                ("ax-ok", b"1"),
                ("x-a", b"2"),
                (":path", b"/n"),
                (":authority", b"new"),
            ),
        ),
        _ENVOY,
    ),
    Scenario("expressions-may-ignore-case", _CASELESS, on(RQH, say(RQH, ("x-no", b"1"), ("x-yes", b"1")))),
    Scenario("an-error-by-rule-fails-even-when-open", _STRICT_OPEN, on(RQH, say(RQH, ("host", b"x")))),
    Scenario("an-error-by-rule-fails-with-status-on-error", _STRICT_422, on(RQH, say(RQH, ("host", b"x")))),
    Scenario("an-error-by-rule-in-the-response", _STRICT_422, on(RSH, say(RSH, ("x-envoy-foo", b"x")))),
    Scenario("an-error-by-rule-in-the-response-even-when-open", _STRICT_OPEN, on(RSH, say(RSH, ("x-envoy-foo", b"x")))),
    # :status
    *(
        Scenario(
            f"status-set-to-{value.decode() or 'nothing'!r}",
            HEADERS,
            on(RSH, say(RSH, (":status", value), ("x-after", b"1"))),
        )
        for value in _STATUSES
        if value != b"700"  # passes, but no client library reads it
    ),
    Scenario("status-set-twice", HEADERS, on(RSH, say(RSH, (":status", b"201"), (":status", b"202")))),
    Scenario("status-cannot-be-appended-to", HEADERS, on(RSH, say(RSH, add=[(":status", b"201")]))),
    Scenario("status-cannot-be-removed", HEADERS, on(RSH, say(RSH, remove=[":status"]))),
    Scenario(
        "request-pseudo-headers-in-a-response-vanish",
        HEADERS,
        on(RSH, say(RSH, (":path", b"/x"), (":method", b"GET"), ("host", b"h"))),
    ),
    # The route
    Scenario("a-new-path-keeps-the-old-route", HEADERS, on(RQH, say(RQH, (":path", b"/canary")))),
    Scenario("a-new-path-with-the-route-cleared", HEADERS, on(RQH, say(RQH, (":path", b"/canary"), clear_route=True))),
    Scenario("a-new-header-keeps-the-old-route", HEADERS, on(RQH, say(RQH, ("x-canary", b"1")))),
    Scenario("a-new-header-with-the-route-cleared", HEADERS, on(RQH, say(RQH, ("x-canary", b"1"), clear_route=True))),
    Scenario("the-route-cleared-for-nothing", HEADERS, on(RQH, say(RQH, clear_route=True))),
    Scenario("clearing-the-route-is-disabled", _NO_CLEAR, on(RQH, say(RQH, ("x-canary", b"1"), clear_route=True))),
    Scenario(
        "clearing-the-route-without-an-edit",
        _BODIES,
        {RQH: [say(RQH, ("x-canary", b"1"))], RQB: [say(RQB, body=b"olleh", clear_route=True)]},
        post(),
    ),
    Scenario("clearing-the-route-without-an-edit-is-disabled", _NO_CLEAR, on(RQH, say(RQH, clear_route=True))),
    Scenario("clearing-the-route-in-a-response-without-an-edit", HEADERS, on(RSH, say(RSH, clear_route=True))),
    Scenario("clearing-the-route-in-a-response", HEADERS, on(RSH, say(RSH, ("x-canary", b"1"), clear_route=True))),
    Scenario("a-body-answer-keeps-the-route", _BODIES, on(RQB, say(RQB, (":path", b"/canary"))), post()),
    Scenario(
        "a-body-answer-clears-the-route", _BODIES, on(RQB, say(RQB, (":path", b"/canary"), clear_route=True)), post()
    ),
    Scenario(
        "a-body-answer-clears-the-route-for-a-header",
        _BODIES,
        on(RQB, say(RQB, ("x-canary", b"1"), ("content-length", b"3"), body=b"new", clear_route=True)),
        post(),
    ),
    Scenario(
        "a-response-body-answer-clears-no-route",
        _BODIES,
        on(RSB, say(RSB, ("x-canary", b"1"), clear_route=True)),
        response=reply(),
    ),
]
