"""EditHeaders: what a configuration says is what goes out, and what must not go out is no configuration."""

from __future__ import annotations

import re
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from extproc import Chain, Phase
from extproc_filters import EditHeaders
from tests.filters.driver import Outcome, Pairs, exchange, started

UNHURRIED = settings(deadline=None)  # a busy machine is no failure


def edit(**config: Any) -> EditHeaders:
    return EditHeaders.model_validate(config)


def on_request(headers: Pairs = (), *, target: str | bytes = "/", method: str = "GET", **edits: Any) -> Outcome:
    chain = started(edit(request=edits))
    attributes = {"source.address": "192.0.2.1:80", "source.port": 80.0, "connection.mtls": True, "request.map": {}}
    return exchange(chain, headers, target=target, method=method, attributes=attributes)


def on_response(headers: Pairs = (), request: Pairs = (), **edits: Any) -> Outcome:
    return exchange(started(edit(response=edits)), request, response=headers, target="/p?q=1")


# Edits

A: Pairs = [("x-a", "1"), ("x-a", "2"), ("x-b", "3")]


@pytest.mark.parametrize(
    ("edits", "expected"),
    [
        ({"set": {"X-A": "new"}}, {"x-a": ["new"], "x-b": ["3"]}),
        ({"set": {"x-c": ""}}, {"x-c": [""]}),
        ({"append": {"x-a": "new"}}, {"x-a": ["1", "2", "new"]}),
        ({"append": {"x-a": ["y", "z"]}}, {"x-a": ["1", "2", "y", "z"]}),
        ({"append": {"x-c": "new"}}, {"x-c": ["new"]}),
        ({"add_if_absent": {"x-a": "new", "x-c": "new"}}, {"x-a": ["1", "2"], "x-c": ["new"]}),
        ({"remove": ["x-a", "x-absent"]}, {"x-a": [], "x-b": ["3"]}),
        ({"remove": ["X-*"]}, {"x-a": [], "x-b": []}),
        ({"remove": ["*-b"]}, {"x-a": ["1", "2"], "x-b": []}),
        ({"rename": {"x-a": "x-c"}}, {"x-a": [], "x-c": ["1", "2"]}),
        ({"rename": {"x-a": "x-b"}}, {"x-a": [], "x-b": ["1", "2"]}),
        ({"rename": {"x-a": "x-b", "x-b": "x-a"}}, {"x-a": ["3"], "x-b": ["1", "2"]}),
        ({"rename": {"x-absent": "x-b"}}, {"x-b": ["3"]}),
        ({"remove": ["x-b"], "rename": {"x-absent": "x-b"}}, {"x-b": []}),
    ],
)
def test_an_edit_does_what_it_says_in_both_directions(edits: dict[str, Any], expected: dict[str, list[str]]) -> None:
    request, response = on_request(A, **edits), on_response(A, **edits)
    assert {name: request.sent(name) for name in expected} == expected
    assert {name: response.got(name) for name in expected} == expected


def test_edits_are_made_in_the_documented_order() -> None:
    outcome = on_request(
        [("x", "came"), ("y", "came")],
        add_if_absent={"x": "absent"},
        append={"x": "appended"},
        set={"x": "set"},
        rename={"y": "x"},
        remove=["x"],
    )
    assert (outcome.sent("x"), outcome.sent("y")) == (["set", "appended"], [])


def test_several_cookies_can_be_set() -> None:
    outcome = on_response([("set-cookie", "a=1")], append={"set-cookie": ["b=2", "c=3"]})
    assert outcome.got("set-cookie") == ["a=1", "b=2", "c=3"]


def test_a_glob_passes_over_what_frames_the_message_and_what_envoy_keeps() -> None:
    headers: Pairs = [("content-length", "0"), ("te", "trailers"), ("x-envoy-attempt-count", "1"), ("x-a", "1")]
    assert on_request(headers, remove=["*"]).request == [
        (":method", b"GET"),
        (":scheme", b"http"),
        (":authority", b"api.example"),
        (":path", b"/"),
        ("content-length", b"0"),
        ("te", b"trailers"),
        ("x-envoy-attempt-count", b"1"),
    ]


@pytest.mark.parametrize("glob", ["*", "a*", "*a", "a*a", "a*b*c", "*a*", "*ab*ab*", "a**b"])
@UNHURRIED
@given(name=st.text("abc", min_size=1, max_size=8))
def test_a_star_is_anything_or_nothing(glob: str, name: str) -> None:
    matched = on_request([(name, "1")], remove=[glob]).sent(name) == []
    assert matched is (re.fullmatch(glob.replace("*", ".*"), name) is not None)


