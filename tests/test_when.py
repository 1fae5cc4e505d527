"""Conditions: what they match, and what a client cannot do to get around one."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from extproc import Request, When, canonical_path


def request(path: str = "/", method: str = "GET", host: str = "a.example", **headers: str) -> Request:
    pseudo = {":method": method, ":authority": host, ":path": path}
    raw = [(name, value.encode("utf-8", "surrogateescape")) for name, value in (pseudo | headers).items()]
    return Request(raw)


def holds(condition: dict[str, Any], **asked: str) -> bool:
    return When.model_validate(condition).matches(request(**asked))


def test_no_condition_always_holds() -> None:
    assert holds({})


@pytest.mark.parametrize(
    ("glob", "path", "match"),
    [
        ("/api/**", "/api", True),
        ("/api/**", "/api/", True),
        ("/api/**", "/api/v1/users", True),
        ("/api/**", "/apis", False),
        ("/api/*", "/api/v1", True),
        ("/api/*", "/api/v1/users", False),
        ("/api/*/users", "/api/v1/users", True),
        ("/*", "/", True),
        ("/a", "/a", True),
        ("/a", "/a/", False),
        ("/a", "/A", False),
        ("/a.b", "/axb", False),
        ("**/users", "/x/y/users", True),
        ("**", "*", True),
        ("/a+(b)|c", "/a+(b)|c", True),
        ("/a b", "/a%20b", True),
        ("/é", "/%C3%A9", True),
    ],
)
def test_path_globs(glob: str, path: str, match: bool) -> None:
    assert holds({"path": glob}, path=path) is match


@pytest.mark.parametrize(
    "spelling",
    [
        "/admin",
        "/%61dmin",
        "//admin",
        "/x/../admin",
        "/./admin",
        "/x/%2e%2e/admin",
        "/x/..%2Fadmin",
        "/%2Fadmin",
        "/admin?x=/public",
        "/../admin",
        "/admin/.",
        "/admin/x/..",
    ],
)
def test_another_spelling_of_a_path_does_not_get_around_a_condition(spelling: str) -> None:
    assert holds({"path": "/admin/**"}, path=spelling)
    assert not holds({"not": {"path": "/admin/**"}}, path=spelling)


@pytest.mark.parametrize("spelling", ["A.EXAMPLE", "a.example:8080", "a.example.", "A.example.:80", "a.example:"])
def test_another_spelling_of_a_host_does_not_get_around_a_condition(spelling: str) -> None:
    assert holds({"host": "a.example"}, host=spelling)
    assert holds({"host": "A.Example"}, host=spelling)


@pytest.mark.parametrize(
    ("glob", "host", "match"),
    [
        ("*.example.com", "a.example.com", True),
        ("*.example.com", "a.b.example.com", False),
        ("**.example.com", "a.b.example.com", True),
        ("*.example.com", "example.com", False),
        ("[::1]", "[::1]", True),
        ("[::1]", "[::1]:80", True),
    ],
)
def test_host_globs(glob: str, host: str, match: bool) -> None:
    assert holds({"host": glob}, host=host) is match


@pytest.mark.parametrize(
    ("glob", "value", "match"),
    [
        ("**", "", True),
        ("*", "x/y", True),
        ("*Mobile*", "A Mobile B", True),
        ("on", "off", False),
        ("**", "\udcff", True),
    ],
)
def test_header_globs(glob: str, value: str, match: bool) -> None:
    assert holds({"header": {"X-Flag": glob}}, **{"x-flag": value}) is match


def test_a_header_that_is_not_there_matches_nothing() -> None:
    assert not holds({"header": {"x-flag": "**"}})


def test_every_field_has_to_match_and_any_of_its_values_will_do() -> None:
    condition = {"path": ["/a", "/b"], "method": ["GET", "POST"]}
    assert holds(condition, path="/b", method="POST")
    assert not holds(condition, path="/b", method="PUT")
    assert not holds(condition, path="/c", method="GET")


def test_not_turns_a_whole_condition_around() -> None:
    condition = {"method": "GET", "not": {"path": "/public/**", "host": "a.example"}}
    assert holds(condition, path="/private")
    assert holds(condition, path="/public/x", host="b.example")
    assert not holds(condition, path="/public/x")


def test_a_long_hostile_value_costs_no_time() -> None:
    """With a backtracking engine, this takes minutes: the test's own timeout is what it is measured by."""
    hostile = "ab" * 30_000
    assert not holds({"header": {"x-a": "*a*b*a*b*a*b*c*"}}, **{"x-a": hostile})
    assert not holds({"path": "/**/a/**/b/**/c"}, path="/a/b" * 10_000)


@pytest.mark.parametrize(
    ("condition", "sentence"),
    [
        ({"path": "api/**"}, "no path is like 'api/\\*\\*'"),
        ({"path": "/a?b"}, "no path is like"),
        ({"path": "/a//b"}, "no path is like"),
        ({"path": "/%61"}, "no path is like"),
        ({"method": "get"}, "they are in capitals"),
        ({"host": "a.example:80"}, "without the port"),
        ({"header": {":path": "/"}}, "use path, method or host"),
        ({"header": {"Host": "a"}}, "use path, method or host"),
        ({"paths": "/"}, "Extra inputs"),
        ({"not": {"method": "get"}}, "they are in capitals"),
    ],
)
def test_a_condition_that_could_never_hold_is_refused(condition: dict[str, Any], sentence: str) -> None:
    with pytest.raises(ValidationError, match=sentence):
        When.model_validate(condition)


@given(st.text(max_size=40), st.text(max_size=20), st.text(max_size=20))
def test_whatever_a_client_sends_is_judged_without_an_error(path: str, host: str, value: str) -> None:
    condition = When(path="/a/**", host="*.b", header={"x-a": "*c*"}, not_=When(path="**"))  # type: ignore[arg-type]
    try:
        asked = request(path=path, host=host, **{"x-a": value})
    except UnicodeEncodeError:
        return  # no bytes become that text
    assert condition.matches(asked) is False


@given(st.text(st.sampled_from("/.%2eEfFab"), max_size=20))
def test_a_canonical_path_has_nothing_left_to_resolve(path: str) -> None:
    canonical = canonical_path("/" + path)
    assert canonical.startswith("/")
    assert "//" not in canonical
    assert not {".", ".."} & set(canonical.split("/"))
