"""The mutation that turns what Envoy has into what we have, by Envoy's rules."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from extproc.messages import HeaderEdit, RawHeaders
from extproc.mutation import header_mutation
from tests.envoy_side import apply

HEADERS: st.SearchStrategy[RawHeaders] = st.lists(
    st.tuples(st.sampled_from(["a", "b", "set-cookie", ":path"]), st.sampled_from([b"", b"1", b"2", b"\xff"])),
    max_size=7,
)


def by_name(headers: RawHeaders) -> dict[str, list[bytes]]:
    return {name: [value for item, value in headers if item == name] for name, _ in headers}


@given(HEADERS, HEADERS)
def test_applied_by_envoys_rules_it_gives_the_values_of_after(before: RawHeaders, after: RawHeaders) -> None:
    edits, removals = header_mutation(before, after)
    assert by_name(apply(before, edits, removals)) == by_name(after)


@given(HEADERS, HEADERS)
def test_additions_at_the_end_give_the_values_of_after(before: RawHeaders, added: RawHeaders) -> None:
    after = before + added
    edits, removals = header_mutation(before, after)
    assert (by_name(apply(before, edits, removals)), removals, len(edits)) == (by_name(after), (), len(added))


@given(HEADERS, HEADERS)
def test_names_that_did_not_change_are_left_alone(before: RawHeaders, after: RawHeaders) -> None:
    edits, removals = header_mutation(before, after)
    old, new = by_name(before), by_name(after)
    same = {name for name in old if old[name] == new.get(name)}
    assert not same & {edit.name for edit in edits}
    assert not same & set(removals)


@given(HEADERS)
def test_no_change_is_no_mutation(headers: RawHeaders) -> None:
    assert header_mutation(headers, list(headers)) == ((), ())
    assert header_mutation(headers, headers) == ((), ())


@given(HEADERS, HEADERS)
def test_no_more_operations_of_a_kind_than_headers(before: RawHeaders, after: RawHeaders) -> None:
    """Envoy counts sets and removals each against its limit of headers."""
    edits, removals = header_mutation(before, after)
    assert len(edits) <= len(after)
    assert len(removals) <= len(before)


def test_a_second_cookie_is_appended_so_that_the_first_stays() -> None:
    before = [("set-cookie", b"a=1")]
    edits, removals = header_mutation(before, [*before, ("set-cookie", b"b=2")])
    assert (edits, removals) == ((HeaderEdit("set-cookie", b"b=2", append=True),), ())


def test_two_new_cookies_set_the_first_and_append_the_second() -> None:
    edits, _ = header_mutation([], [("set-cookie", b"a=1"), ("set-cookie", b"b=2")])
    assert [edit.append for edit in edits] == [False, True]


def test_an_assignment_replaces_every_occurrence() -> None:
    edits, removals = header_mutation([("x", b"1"), ("x", b"2")], [("x", b"2")])
    assert (edits, removals) == ((HeaderEdit("x", b"2"),), ())