def test_a_glob_that_begins_with_x_envoy_reaches_those() -> None:
    assert on_request([("x-envoy-attempt-count", "1")], remove=["x-envoy-*"]).sent("x-envoy-attempt-count") == []


def test_another_glob_does_not_even_when_the_privilege_is_there() -> None:
    outcome = on_request([("x-envoy-a", "1"), ("x-a", "1")], remove=["x-*"], set={"x-envoy-b": "1"})
    assert [outcome.sent(name) for name in ("x-envoy-a", "x-a", "x-envoy-b")] == [["1"], [], ["1"]]


def test_a_value_that_must_not_go_out_is_lost_when_it_is_renamed() -> None:
    outcome = on_request([("x-a", "1"), ("x-a", b"\x01"), ("x-b", "2")], rename={"x-a": "x-b"})
    assert (outcome.status, outcome.sent("x-a"), outcome.sent("x-b")) == (200, [], ["1"])


def test_a_glob_full_of_stars_takes_no_time() -> None:
    assert on_request([("a" * 50_000, "1")], remove=["*a*" * 80 + "b"]).sent("a" * 50_000) == ["1"]


# Values to be filled in


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("{request.method} {request.scheme}://{request.host}{request.path}", ["GET http://api.example/p"]),
        ("{request.query}", ["q=1"]),
        ("{request.header.x-user}", ["alice, bob"]),
        ("<{request.header.X-User}>", ["<alice, bob>"]),
        ("{attribute.source.address}", ["192.0.2.1:80"]),
        ("{attribute.source.port}", ["80"]),
        ("{attribute.connection.mtls}", ["true"]),
        ("{{request.method}}", ["{request.method}"]),
        ("{{{request.method}}}", ["{GET}"]),
        ("{request.header.x-absent}", []),
        ("{request.header.x-empty}", []),
        ("a{request.header.x-absent}b", []),
        ("{request.header.x-bad}", []),
        ("{attribute.request.map}", []),
        ("{attribute.request.id}", []),
    ],
)
def test_a_value_is_filled_in_or_not_there_at_all(value: str, expected: list[str]) -> None:
    headers: Pairs = [
        ("x-user", "alice"),
        ("x-user", "bob"),
        ("x-empty", ""),
        ("x-bad", b"a\x01b"),
        ("x-set", "forged"),
    ]
    outcome = on_request(headers, target="/p?q=1", set={"x-set": value}, append={"x-add": value})
    assert (outcome.sent("x-set"), outcome.sent("x-add")) == (expected, expected)


def test_values_are_filled_in_from_what_came_and_not_from_what_other_edits_left() -> None:
    outcome = on_request(
        [("x-user", "alice")],
        target="/old",
        remove=["x-user"],
        set={"x-was": "{request.header.x-user} {request.path}"},
        rewrite_path=[{"pattern": "old", "substitution": "new"}],
    )
    assert (outcome.sent("x-was"), outcome.sent(":path")) == (["alice /old"], ["/new"])


def test_a_response_is_filled_in_from_both_messages() -> None:
    outcome = on_response(
        [("x-b", "2")],
        [("x-a", "1")],
        set={"x": "{response.status} {response.header.x-b} {request.header.x-a} {request.path}"},
    )
    assert outcome.got("x") == ["200 2 1 /p"]


def test_bytes_that_are_no_text_survive() -> None:
    outcome = on_request([("x-a", b"\xff\xfe")], set={"x-b": "{request.header.x-a}"}, rename={"x-a": "x-c"})
    assert outcome.request is not None
    assert {name: value for name, value in outcome.request if name.startswith("x-")} == {
        "x-b": b"\xff\xfe",
        "x-c": b"\xff\xfe",
    }


# The path


