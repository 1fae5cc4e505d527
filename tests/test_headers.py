"""Headers as filters read and edit them."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from extproc import HeaderError, Headers, PhaseError
from extproc.guard import header_bytes
from extproc.messages import HeaderEdit, RawHeaders
from extproc.names import readable, removable, settable
from tests.envoy_side import apply

NAMES = ["x-a", "x-b", "cookie", "set-cookie"]
SPELLINGS = [*NAMES, *(name.title() for name in NAMES)]
TEXT = st.text(st.characters(codec="latin-1", exclude_categories=["Cc"]), max_size=4).map(str.strip)
AGAIN = st.sampled_from(["", "1", "2"])
ITEMS: st.SearchStrategy[RawHeaders] = st.lists(
    st.tuples(st.sampled_from([*NAMES, ":path"]), (AGAIN | TEXT).map(str.encode))
)
ONCE_EACH = st.dictionaries(st.sampled_from(NAMES), (AGAIN | TEXT).map(str.encode)).map(lambda items: [*items.items()])
EDITS = st.lists(st.tuples(st.sampled_from(["set", "add", "pop", "discard"]), st.sampled_from(SPELLINGS), AGAIN | TEXT))


@given(ITEMS, EDITS)
def test_edits_do_to_the_items_what_they_say_and_never_touch_what_was_given(
    items: RawHeaders, edits: list[tuple[str, str, str]]
) -> None:
    given_items = list(items)
    headers = Headers(items)
    model = {name: [v.decode() for n, v in items if n == name] for name in NAMES}
    for action, name, value in edits:
        if action == "set":
            headers[name] = value
            model[name.lower()] = [value]
        elif action == "add":
            headers.add(name, value)
            model[name.lower()].append(value)
        elif action == "pop":
            headers.pop(name, None)
            model[name.lower()] = []
        else:
            assert headers.discard(name) == bool(model[name.lower()])
            model[name.lower()] = []
    assert {name: headers.get_all(name) for name in NAMES} == model
    assert set(headers) == {name for name, values in model.items() if values}
    assert len(headers) == len(set(headers))
    assert items == given_items


def edit(headers: Headers, edits: list[tuple[str, str, str]]) -> None:
    for action, name, value in edits:
        if action == "set":
            headers[name] = value
        elif action == "add":
            headers.add(name, value)
        else:
            headers.discard(name)


def noted(headers: Headers, before: RawHeaders) -> bool:
    """Whether the edits were noted; they are then those that were made, and no others."""
    mutation = headers._plain_mutation()
    if mutation is None:
        return False
    edits, removals = mutation
    set_headers = [HeaderEdit(name, value) for name, value in edits]
    assert sorted(apply(before, set_headers, removals)) == sorted(headers._items)
    added = [name for name, _ in edits if name not in dict(before)]
    assert added == [name for name, _ in headers._items if name not in dict(before)]
    assert not {*edits} & {*before}, "edits that change nothing"
    assert {*removals} <= {*dict(before)}, "removals of what was never there"
    return True


@settings(max_examples=500)
@given(ITEMS | ONCE_EACH, EDITS, EDITS, st.booleans())
def test_edits_that_were_noted_are_those_that_were_made(
    items: RawHeaders, edits: list[tuple[str, str, str]], later: list[tuple[str, str, str]], by_name: bool
) -> None:
    headers = Headers(items, by_name=dict(items) if by_name else None)
    edit(headers, edits)
    before = list(headers._rebase())
    edit(headers, later)
    repeats = len(dict(before)) < len(before)
    assert not (noted(headers, before) and repeats and later)


@given(ITEMS | ONCE_EACH, EDITS, EDITS, EDITS)
def test_edits_that_were_undone_are_not_noted(
    items: RawHeaders,
    edits: list[tuple[str, str, str]],
    undone: list[tuple[str, str, str]],
    later: list[tuple[str, str, str]],
) -> None:
    headers = Headers(items)
    edit(headers, edits)
    kept = headers._snapshot()
    edit(headers, undone)
    headers._restore(kept)
    edit(headers, later)
    noted(headers, items)


@given(ITEMS, EDITS)
def test_headers_never_take_more_than_they_think(items: RawHeaders, edits: list[tuple[str, str, str]]) -> None:
    headers = Headers(items, header_bytes(items) or 1)
    edit(headers, edits)
    assert header_bytes(headers._items) <= headers._at_most


@pytest.mark.parametrize("value", [" 1 ", b" 1 ", "\t1", " é "])
def test_white_space_around_a_value_is_no_part_of_it(value: str | bytes) -> None:
    headers = Headers()
    headers["x-a"] = value
    headers.add("x-b", value)
    assert headers["x-a"] == headers["x-b"] == (value if isinstance(value, str) else value.decode()).strip()


def test_names_are_remembered_for_a_while_only() -> None:
    headers = Headers()
    for number in range(5000):
        name = f"x-{number}"
        headers[name] = "1"
        assert (headers.get(name), headers.discard(name)) == ("1", True)
    assert max(map(len, (readable, settable, removable))) <= 1024


LOOKALIKES = ["x-a-b", "x_a-b", "x-a_b", "x_a_b", "X_A_B"]


@pytest.mark.parametrize("name", LOOKALIKES)
@pytest.mark.parametrize("sent", [[], *([one] for one in LOOKALIKES), LOOKALIKES])
def test_what_an_upstream_could_take_for_a_name_goes_with_it(name: str, sent: list[str]) -> None:
    headers = Headers([("x-a", b"1"), *((one.lower(), b"2") for one in sent), ("x-a-b-c", b"3")])
    assert headers.discard_lookalikes(name) == bool(sent)
    assert headers.multi_items() == [("x-a", "1"), ("x-a-b-c", "3")]


def test_names_of_many_words_have_lookalikes_too() -> None:
    words = [f"w{number}" for number in range(30)]
    headers = Headers([("-".join(words[:10]) + "_" + "-".join(words[10:]), b"1"), ("_".join(words[1:]), b"2")])
    assert headers.discard_lookalikes("-".join(words))
    assert headers.multi_items() == [("_".join(words[1:]), "2")]
    assert not headers.discard_lookalikes("-".join(words))


@pytest.mark.parametrize("name", ["content_length", ":path", "x-envoy-peer"])
def test_what_must_not_be_removed_has_no_lookalikes_either(name: str) -> None:
    headers = Headers([(":path", b"/"), ("content-length", b"1"), ("x-envoy-peer", b"1")])
    with pytest.raises(HeaderError):
        headers.discard_lookalikes(name)
    assert len(headers._items) == 3


@given(ITEMS)
def test_headers_that_were_not_edited_keep_order_and_duplicates(items: RawHeaders) -> None:
    wanted = [(name, value.decode()) for name, value in items if name != ":path"]
    assert Headers(items).multi_items() == wanted


def test_names_are_found_in_any_case() -> None:
    headers = Headers([("x-a", b"1")])
    assert (headers["X-A"], "X-a" in headers, headers.get_all("X-A"), headers.get_raw("x-A")) == (
        "1",
        True,
        ["1"],
        [b"1"],
    )


def test_duplicates_are_read_as_one_value_so_that_a_second_cannot_hide() -> None:
    assert Headers([("x-api-key", b"good"), ("x-api-key", b"bad")])["x-api-key"] == "good, bad"


@pytest.mark.parametrize(("name", "joined"), [("cookie", "a=1; b=2"), ("x-a", "a=1, b=2"), ("set-cookie", "a=1\nb=2")])
def test_duplicates_are_joined_as_their_name_wants_it(name: str, joined: str) -> None:
    assert Headers([(name, b"a=1"), (name, b"b=2")])[name] == joined


def test_set_cookies_joined_cannot_be_written_back() -> None:
    """They are no list (RFC 6265 section 3): `get_all` and `add` are right for them."""
    headers = Headers([("set-cookie", b"a=1"), ("set-cookie", b"b=2")])
    with pytest.raises(HeaderError):
        headers["x-copy"] = headers["set-cookie"]


@given(st.binary(max_size=20))
def test_bytes_survive_being_read_and_written_as_text(raw: bytes) -> None:
    headers = Headers([("x-a", raw.strip(b" \t"))])
    assert headers.get_raw("x-a")[0] == headers["x-a"].encode("utf-8", "surrogateescape")


def test_a_header_that_is_not_there_is_a_key_error() -> None:
    headers = Headers()
    with pytest.raises(KeyError, match="x-a"):
        headers["x-a"]
    with pytest.raises(KeyError, match="x-a"):
        del headers["x-a"]
    assert (headers.get("x-a"), headers.get_all("x-a"), headers.pop("x-a", None), headers.__contains__(3)) == (
        None,
        [],
        None,
        False,
    )


def test_assignment_keeps_the_place_of_the_first_occurrence() -> None:
    headers = Headers([("x-a", b"1"), ("x-b", b"2"), ("x-a", b"3")])
    headers["x-a"] = "4"
    assert headers.multi_items() == [("x-a", "4"), ("x-b", "2")]


@pytest.mark.parametrize("name", [":path", ":status", "host", "Host"])
def test_pseudo_headers_are_named_with_what_to_use_instead(name: str) -> None:
    headers = Headers([(":path", b"/"), ("host", b"a"), (":status", b"200")])
    with pytest.raises(HeaderError, match=r"use request\."):
        headers[name]
    with pytest.raises(HeaderError):
        name in headers  # noqa: B015
    with pytest.raises(HeaderError):
        headers[name] = "x"


def test_pseudo_headers_and_host_are_hidden_from_whoever_goes_through_all() -> None:
    headers = Headers([(":status", b"200"), ("host", b"an upstream said so"), ("x-a", b"1")])
    assert (dict(headers), headers.multi_items(), len(headers)) == ({"x-a": "1"}, [("x-a", "1")], 1)


ILLEGAL: list[tuple[str, Any]] = [
    ("content-length", "3"),
    ("transfer-encoding", "chunked"),
    ("connection", "close"),
    ("x y", "1"),
    ("", "1"),
    ("x-a", "1\r\nx-b: 2"),
    ("x-a", "\0"),
    ("x-envoy-upstream-rq-timeout-ms", "1"),
    (":method", "PUT"),
]


@pytest.mark.parametrize(("name", "value"), ILLEGAL)
def test_an_illegal_edit_raises_at_once_and_changes_nothing(name: str, value: str) -> None:
    headers = Headers([("x-a", b"before")])
    with pytest.raises(HeaderError) as caught:
        headers[name] = value
    assert caught.value.header == name
    with pytest.raises(HeaderError):
        headers.add(name, value)
    assert headers.multi_items() == [("x-a", "before")]


def test_what_a_filter_may_not_set_it_may_not_remove_either() -> None:
    headers = Headers([("content-length", b"3"), ("x-envoy-internal", b"true")])
    for name in ("content-length", "x-envoy-internal"):
        with pytest.raises(HeaderError):
            del headers[name]


def test_credentials_for_a_proxy_can_be_removed() -> None:
    headers = Headers([("proxy-authorization", b"Basic eA==")])
    del headers["proxy-authorization"]
    assert not headers


def test_envoys_own_headers_can_be_set_by_who_asked_for_it() -> None:
    headers = Headers()
    with pytest.raises(HeaderError, match="add 'envoy_headers' to the filter's `requires`"):
        headers["x-envoy-max-retries"] = "1"
    headers._allowed = frozenset({"envoy_headers"})
    headers["x-envoy-max-retries"] = "1"
    assert headers["x-envoy-max-retries"] == "1"


def test_headers_that_have_left_cannot_be_edited() -> None:
    headers = Headers([("x-a", b"1")])
    headers._sealed = "they have left"
    for edit in (lambda: headers.__setitem__("x-a", "2"), lambda: headers.add("x-a", "2"), lambda: headers.pop("x-a")):
        with pytest.raises(PhaseError, match="cannot be changed: they have left"):
            edit()
    assert headers["x-a"] == "1"


def test_a_value_is_text_or_bytes() -> None:
    headers = Headers()
    headers["x-a"] = b"\xff"
    assert headers.get_raw("x-a") == [b"\xff"]
    with pytest.raises(TypeError, match="takes str or bytes, not int"):
        headers["x-a"] = 3  # type: ignore[assignment]


def test_repr_reads_like_the_headers() -> None:
    assert repr(Headers([("x-a", b"1"), (":path", b"/")])) == "Headers([('x-a', '1')])"
