"""Requests and responses: edits are assignments, and an illegal one raises where it is written."""

from __future__ import annotations

from http import HTTPStatus
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from extproc import HeaderError, PhaseError, Request, Response
from extproc.messages import RawHeaders

PSEUDO: RawHeaders = [(":method", b"GET"), (":scheme", b"https"), (":authority", b"a:1"), (":path", b"/p/q?x=1&y")]


def request(*, routing: bool = True) -> Request:
    made = Request([*PSEUDO, ("x-a", b"1")])
    made.headers._allowed = frozenset({"routing"} if routing else ())
    return made


def test_pseudo_headers_are_attributes() -> None:
    made = request()
    assert (made.method, made.scheme, made.host, made.target) == ("GET", "https", "a:1", "/p/q?x=1&y")
    assert (made.path, made.query, list(made.headers)) == ("/p/q", "x=1&y", ["x-a"])


@pytest.mark.parametrize(
    ("attribute", "value", "name"),
    [
        ("method", "POST", ":method"),
        ("scheme", "http", ":scheme"),
        ("host", "b", ":authority"),
        ("target", "/z", ":path"),
    ],
)
def test_assigning_an_attribute_sets_its_pseudo_header(attribute: str, value: str, name: str) -> None:
    made = request()
    setattr(made, attribute, value)
    assert (getattr(made, attribute), dict(made.headers._items)[name]) == (value, value.encode())


@pytest.mark.parametrize(("attribute", "value"), [("method", "POST"), ("scheme", "http"), ("host", "b")])
def test_what_envoy_protects_says_how_to_ask_for_it(attribute: str, value: str) -> None:
    made = request(routing=False)
    with pytest.raises(HeaderError, match=rf"request\.{attribute}.*add 'routing' to the filter's `requires`"):
        setattr(made, attribute, value)
    assert getattr(made, attribute) != value


@pytest.mark.parametrize(
    ("attribute", "value"),
    [
        ("method", "CONNECT"),
        ("method", "HEAD"),
        ("method", "G T"),
        ("scheme", "ftp"),
        ("host", ""),
        ("host", "a\r\nb"),
        ("target", "/a b"),
        ("target", ""),
        ("target", "a"),
        ("path", "/a?b"),
        ("path", ""),
        ("query", "a b"),
        ("query", "a#b"),
    ],
)
def test_an_illegal_value_raises_and_changes_nothing(attribute: str, value: str) -> None:
    made = request()
    with pytest.raises(HeaderError):
        setattr(made, attribute, value)
    assert made.headers._items == [*PSEUDO, ("x-a", b"1")]


def test_path_and_query_change_without_each_other() -> None:
    made = request()
    made.path = "/new"
    assert made.target == "/new?x=1&y"
    made.query = "z"
    assert made.target == "/new?z"
    made.query = ""
    assert made.target == "/new"


def test_a_path_that_has_left_cannot_be_changed() -> None:
    made = request()
    made._seal("it has left")
    with pytest.raises(PhaseError, match="':path' cannot be changed: it has left"):
        made.path = "/new"


def test_a_body_that_is_not_here_says_where_to_read_it() -> None:
    with pytest.raises(PhaseError, match="on_request_body"):
        _ = request().body


def test_trailers_that_are_not_here_say_where_to_read_them() -> None:
    with pytest.raises(PhaseError, match="on_request_trailers"):
        _ = request().trailers


def test_a_sealed_body_cannot_be_changed() -> None:
    made = request()
    made.body = "before"
    made._seal("it has left")
    with pytest.raises(PhaseError, match="body cannot be changed"):
        made.body = "after"
    assert made.body == b"before"


@pytest.mark.parametrize("value", [b"abc", "abc", bytearray(b"abc"), memoryview(b"abc")])
def test_a_body_is_bytes_or_text(value: Any) -> None:
    made = request()
    made.body = value
    assert (made.body, made.text) == (b"abc", "abc")


@pytest.mark.parametrize("value", [3, None, ["a"], {"a": 1}, object()])
def test_anything_else_is_no_body(value: Any) -> None:
    """bytes(3) would be three NULs, and bytes(10**9) a gigabyte of them."""
    with pytest.raises(TypeError, match="a body is bytes or str"):
        request().body = value
    with pytest.raises(TypeError, match="a body is bytes or str"):
        Response(200, value)


def test_text_that_came_out_of_a_header_becomes_the_bytes_it_was() -> None:
    made = request()
    made.body = b"caf\xe9".decode("utf-8", "surrogateescape")
    assert made.body == b"caf\xe9"