@pytest.mark.parametrize(
    ("pattern", "substitution", "target", "expected"),
    [
        (r"^/v1/", "/v2/", "/v1/a?x=/v1/", "/v2/a?x=/v1/"),
        (r"^/v1/(\w+)/(\w+)", r"/\2/\1", "/v1/a/b/c", "/b/a/c"),
        (r"^/api(/.*)?$", r"\1", "/api/users?q=%3F", "/users?q=%3F"),
        (r"^/api(/.*)?$", r"\1", "/api", "/"),
        (r"^/a", r"[\0]", "/abc", "/[/a]bc"),
        (r"(x)|(y)", r"<\1\2>", "/y", "/<y>"),
        (r"a", "b", "/aa", "/ba"),
        (r"^/nothing", "/x", "/a?b", "/a?b"),
        (r"$", "/end", "/a", "/a/end"),
        (r"(?i)^/API", "/x", "/api", "/x"),
        (r"^/strip", "", "/strip//evil.example/x", "/evil.example/x"),
        (r"^/api", "", "/api../secret", "/secret"),
        (r"^/api", "", "/api/%2E%2e/secret/.", "/secret/"),
        (r"^/api", "/x", b"/api/caf\xc3\xa9?\xff", "/x/caf%C3%A9?%FF"),
        (r"caf%C3%A9", "coffee", b"/caf\xc3\xa9", "/coffee"),
        (r".*", "/x", "*", "*"),
    ],
)
def test_a_path_is_rewritten(pattern: str, substitution: str, target: str | bytes, expected: str) -> None:
    outcome = on_request(target=target, rewrite_path=[{"pattern": pattern, "substitution": substitution}])
    assert outcome.sent(":path") == [expected]
    assert outcome.route_cleared is (outcome.sent(":path") != [target])


def test_the_first_pattern_that_is_found_is_the_one_applied() -> None:
    rules = [
        {"pattern": "^/x", "substitution": "/never"},
        {"pattern": "^/a", "substitution": "/b"},
        {"pattern": "^/b", "substitution": "/c"},
    ]
    assert on_request(target="/a", rewrite_path=rules).sent(":path") == ["/b"]


def test_a_pattern_that_ruins_backtracking_takes_no_time() -> None:
    outcome = on_request(target="/" + "a" * 50_000, rewrite_path=[{"pattern": "(a|aa)+$x", "substitution": ""}])
    assert outcome.status == 200


# What it asks of Envoy


@pytest.mark.parametrize(
    ("config", "phases", "requires", "attributes"),
    [
        ({"request": {"set": {"a": "1"}}}, {Phase.REQUEST_HEADERS}, set(), (set(), set())),
        ({"response": {"set": {"a": "1"}}}, {Phase.RESPONSE_HEADERS}, set(), (set(), set())),
        (
            {"response": {"set": {"a": "{request.method}"}}},
            {Phase.REQUEST_HEADERS, Phase.RESPONSE_HEADERS},
            set(),
            (set(), set()),
        ),
        ({"request": {"host": "b.example"}}, {Phase.REQUEST_HEADERS}, {"routing"}, (set(), set())),
        ({"request": {"rename": {"x-envoy-a": "b"}}}, {Phase.REQUEST_HEADERS}, {"envoy_headers"}, (set(), set())),
        ({"request": {"rename": {"b": "x-envoy-a"}}}, {Phase.REQUEST_HEADERS}, {"envoy_headers"}, (set(), set())),
        ({"response": {"remove": ["x-envoy-*"]}}, {Phase.RESPONSE_HEADERS}, {"envoy_headers"}, (set(), set())),
        (
            {"request": {"append": {"a": "{attribute.source.address}"}}},
            {Phase.REQUEST_HEADERS},
            set(),
            ({"source.address"}, set()),
        ),
        (
            {"response": {"append": {"a": "{attribute.upstream.address}"}}},
            {Phase.RESPONSE_HEADERS},
            set(),
            (set(), {"upstream.address"}),
        ),
    ],
)
def test_it_asks_only_for_what_its_edits_take(
    config: dict[str, Any], phases: set[Phase], requires: set[str], attributes: tuple[set[str], set[str]]
) -> None:
    needs = Chain([edit(**config)]).needs
    assert (set(needs.phases), set[str](needs.requires)) == (phases, requires)
    assert (set(needs.request_attributes), set(needs.response_attributes)) == attributes


def test_reserved_headers_and_the_host_are_edited_with_the_privilege() -> None:
    outcome = on_request(host="b.example:80", set={"x-envoy-retry-on": "5xx"})
    assert (outcome.sent(":authority"), outcome.sent("x-envoy-retry-on")) == (["b.example:80"], ["5xx"])
    assert outcome.route_cleared


# What is no configuration


