"""Whatever stands in a chain file: it becomes a chain, or a ConfigError says why not."""

from __future__ import annotations

import contextlib
import json
import sys
from pathlib import Path

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from extproc import ConfigError
from extproc.config.chainfile import build_chain
from extproc.config.document import parse_document, read_document

WRONG = Path(__file__).parent / "wrong"


@pytest.fixture(autouse=True, scope="module")
def path_as_before() -> object:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys, "path", list(sys.path))
        yield


BREAKS = "\n\r\x85\u2028\u2029"
"""What YAML, and Python with it, takes for the end of a line."""


def check(text: str) -> None:
    """Either a chain comes of it, or problems with places in the text, one a line."""
    try:
        build_chain(parse_document(text, "chain.yaml"), WRONG)
    except ConfigError as error:
        problems, said = error.problems, str(error)
    else:
        return
    lines = 1 + sum(character in BREAKS for character in text)
    assert problems
    assert all(problem.message and 1 <= (problem.line or 0) <= lines for problem in problems)
    assert len(said.splitlines()) == len(problems)


@settings(deadline=None)  # a busy machine is no failure
@given(st.text())
@example('"\\UFFFFFFFF"')
@example("%TAG ! tag:x,\n---\n!a b")
@example("? ")
@example("&a : *a")
def test_any_text(text: str) -> None:
    check(text)


MARKS = " \n\t:-[]{},#&*!|>'\"%@`?~"
WORDS = [
    "filters",
    "use",
    "with",
    ": ",
    "\n  ",
    "- ",
    "<<: ",
    "&a ",
    "*a",
    "---\n",
    "0x",
    "1e9",
    ".inf",
    "!!int ",
    "\\u",
]
yaml_pieces = st.lists(
    st.sampled_from([*MARKS, *WORDS, "guards:Guard", "\\u", "\x85", "\u2028", "\ufeff", "\0"]), max_size=40
).map("".join)


@settings(deadline=None)  # a busy machine is no failure
@given(yaml_pieces)
def test_any_text_that_looks_like_yaml(text: str) -> None:
    check(text)


words = st.sampled_from(["guards:Guard", "1s", "deny", "env", "file"])
values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text() | words,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text() | words, inner, max_size=3),
    max_leaves=8,
)


def mapping_of(*names: str) -> st.SearchStrategy[dict[str, object]]:
    return st.dictionaries(st.sampled_from([*names, names[0] + "s"]), values, max_size=5)


config = mapping_of("keys", "limit", "ratio", "strict", "mode", "hosts", "login", "burst")
condition = mapping_of("path", "method", "host", "header", "not", "not_")
used = st.sampled_from(["guards:Guard", "guards:Demanding", "guards:Talkative", "rate_limit", "api_key"])
others = {"with": config | values, "when": condition | values, "name": values, "on_error": values, "timeout": values}
entry = st.fixed_dictionaries({"use": used | values}, optional=others)
chain_file = st.fixed_dictionaries(
    {"filters": st.lists(entry, max_size=3) | values}, optional={"timeout": values, "version": values, "x": values}
)


@settings(deadline=None)  # a busy machine is no failure
@given(chain_file | values)
def test_any_values_in_the_places_of_right_ones(value: object) -> None:
    check(json.dumps(value))


@settings(deadline=None)  # a busy machine is no failure
@given(st.binary())
def test_any_bytes(tmp_path_factory: pytest.TempPathFactory, data: bytes) -> None:
    file = tmp_path_factory.mktemp("any") / "chain.yaml"
    file.write_bytes(data)
    with contextlib.suppress(ConfigError):
        build_chain(read_document(file), file.parent)
