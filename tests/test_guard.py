"""What must never go out in a header."""

from __future__ import annotations

import string
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from extproc import HeaderError, LimitError
from extproc.guard import (
    FRAMING,
    Limits,
    check_authority,
    check_method,
    check_name,
    check_path,
    check_value,
    header_bytes,
)

TOKEN = "!#$%&'*+-.^_`|~" + string.digits + string.ascii_letters
"""RFC 9110 section 5.6.2, spelt out."""
CONTROLS = {*range(0x20), 0x7F} - {0x09}


@given(st.text(TOKEN, min_size=1, max_size=40).filter(lambda name: name.lower() not in {*FRAMING, "host"}))
def test_every_token_is_a_name_in_lower_case(name: str) -> None:
    assert check_name(name) == name.lower()


@given(st.text(TOKEN), st.characters(exclude_characters=TOKEN), st.text(TOKEN))
def test_any_other_character_makes_it_no_name(left: str, bad: str, right: str) -> None:
    # KELVIN SIGN is the one character outside ASCII that becomes a token in lower case.
    if bad == "\u212a":
        assert check_name(f"x{left}{bad}{right}").isascii()
    else:
        with pytest.raises(HeaderError):
            check_name(left + bad + right)


@pytest.mark.parametrize("name", ["", "x" * 257, ":path", ":status", ":foo", "host", "Host", "x y", "x:", "x\r\n"])
def test_these_are_no_names(name: str) -> None:
    with pytest.raises(HeaderError, match=r"pseudo-header|authority|no legal name"):
        check_name(name)


@pytest.mark.parametrize("name", sorted(FRAMING))
@pytest.mark.parametrize("spelling", [str.lower, str.upper, str.title])
def test_framing_headers_cannot_be_set(name: str, spelling: Callable[[str], str]) -> None:
    with pytest.raises(HeaderError, match="frames the message"):
        check_name(spelling(name))


@pytest.mark.parametrize("name", sorted(FRAMING))
def test_of_framing_headers_only_credentials_of_proxies_can_be_removed(name: str) -> None:
    if name.startswith("proxy-"):
        assert check_name(name, removing=True) == name
    else:
        with pytest.raises(HeaderError):
            check_name(name, removing=True)


def test_a_pseudo_header_is_refused_with_what_to_use_instead() -> None:
    with pytest.raises(HeaderError, match=r"request\.method") as caught:
        check_name(":method")
    assert caught.value.header == ":method"


@given(st.binary(max_size=50))
def test_a_value_is_refused_exactly_when_it_holds_a_control_character(raw: bytes) -> None:
    inner = raw.strip(b" \t")
    if CONTROLS & set(inner):
        with pytest.raises(HeaderError, match="control character"):
            check_value("x-a", raw)
    else:
        assert check_value("x-a", raw) == inner


@given(st.binary(max_size=50).filter(lambda raw: raw == raw.strip(b" \t")))
def test_bytes_that_are_not_utf8_survive_as_text(raw: bytes) -> None:
    text = raw.decode("utf-8", "surrogateescape")
    if not CONTROLS & set(raw):
        assert check_value("x-a", text) == raw


def test_the_error_does_not_show_the_value_which_may_be_a_secret() -> None:
    with pytest.raises(HeaderError, match="authorization") as caught:
        check_value("authorization", "Bearer s3cret\n")
    assert "s3cret" not in str(caught.value)
    assert "\\n" in str(caught.value)


@pytest.mark.parametrize("value", [None, 3, ["a"], bytearray(b"a")])
def test_a_value_is_text_or_bytes(value: object) -> None:
    with pytest.raises(TypeError, match="'x-a' takes str or bytes"):
        check_value("x-a", value)  # type: ignore[arg-type]


@pytest.mark.parametrize("path", ["/", "/a/b?c=d&e", "*", "/%20", '/"', "//a", "/../a", "/~!$&'()*+,;=:@"])
def test_a_path_that_may_go_out(path: str) -> None:
    assert check_path(path) == path.encode()


@pytest.mark.parametrize(
    "path", ["", "a", "/a b", "/a\tb", "/a\r\nx: y", "/a#b", "/\0", "/\x7f", "/é", "**", "*/", "http://a/", "/\udc80"]
)
def test_a_path_that_would_break_the_request_line(path: str) -> None:
    with pytest.raises(HeaderError, match="begin with '/'"):
        check_path(path)


@pytest.mark.parametrize("host", ["a", "a.example:8080", "[::1]:80", "xn--bcher-kva.example", "1.2.3.4"])
def test_an_authority_that_may_go_out(host: str) -> None:
    assert check_authority(host) == host.encode()


@pytest.mark.parametrize("host", ["", "a b", "a/b", "user@a", "a\r\n", "a?b", "a#b", "é", "a\0"])
def test_an_authority_that_no_host_has(host: str) -> None:
    with pytest.raises(HeaderError, match="host, or host:port"):
        check_authority(host)


@pytest.mark.parametrize("method", ["GET", "PATCH", "M-SEARCH", "get"])
def test_a_method_that_may_go_out(method: str) -> None:
    assert check_method(method) == method.encode()


@pytest.mark.parametrize("method", ["", "GET ", "G ET", "CONNECT", "connect", "GET\r\n", "\u212a", "é", "A/B"])
def test_a_method_that_would_break_the_request_line_or_open_a_tunnel(method: str) -> None:
    with pytest.raises(HeaderError, match="not CONNECT"):
        check_method(method)


HEADERS = st.lists(
    st.tuples(st.text(string.ascii_lowercase, min_size=1, max_size=5), st.binary(max_size=20)), max_size=12
)


EDITS = {
    "up to the limit": (98, 100, False),
    "over the limit": (99, 101, True),
    "over what Envoy added after it had counted": (101, 101, True),
    "still over, though less": (102, 101, True),
    "within a larger limit that somebody gave Envoy": (150, 150, False),
    "over such a limit": (150, 151, True),
}


@pytest.mark.parametrize(("before", "after", "refused"), EDITS.values(), ids=EDITS)
@pytest.mark.parametrize(
    ("limits", "header"),
    [
        (Limits(header_count=100, header_bytes=10**6), ("x", b"")),
        (Limits(header_count=10**6, header_bytes=100_000), ("x", b"a" * 999)),
    ],
    ids=["count", "size"],
)
def test_an_edit_that_envoy_would_fail_is_refused(
    limits: Limits, header: tuple[str, bytes], before: int, after: int, refused: bool
) -> None:
    had, has = [header] * before, [header] * after
    if refused:
        with pytest.raises(LimitError) as caught:
            limits.check(has, had)
        assert caught.value.size > caught.value.limit
    else:
        limits.check(has, had)


def test_size_counts_names_and_values() -> None:
    assert header_bytes([("a", b"bc"), ("def", b"")]) == 6


def test_a_header_exactly_at_the_limits_passes() -> None:
    Limits(header_count=2, header_bytes=4).check([("a", b"1"), ("b", b"2")], [])