@pytest.mark.parametrize(
    ("edits", "says"),
    [
        ({"set": {"content-length": "1"}}, "frames the message"),
        ({"append": {"Transfer-Encoding": "chunked"}}, "frames the message"),
        ({"add_if_absent": {"connection": "close"}}, "frames the message"),
        ({"remove": ["te"]}, "frames the message"),
        ({"rename": {"x": "upgrade"}}, "frames the message"),
        ({"rename": {"content-length": "x"}}, "frames the message"),
        ({"set": {":path": "/x"}}, "use request.method"),
        ({"set": {"host": "x"}}, "kept as the authority"),
        ({"remove": ["host"]}, "kept as the authority"),
        ({"set": {"": "x"}}, "no legal name"),
        ({"set": {"a b": "x"}}, "no legal name"),
        ({"set": {"a\r\nb": "x"}}, "no legal name"),
        ({"set": {"a" * 300: "x"}}, "no legal name"),
        ({"remove": ["a *"]}, "no glob for header names"),
        ({"remove": [":*"]}, "no glob for header names"),
        ({"set": {"x": "a\r\nb: c"}}, "control character"),
        ({"append": {"x": ["ok", "a\0"]}}, "control character"),
        ({"set": {"x": "{request.method}\n"}}, "control character"),
        ({"set": {"x-a": "1", "X-A": "2"}}, "header 'x-a' is there twice"),
        ({"rename": {"a": "c", "b": "C"}}, "header 'c' is there twice"),
        ({"rename": {"a": "A"}}, "renamed to itself"),
        ({"set": {"x": '{"json": 1}'}}, "a brace that means itself is doubled"),
        ({"set": {"x": "{request.method"}}, "a lone '{'"),
        ({"set": {"x": "}"}}, "a lone '}'"),
        ({"set": {"x": "{request.body}"}}, "{request.body} stands for nothing"),
        ({"set": {"x": "{env.HOME}"}}, "stands for nothing: there is request.method"),
        ({"set": {"x": "{request.header.host}"}}, "use request.host"),
        ({"set": {"x": "{attribute.source}"}}, "stands for nothing"),
        ({"set": {"x": 1}}, "valid string"),
        ({"add": {"x": "1"}}, "Extra inputs are not permitted"),
    ],
)
@pytest.mark.parametrize("side", ["request", "response"])
def test_an_impossible_edit_says_what_is_wrong(side: str, edits: dict[str, Any], says: str) -> None:
    with pytest.raises(ValidationError) as caught:
        edit(**{side: edits})
    assert says in str(caught.value)


@pytest.mark.parametrize(
    ("edits", "says"),
    [
        ({"set": {"x": "{response.status}"}}, "not there yet"),
        ({"host": "a b"}, "it is a host, or host:port"),
        ({"host": ""}, "it is a host, or host:port"),
        ({"rewrite_path": [{"pattern": "(", "substitution": ""}]}, "is no RE2 pattern: missing )"),
        ({"rewrite_path": [{"pattern": "(?=a)", "substitution": ""}]}, "is no RE2 pattern"),
        ({"rewrite_path": [{"pattern": r"(a)\1", "substitution": ""}]}, "is no RE2 pattern"),
        ({"rewrite_path": [{"pattern": "((a{100}){100}){100}", "substitution": ""}]}, "is no RE2 pattern"),
        ({"rewrite_path": [{"pattern": "a" * 2000, "substitution": ""}]}, "at most 1024 characters"),
        ({"rewrite_path": [{"pattern": "", "substitution": ""}]}, "at least 1 character"),
        ({"rewrite_path": [{"pattern": "a", "substitution": r"\1"}]}, "wants group 1, but the pattern has 0"),
        ({"rewrite_path": [{"pattern": "a", "substitution": "\\"}]}, "groups are"),
        ({"rewrite_path": [{"pattern": "a", "substitution": r"\g<a>"}]}, "groups are"),
        ({"rewrite_path": [{"pattern": "a", "substitution": "a b"}]}, "percent-encode"),
        ({"rewrite_path": [{"pattern": "a", "substitution": "?b"}]}, "'?' is %3F"),
        ({"rewrite_path": [{"pattern": "a", "substitution": "#"}]}, "percent-encode"),
        ({"rewrite_path": [{"pattern": "a", "substitution": "é"}]}, "percent-encode"),
        ({"rewrite_path": [{"pattern": "a"}]}, "Field required"),
    ],
)
def test_an_impossible_request_edit_says_what_is_wrong(edits: dict[str, Any], says: str) -> None:
    with pytest.raises(ValidationError) as caught:
        edit(request=edits)
    assert says in str(caught.value)


def test_a_filter_that_edits_nothing_is_a_mistake() -> None:
    with pytest.raises(ValidationError, match="there is nothing to edit"):
        edit(request={})


