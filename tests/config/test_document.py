"""YAML is read by the core schema of YAML 1.2, and every value knows its place."""

from __future__ import annotations

import math
from typing import Any

import pytest

from extproc import ConfigError
from extproc.config.document import parse_document, read_document
from extproc.config.nodes import DEEPEST


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("yes", "yes"),
        ("on", "on"),
        ("N", "N"),
        ("true", True),
        ("False", False),
        ("tRUE", "tRUE"),
        ("1:30", "1:30"),
        ("190:20:30", "190:20:30"),
        ("2026-01-01", "2026-01-01"),
        ("1_000", "1_000"),
        ("0b11", "0b11"),
        ("0o17", 15),
        ("0x1F", 31),
        ("0", 0),
        ("-12", -12),
        ("+12", 12),
        ("1e3", 1000.0),
        ("12.", 12.0),
        (".5", 0.5),
        ("-.INF", -math.inf),
        ("~", None),
        ("null", None),
        ("", None),
        ("=", "="),
        ('"007"', "007"),
        ("'true'", "true"),
        ("!!str 12", "12"),
        ("|\n  two\n  lines\n", "two\nlines\n"),
    ],
)
def test_scalars_are_read_by_the_core_schema(text: str, value: object) -> None:
    read = parse_document(f"key: {text}", "t").value["key"]
    assert read == value
    assert type(read) is type(value)


def test_nan_is_a_float() -> None:
    assert math.isnan(parse_document("[.nan]", "t").value[0])


@pytest.mark.parametrize("key", ["on", "yes", "1", "true", "null", "~", "1.5"])
def test_keys_are_text_as_written(key: str) -> None:
    assert parse_document(f"{key}: 1", "t").value == {key: 1}


@pytest.mark.parametrize("number", ["010", "-010", "00", "007.5", "09"])
def test_a_plain_number_with_a_leading_zero_is_refused(number: str) -> None:
    (problem,) = parse_document(f"mode: {number}", "t").problems
    assert "leading zero" in problem.message
    assert (problem.field, problem.line, problem.column) == ("mode", 1, 7)


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("a: &x [1]\nb: *x", {"a": [1], "b": [1]}),
        ("a: &x {k: 1, z: 2}\nb: {<<: *x, k: 3}", {"a": {"k": 1, "z": 2}, "b": {"k": 3, "z": 2}}),
        ("a: {<<: [{k: 1}, {k: 2, z: 3}]}", {"a": {"k": 1, "z": 3}}),
        ("a: &x {<<: {deep: 1}, own: 2}\nb: {<<: *x}", {"a": {"deep": 1, "own": 2}, "b": {"deep": 1, "own": 2}}),
        ('{"<<": {k: 1}}', {"<<": {"k": 1}}),
    ],
)
def test_anchors_and_merge_keys_work(text: str, value: object) -> None:
    document = parse_document(text, "t")
    assert document.problems == []
    assert document.value == value


def test_places_are_those_of_keys_and_values() -> None:
    document = parse_document("top:\n  - name: x\n    list: [1,\n      2]\n", "t")
    place = document.keys["top", 0, "list"]
    assert (place.line, place.column) == (3, 5)
    place = document.values["top", 0, "list", 1]
    assert (place.line, place.column) == (4, 7)


def test_a_problem_with_something_missing_is_placed_around_it() -> None:
    problem = parse_document("top:\n  key: 1\n", "t").problem("is missing", ("top", "no", "such"))
    assert (problem.line, problem.column, problem.field) == (1, 1, "top.no.such")


@pytest.mark.parametrize(
    ("route", "name"),
    [
        (("filters", 1, "with"), "filters[1].with"),
        (("a b", "c"), '["a b"].c'),
        (("a", 'quote"\n'), 'a["quote\\"\\n"]'),
        ((), ""),
    ],
)
def test_routes_are_written_on_one_line(route: tuple[str | int, ...], name: str) -> None:
    assert parse_document("{}", "t").problem("", route).field == name


def _refusal(text: str) -> str:
    try:
        problems = parse_document(text, "t").problems
    except ConfigError as error:
        problems = error.problems
    return "\n".join(problem.message for problem in problems)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("[" * (DEEPEST + 1), "levels deep"),
        ("a: &a [*a]", "no end to it"),
        ("a: &a {<<: *a}", "no end to it"),
        ("<<: &a [*a]", "takes a mapping"),
        ('"\\ud800"', "surrogate"),
        ('"\\ud800": 1', "surrogate"),
        ('"\\UFFFFFFFF"', "impossible escape"),
        ("9" * 5000, "too long a number"),
        ("!!int x", "not what its tag says"),
        ("!!bool x", "not what its tag says"),
        ("!!float x", "not what its tag says"),
        ("!!binary aGk=", "the tag !!binary"),
        ("!!python/object/apply:os.abort []", "the tag !!python/object/apply:os.abort"),
        ("!!set {a}", "the tag !!set"),
        ("a: !<tag:x.example> 1", "the tag tag:x.example"),
        ("? {a: 1}\n: 2", "a key is text"),
        ("%YAML 9999.1\n---\na", "not YAML"),
    ],
)
def test_what_no_configuration_needs_is_refused(text: str, said: str) -> None:
    assert said in _refusal(text)


def test_deep_nesting_by_aliases_is_refused() -> None:
    levels = "\n".join(f"k{i + 1}: &k{i + 1} [[[[*k{i}]]]]" for i in range(40))
    assert "levels deep" in _refusal(f"k0: &k0 x\n{levels}\n")


def test_an_alias_bomb_is_refused_before_it_goes_off() -> None:
    levels = "\n".join(f"k{i + 1}: &k{i + 1} [{', '.join([f'*k{i}'] * 10)}]" for i in range(9))
    assert "more than 500000 values" in _refusal(f"k0: &k0 x\n{levels}\n")


def test_a_byte_order_mark_is_no_part_of_the_text(tmp_path: Any) -> None:
    file = tmp_path / "bom.yaml"
    file.write_bytes(b"\xef\xbb\xbfkey: 1\n")
    assert read_document(file).value == {"key": 1}


def test_a_directory_cannot_be_read(tmp_path: Any) -> None:
    with pytest.raises(ConfigError, match="cannot be read: Is a directory"):
        read_document(tmp_path)
