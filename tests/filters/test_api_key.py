"""ApiKey: only configured keys get in, only we say who called, and keys leak nowhere."""

from __future__ import annotations

import json
import logging
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from extproc import Chain
from extproc_filters import ApiKey
from tests.filters.driver import Outcome, Pairs, exchange, started

KEYS = {"alice": "alice-secret-1", "bob": "bob-secret-22"}
EVERYWHERE = ("header:x-api-key", "bearer", "query:api_key", "cookie:api_key")

UNHURRIED = settings(deadline=None)  # a busy machine is no failure


def api_key(**config: Any) -> ApiKey:
    return ApiKey.model_validate({"callers": KEYS, **config})


def call(headers: Pairs = (), target: str = "/", **config: Any) -> Outcome:
    return exchange(started(api_key(**config)), headers, target=target)


@pytest.mark.parametrize(("caller", "key"), KEYS.items())
def test_a_known_key_is_admitted_and_its_caller_named(caller: str, key: str) -> None:
    outcome = call([("x-api-key", key)])
    assert outcome.sent("x-caller") == [caller]


@pytest.mark.parametrize(
    ("headers", "target"),
    [
        ([("x-api-key", "alice-secret-1")], "/"),
        ([("authorization", "Bearer alice-secret-1")], "/"),
        ([("authorization", "bearer  alice-secret-1 ")], "/"),
        ([], "/?api_key=alice-secret-1"),
        ([], "/?a=1&api%5Fkey=alice%2Dsecret-1"),
        ([("cookie", "a=1; api_key=alice-secret-1")], "/"),
        ([("cookie", "a=1"), ("cookie", "api_key=alice-secret-1")], "/"),
    ],
)
def test_a_key_is_found_in_every_kind_of_source(headers: Pairs, target: str) -> None:
    assert call(headers, target, sources=EVERYWHERE).sent("x-caller") == ["alice"]


@pytest.mark.parametrize(
    ("headers", "target", "details"),
    [
        ([], "/", "missing"),
        ([("x-api-key", "")], "/", "missing"),
        ([("authorization", "Basic YWxpY2U6eA==")], "/", "missing"),
        ([("authorization", "Bearer ")], "/", "missing"),
        ([], "/?api_key=", "missing"),
        ([("x-api-key", "wrong")], "/", "unknown"),
        ([("x-api-key", "alice-secret-1x")], "/", "unknown"),
        ([("x-api-key", "ALICE-SECRET-1")], "/", "unknown"),
        ([("x-api-key", "alice")], "/", "unknown"),
        ([("x-api-key", b"\xff\xfe")], "/", "unknown"),
        ([("x-api-key", "x" * 20_000)], "/", "unknown"),
        ([("x-api-key", "alice-secret-1, alice-secret-1")], "/", "unknown"),
        ([("authorization", "Bearer alice-secret-1, Bearer alice-secret-1")], "/", "unknown"),
        ([("cookie", 'api_key="alice-secret-1"')], "/", "unknown"),
        ([("x-api-key", "alice-secret-1"), ("x-api-key", "alice-secret-1")], "/", "duplicate"),
        ([("x-api-key", ""), ("x-api-key", "alice-secret-1")], "/", "duplicate"),
        ([("authorization", "Basic eA=="), ("authorization", "Bearer alice-secret-1")], "/", "duplicate"),
        ([], "/?api_key=alice-secret-1&api_key=x", "duplicate"),
        ([], "/?api_key=alice-secret-1&api%5fkey=x", "duplicate"),
        ([("cookie", "api_key=alice-secret-1; api_key=x")], "/", "duplicate"),
        ([("cookie", "api_key=alice-secret-1"), ("cookie", "api_key=x")], "/", "duplicate"),
    ],
)
def test_anything_else_is_refused_and_says_why_to_the_access_log(headers: Pairs, target: str, details: str) -> None:
    outcome = call(headers, target, sources=EVERYWHERE)
    assert (outcome.status, outcome.details) == (401, f"extproc.api_key.{details}")


@pytest.mark.parametrize(
    ("headers", "target", "caller"),
    [
        ([("x-api-key", "alice-secret-1"), ("authorization", "Bearer bob-secret-22")], "/", "alice"),
        ([("authorization", "Bearer bob-secret-22")], "/?api_key=alice-secret-1", "bob"),
        ([("cookie", "api_key=bob-secret-22")], "/?api_key=alice-secret-1", "alice"),
        ([("x-api-key", "")], "/?api_key=alice-secret-1", "alice"),
    ],
)
def test_the_first_source_that_holds_a_key_decides(headers: Pairs, target: str, caller: str) -> None:
    assert call(headers, target, sources=EVERYWHERE).sent("x-caller") == [caller]


def test_a_wrong_key_is_not_made_good_by_a_right_one_in_a_later_source() -> None:
    outcome = call([("x-api-key", "wrong")], "/?api_key=alice-secret-1", sources=EVERYWHERE)
    assert outcome.details == "extproc.api_key.unknown"