def test_text_and_json_read_the_body() -> None:
    made = request()
    made.body = b'{"a": "\xff"}'
    assert made.text == '{"a": "\ufffd"}'
    made.body = '{"a": [1]}'
    assert made.json() == {"a": [1]}
    made.body = "{"
    with pytest.raises(ValueError, match="Expecting"):
        made.json()


@pytest.mark.parametrize("attribute", ["headers", "trailers"])
def test_headers_are_edited_not_assigned(attribute: str) -> None:
    """An assigned dict would be an edit that nobody sees."""
    with pytest.raises(AttributeError):
        setattr(request(), attribute, {"x-a": "2"})


@pytest.mark.parametrize("status", [200, 204, 404, 599, HTTPStatus.FORBIDDEN])
def test_a_final_status_can_be_answered(status: int) -> None:
    assert Response(status).status == status


@pytest.mark.parametrize("status", [0, 99, 100, 101, 199, 600, 700, -1, "403", None])
def test_a_status_that_envoy_would_make_something_else_of_is_refused(status: Any) -> None:
    with pytest.raises(ValueError, match="200 to 599"):
        Response(status)
    made = Response(200)
    with pytest.raises(ValueError, match="200 to 599"):
        made.status = status
    assert made.status == 200


def test_a_response_needs_a_status() -> None:
    """Without one, Envoy would say 200: a forgotten status would let a denial look like a success."""
    with pytest.raises(TypeError, match="status"):
        Response()  # type: ignore[call-arg]


@pytest.mark.parametrize("status", [204, 205, 304])
def test_a_status_without_content_takes_no_body(status: int) -> None:
    assert Response(status).body == b""
    with pytest.raises(ValueError, match="has no body"):
        Response(status, "x")


def test_headers_of_a_response_may_repeat() -> None:
    made = Response(200, headers=[("set-cookie", "a=1"), ("set-cookie", "b=2")])
    assert made.headers.get_all("set-cookie") == ["a=1", "b=2"]
    assert Response(200, headers={"X-A": "1"}).headers["x-a"] == "1"


@pytest.mark.parametrize("headers", [{"content-length": "3"}, {":status": "200"}, {"x-a": "1\n"}, [("", "1")]])
def test_a_response_with_an_illegal_header_cannot_be_made(headers: Any) -> None:
    with pytest.raises(HeaderError):
        Response(200, headers=headers)


def test_as_json_says_what_it_is() -> None:
    made = Response.as_json(400, {"error": "é"}, details="bad")
    assert (made.json(), made.headers["content-type"], made.details) == ({"error": "é"}, "application/json", "bad")
    assert Response.as_json(200, 1, {"content-type": "text/x"}).headers["content-type"] == "text/x"


@given(st.text())
def test_details_cannot_break_a_line_of_the_access_log(text: str) -> None:
    made = Response(403, details=text)
    assert all(" " <= character <= "~" for character in made.details)
    assert len(made.details) == len(text)


def test_details_are_text() -> None:
    with pytest.raises(TypeError):
        Response(403, details=3)  # type: ignore[arg-type]


@pytest.mark.parametrize("status", [-1, 17, 1.5, "7"])
def test_a_grpc_status_is_one_of_the_sixteen_or_ok(status: Any) -> None:
    with pytest.raises(ValueError, match="0 to 16"):
        Response(200, grpc_status=status)
    made = Response(200, grpc_status=7)
    with pytest.raises(ValueError, match="0 to 16"):
        made.grpc_status = status
    assert made.grpc_status == 7


@pytest.mark.parametrize("items", [[], [(":status", b"abc")], [(":status", b"")], [(":status", "²".encode())]])
def test_a_status_that_is_none_reads_as_zero(items: RawHeaders) -> None:
    assert Response._received(items).status == 0


def test_a_copy_can_be_edited_and_the_original_stays() -> None:
    made = Response(403, "no", {"x-a": "1"}, details="d", grpc_status=7)
    copy = made._copy()
    copy.headers["x-a"] = "2"
    copy.body, copy.status, copy.details, copy.grpc_status = "yes", 200, "e", 0
    assert (made.status, made.body, made.headers["x-a"], made.details, made.grpc_status) == (403, b"no", "1", "d", 7)
    made.headers["x-b"] = "3"
    assert "x-b" not in copy.headers


def test_repr_shows_status_and_size_and_nothing_secret() -> None:
    assert (repr(Response(403, "no")), repr(Response._received([]))) == ("<Response 403, 2 bytes>", "<Response 0>")