# Whatever validates is legal


def mostly(fine: list[str], wrong: list[str]) -> st.SearchStrategy[str]:
    """Wrong ones now and then: so that most configurations validate, and not only those that a table thought of."""
    return st.integers(0, 49).flatmap(lambda dice: st.sampled_from(fine if dice else wrong))


NAMES = mostly(
    ["x-a", "X-B", "x_c", "cookie", "set-cookie", "x-envoy-a"],
    ["content-length", "te", "host", ":path", "", "é", "a b", "a\n"],
)
GLOBS = mostly(["*", "x-*", "c*", "*-a", "x-envoy-*", "t*", "h*st", "x-a"], [":*", "content-length", "é*"])
PIECES = mostly(
    [
        *("", "v", " ", "\t", "é", "{{", "}}", "{request.header.x-a}", "{request.header.cookie}"),
        *("{request.path}", "{request.query}", "{request.host}", "{attribute.source.address}"),
    ],
    ["\r\n", "\0", "\x7f", "{", "{response.status}"],
)
VALUES = st.lists(PIECES, max_size=3).map("".join)
EDITS = st.fixed_dictionaries(
    {},
    optional={
        "set": st.dictionaries(NAMES, VALUES, max_size=2),
        "append": st.dictionaries(NAMES, st.one_of(VALUES, st.lists(VALUES, max_size=2)), max_size=2),
        "add_if_absent": st.dictionaries(NAMES, VALUES, max_size=2),
        "rename": st.dictionaries(NAMES, NAMES, max_size=2),
        "remove": st.lists(GLOBS, max_size=2),
    },
)
SUBSTITUTIONS = st.lists(
    mostly(["", "/", "..", "/../", "a", r"\0", "%00"], ["?", "#", " ", "é", r"\1", "\\", "\n"]), max_size=4
)
REWRITES = st.builds(
    lambda pattern, parts: {"pattern": pattern, "substitution": "".join(parts)},
    mostly(["^/a", "(.*)", "(/)", ".", "$", "^", "/+(a?)", "[^a]+", "%"], ["("]),
    SUBSTITUTIONS,
)
REQUEST_EDITS = st.builds(
    lambda edits, rewrites, host: {**edits, "rewrite_path": rewrites, "host": host},
    EDITS,
    st.lists(REWRITES, max_size=2),
    st.one_of(st.none(), mostly(["b.example", "b:80"], ["", "a b", "a\r\n"])),
)
CAME = st.lists(
    st.tuples(
        st.sampled_from(["x-a", "x-b", "x_c", "cookie", "x-envoy-a", "content-length", "te"]),
        st.one_of(st.binary(max_size=6), st.just(b"v")),
    ),
    max_size=6,
)
TARGETS = st.one_of(
    st.sampled_from([b"/", b"/a", b"//a", b"/a/../b", b"/a?x=%2F", b"*", b"/a%2e%2e/b", b"/\xff?\xfe"]),
    st.binary(max_size=8).map(lambda tail: b"/" + tail),
)


@UNHURRIED
@given(request=REQUEST_EDITS, response=EDITS, came=CAME, back=CAME, target=TARGETS)
def test_no_configuration_that_validates_makes_an_illegal_message(
    request: dict[str, Any], response: dict[str, Any], came: Pairs, back: Pairs, target: bytes
) -> None:
    try:
        chain = started(edit(request=request, response=response))
    except ValidationError:
        return
    outcome = exchange(chain, came, target=target, response=back, attributes={"source.address": "a\r\nb"})
    assert outcome.immediate is None, outcome.details  # nothing failed
    edits = [item for answer in outcome.answers for item in getattr(answer, "set_headers", ())]
    for item in edits:
        assert legal(item.name, item.value), item
    removed = {name for answer in outcome.answers for name in getattr(answer, "remove_headers", ())}
    assert not removed & {"content-length", "te", "host", ":path"}


def legal(name: str, value: bytes) -> bool:
    if name == ":path":
        return re.fullmatch(rb"/(?!/)[!-\"$-~]*", value) is not None or value == b"*"
    if name == ":authority":
        return value in (b"b.example", b"b:80")
    return (
        re.fullmatch(r"[!#$%&'*+.^_`|~0-9a-z-]+", name) is not None
        and name not in ("content-length", "te", "host")
        and re.search(rb"[\x00-\x08\x0a-\x1f\x7f]|^[ \t]|[ \t]$", value) is None
    )