def test_the_credential_is_hidden_in_every_source_and_nothing_else_is_touched() -> None:
    outcome = call(
        [
            ("x-api-key", "alice-secret-1"),
            ("authorization", "Bearer bob-secret-22"),
            ("cookie", "a=1; api_key=bob-secret-22; b=2"),
            ("x-other", "kept"),
        ],
        "/p?x=%2F&api_key=bob-secret-22&y",
        sources=EVERYWHERE,
    )
    assert outcome.request is not None
    assert b"secret" not in b" ".join(value for _, value in outcome.request)
    assert outcome.sent(":path") == ["/p?x=%2F&y"]
    assert outcome.sent("cookie") == ["a=1; b=2"]
    assert outcome.sent("x-other") == ["kept"]


@pytest.mark.parametrize(
    ("headers", "target", "name"),
    [
        ([("cookie", "api_key=alice-secret-1")], "/", "cookie"),
        ([("authorization", "Bearer alice-secret-1")], "/", "authorization"),
    ],
)
def test_a_header_that_held_nothing_but_the_credential_goes(headers: Pairs, target: str, name: str) -> None:
    assert call(headers, target, sources=EVERYWHERE).sent(name) == []


def test_other_authorization_schemes_reach_the_upstream() -> None:
    outcome = call([("x-api-key", "alice-secret-1"), ("authorization", "Basic eA==")], sources=EVERYWHERE)
    assert outcome.sent("authorization") == ["Basic eA=="]


def test_a_query_that_held_only_the_credential_leaves_no_question_mark() -> None:
    assert call([], "/p?api_key=alice-secret-1", sources="query:api_key").sent(":path") == ["/p"]


def test_hiding_survives_bytes_that_the_sdk_would_refuse_in_a_path() -> None:
    chain = started(api_key(sources="query:api_key"))
    outcome = exchange(chain, target=b"/caf\xc3\xa9?api_key=alice-secret-1&q=\xff")
    assert outcome.sent(":path") == ["/caf%C3%A9?q=%FF"]


def test_hiding_survives_a_cookie_that_is_none() -> None:
    outcome = call([("cookie", b"bad=\x01; api_key=alice-secret-1; a=1")], sources="cookie:api_key")
    assert outcome.sent("cookie") == ["a=1"]


def test_the_credential_stays_when_it_is_not_to_be_hidden() -> None:
    outcome = call([("x-api-key", "alice-secret-1")], hide_credentials=False)
    assert outcome.sent("x-api-key") == ["alice-secret-1"]


@pytest.mark.parametrize("name", ["x-caller", "x_caller"])
@pytest.mark.parametrize("key", ["alice-secret-1", None])
def test_what_a_client_says_about_the_caller_never_gets_through(name: str, key: str | None) -> None:
    headers: Pairs = [(name, "root"), (name, "root"), *([("x-api-key", key)] if key else [])]
    outcome = call(headers, allow_anonymous=True)
    assert outcome.sent("x-caller") == (["alice"] if key else [])
    assert outcome.sent("x_caller") == []


def test_a_route_chosen_by_a_forged_caller_is_chosen_again() -> None:
    assert call([("x-caller", "root")], allow_anonymous=True).route_cleared
    assert not call([], allow_anonymous=True).route_cleared


def test_routes_by_caller_are_chosen_again_when_asked_for() -> None:
    assert call([("x-api-key", "alice-secret-1")], clear_route_cache=True).route_cleared
    assert not call([("x-api-key", "alice-secret-1")]).route_cleared


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ([], 200),
        ([("x-api-key", "")], 200),
        ([("x-api-key", "wrong")], 401),
        ([("x-api-key", "alice-secret-1"), ("x-api-key", "x")], 401),
    ],
)
def test_anonymous_means_without_a_key_and_not_with_a_wrong_one(headers: Pairs, status: int) -> None:
    assert call(headers, allow_anonymous=True).status == status


@pytest.mark.parametrize(
    ("sources", "realm", "challenge"),
    [
        ("header:x-api-key", "api", 'ApiKey realm="api"'),
        ("bearer", "api", 'Bearer realm="api"'),
        (EVERYWHERE, "api", 'ApiKey realm="api", Bearer realm="api"'),
        ("bearer", 'a "b" \\', 'Bearer realm="a \\"b\\" \\\\"'),
    ],
)
def test_a_refusal_carries_a_challenge(sources: str | tuple[str, ...], realm: str, challenge: str) -> None:
    assert call(sources=sources, realm=realm).got("www-authenticate") == [challenge]


@pytest.mark.parametrize(
    ("body", "expected", "kind"),
    [
        ("json", b'{"error": "an API key is required"}', ["application/json"]),
        ("text", b"an API key is required\n", ["text/plain; charset=utf-8"]),
        ("none", b"", []),
    ],
)
def test_the_body_of_a_refusal_is_as_configured(body: str, expected: bytes, kind: list[str]) -> None:
    outcome = call(body=body)
    assert outcome.immediate is not None
    assert (outcome.immediate.body, outcome.got("content-type")) == (expected, kind)


