"""The JSON Schema takes what the loader takes and, as far as a schema can, refuses what it refuses."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import jsonschema  # type: ignore[import-untyped] # it has none
import pytest

from extproc.config import chain_schema
from extproc.config.document import parse_document

WRONG = Path(__file__).parent / "wrong"


@pytest.fixture(scope="module")
def schema() -> dict[str, Any]:
    return chain_schema()


def errors(schema: dict[str, Any], text: str) -> list[str]:
    found = jsonschema.Draft202012Validator(schema).iter_errors(parse_document(text, "t").value)
    return [error.json_path for error in found]


def test_it_is_a_schema(schema: dict[str, Any]) -> None:
    jsonschema.Draft202012Validator.check_schema(schema)


@pytest.mark.parametrize(
    "text",
    [
        "filters: []",
        "{version: 1, timeout: 50ms, filters: []}",
        "{timeout: 2, filters: [{use: my.module:Class, with: {anything: [1]}}]}",
        "filters: [{use: rate_limit, with: {limit: 100/minute, key: ip}, timeout: 1.5s, on_error: skip, name: a-b}]",
        "filters: [{use: api_key, with: {callers: {a: {env: KEY}, b: {file: key}, c: plain}}}]",
        "{threads: 2, filters: [{use: x:Y, offload: thread}]}",
        "filters: [{use: x:Y, when: {path: /a, method: [GET], not: {host: a.example}}, with: }]",
    ],
)
def test_right_files_pass(schema: dict[str, Any], text: str) -> None:
    assert errors(schema, text) == []


@pytest.mark.parametrize(
    ("text", "place"),
    [
        ("{}", "$"),
        ("{filters: [], filter: 1}", "$"),
        ("{filters: [], timeout: 1 minute}", "$.timeout"),
        ("{filters: [], version: 2}", "$.version"),
        ("filters: [{use: api_kee}]", "$.filters[0].use"),
        ("filters: [{use: 'a:b', name: a b}]", "$.filters[0].name"),
        ("filters: [{use: 'a:b', on_error: denny}]", "$.filters[0].on_error"),
        ("filters: [{use: 'a:b', offload: process}]", "$.filters[0].offload"),
        ("{filters: [], threads: 0}", "$.threads"),
        ("filters: [{use: 'a:b', when: {paths: x}}]", "$.filters[0].when"),
        ("filters: [{use: api_key}]", "$.filters[0]"),
        ("filters: [{use: api_key, with: {caller: {}}}]", "$.filters[0].with"),
        ("filters: [{use: api_key, with: {callers: {a: {flie: x}}}}]", "$.filters[0].with.callers.a"),
        ("filters: [{use: api_key, with: {callers: {a: {env: x, file: y}}}}]", "$.filters[0].with.callers.a"),
    ],
)
def test_wrong_files_are_refused_in_the_right_place(schema: dict[str, Any], text: str, place: str) -> None:
    assert any(found == place or found.startswith(place) for found in errors(schema, text))


def test_it_describes_every_field_of_an_entry(schema: dict[str, Any]) -> None:
    assert all("description" in field for field in schema["$defs"]["Entry"]["properties"].values())


def test_filters_describe_themselves(schema: dict[str, Any]) -> None:
    assert schema["$defs"]["ApiKey"]["description"].startswith("Admits requests")