def test_a_grpc_client_hears_unauthenticated() -> None:
    outcome = call()
    assert outcome.immediate is not None
    assert outcome.immediate.grpc_status == 16


def test_captures_are_told_which_headers_hold_keys() -> None:
    needs = Chain([api_key(sources=(*EVERYWHERE, "header:proxy-authorization"))]).needs
    assert needs.secret_headers == {"x-api-key", "authorization", "cookie", "proxy-authorization"}


def test_a_key_is_in_no_log_no_repr_and_no_answer(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    chain = started(api_key())
    outcomes = [exchange(chain, [("x-api-key", key)]) for key in (*KEYS.values(), "wrong-secret")]
    said = caplog.text + repr(chain.links[0].filter) + repr([outcome.answers for outcome in outcomes])
    assert "secret" not in said.replace("SecretStr", "")


@pytest.mark.parametrize(
    ("config", "says"),
    [
        ({"callers": {}}, "there is no caller"),
        ({"callers": {"a": "same-secret", "b": "same-secret"}}, "callers 'a' and 'b' have the same key"),
        ({"callers": {"a": ""}}, "the key of 'a' is empty"),
        ({"callers": {"a": "two secret"}}, "the key of 'a' is empty or has a character"),
        ({"callers": {"a": "secret\r\n"}}, "the key of 'a' is empty or has a character"),
        ({"callers": {"a": "sécret"}}, "the key of 'a' is empty or has a character"),
        ({"callers": {"a\n": "x"}}, "no name for a caller"),
        ({"callers": {" a": "x"}}, "no name for a caller"),
        ({"sources": "x-api-key"}, "write header:NAME, bearer, query:NAME or cookie:NAME"),
        ({"sources": "header:"}, "is no source"),
        ({"sources": ()}, "at least one"),
        ({"sources": ("bearer", "bearer")}, "twice"),
        ({"sources": "header:host"}, "kept as the authority"),
        ({"sources": "header::path"}, "pseudo-header"),
        ({"sources": "header:x key"}, "no legal name"),
        ({"sources": "header:transfer-encoding"}, "frames the message"),
        ({"sources": "cookie:a b"}, "is no source"),
        ({"caller_header": "x-api-key"}, "cannot be both"),
        ({"caller_header": "content-length"}, "frames the message"),
        ({"caller_header": "content_length"}, "frames the message"),
        ({"caller_header": "x-envoy-caller"}, "reserved by Envoy"),
        ({"realm": "a\r\nb"}, "should match pattern"),
        ({"body": "xml"}, "'json', 'text' or 'none'"),
        ({"header": "x-key"}, "Extra inputs are not permitted"),
    ],
)
def test_a_wrong_configuration_says_what_is_wrong_and_no_key(config: dict[str, Any], says: str) -> None:
    with pytest.raises(ValidationError) as caught:
        api_key(**config)
    assert says in str(caught.value)
    assert not any("secret" in line for line in str(caught.value).splitlines())


KEYLIKE = st.one_of(
    st.sampled_from([*KEYS.values(), *KEYS, "", "alice-secret-1 ", "bob-secret-2"]),
    st.text(st.characters(min_codepoint=0x20, max_codepoint=0x7E), max_size=20),
    st.builds(lambda key, cut: key[:cut], st.sampled_from(list(KEYS.values())), st.integers(0, 14)),
)
FORMS = st.sampled_from(
    [
        ("x-api-key", "{}"),
        ("authorization", "Bearer {}"),
        ("authorization", "Basic {}"),
        ("cookie", "api_key={}"),
        ("cookie", "other={}"),
        ("x-caller", "{}"),
    ]
)
HEADERS = st.lists(st.builds(lambda form, key: (form[0], form[1].replace("{}", key)), FORMS, KEYLIKE), max_size=5)


@UNHURRIED
@given(headers=HEADERS, sources=st.lists(st.sampled_from(EVERYWHERE), min_size=1, unique=True))
def test_nothing_but_a_configured_key_is_ever_admitted(headers: Pairs, sources: list[str]) -> None:
    outcome = call(headers, sources=tuple(sources))
    if outcome.request is None:
        assert outcome.status == 401
        return
    [caller] = outcome.sent("x-caller")
    assert any(KEYS[caller] in str(value) for name, value in headers if name != "x-caller")
    assert not any(KEYS[caller] in value for source in sources for value in _held(outcome, source))


def _held(outcome: Outcome, source: str) -> list[str]:
    """What a source still holds on its way to the upstream."""
    name = {"header:x-api-key": "x-api-key", "bearer": "authorization", "query:api_key": ":path"}.get(source, "cookie")
    prefix = {"authorization": "Bearer ", "cookie": "api_key="}.get(name, "")
    return [value for value in outcome.sent(name) if value.startswith(prefix)]


def test_the_json_of_a_refusal_is_json() -> None:
    outcome = call([("x-api-key", "wrong")])
    assert outcome.immediate is not None
    assert json.loads(outcome.immediate.body) == {"error": "this API key is not known"}
