"""What a right chain file, or a chain in code, becomes."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest

from extproc import Chain, ConfigError, Filter, Use, When
from extproc.config import load_chain

FILTERS = """
from typing import ClassVar
from extproc import Chain, Exchange, Filter

class Greet(Filter):
    on_error: ClassVar = "skip"
    word: str = "hello"
    def on_request_headers(self, exchange: Exchange) -> None: ...

class HTTPLog(Filter):
    class Deep(Filter):
        pass

chain = Chain([Greet(word="code")], timeout=2)
def make(): return chain
def fail(): raise RuntimeError("no luck")
def nothing(): return None
async def later(): return chain
def wrong(): return Greet(word={"a": "hunter2-hunter2"})
greet = Greet()
"""


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with a module of its own, of which nothing stays behind."""
    (tmp_path / "greeting.py").write_text(FILTERS)
    monkeypatch.setattr(sys, "path", list(sys.path))
    monkeypatch.delitem(sys.modules, "greeting", raising=False)
    return tmp_path


def write(folder: Path, text: str) -> Path:
    file = folder / "chain.yaml"
    file.write_text(text)
    return file


def test_a_file_is_the_chain_one_would_write_in_code(folder: Path) -> None:
    chain = load_chain(
        write(
            folder,
            """
version: 1
timeout: 1500ms
threads: 3
filters:
  - use: greeting:Greet
    name: first
    when: {path: /api/**, method: [GET, POST], not: {header: {x-debug: "1"}}}
    on_error: deny
    timeout: 50ms
    offload: thread
    with: {word: hi}
  - use: greeting:Greet
""",
        )
    )
    kind = type(chain.links[0].filter)
    same = Chain(
        [
            Use(
                kind.model_validate({"word": "hi"}),
                name="first",
                when=When(path=("/api/**",), method=("GET", "POST"), not_=When(header={"x-debug": "1"})),
                on_error="deny",
                timeout=0.05,
                offload="thread",
            ),
            kind(),
        ],
        timeout=1.5,
        threads=3,
    )
    assert (chain.timeout, chain.threads.size) == (same.timeout, same.threads.size)
    for link, other in zip(chain.links, same.links, strict=True):
        assert link.filter == other.filter
        assert (link.name, link.when, link.on_error, link.timeout, link.offload) == (
            other.name,
            other.when,
            other.on_error,
            other.timeout,
            other.offload,
        )


@pytest.mark.parametrize(
    "empty", ["", "with:", "with: {}", "when:\n    name:\n    on_error:\n    timeout:\n    offload:"]
)
def test_what_is_left_empty_is_left_out(folder: Path, empty: str) -> None:
    (link,) = load_chain(write(folder, f"filters:\n  - use: greeting:Greet\n    {empty}\n")).links
    assert (link.name, link.when, link.on_error, link.timeout) == ("greet", None, "skip", None)


def test_a_chain_may_have_no_filters(folder: Path) -> None:
    assert load_chain(write(folder, "filters: []")).links == ()


def test_json_is_yaml(folder: Path) -> None:
    chain = load_chain(write(folder, '{"filters": [{"use": "greeting:Greet", "with": {"word": "\\u00e9"}}]}'))
    assert chain.links[0].filter.model_dump() == {"word": "é"}


def test_entries_may_share_what_an_anchor_holds(folder: Path) -> None:
    chain = load_chain(
        write(
            folder,
            "filters:\n  - &one\n    use: greeting:Greet\n    with: &w {word: a}\n"
            "  - <<: *one\n    name: two\n  - {use: greeting:Greet, with: {<<: *w, word: b}}\n",
        )
    )
    assert [(link.name, link.filter.model_dump()["word"]) for link in chain.links] == [
        ("greet", "a"),
        ("two", "a"),
        ("greet-2", "b"),
    ]


EDIT = {"response": {"remove": ["server"]}}


@pytest.mark.parametrize(
    ("entries", "names"),
    [
        ([{"use": "greeting:Greet"}, {"use": "greeting:Greet"}], ["greet", "greet-2"]),
        ([{"use": "greeting:Greet"}, {"use": "greeting:Greet", "name": "greet"}], ["greet-2", "greet"]),
        ([{"use": "greeting:HTTPLog"}, {"use": "greeting:HTTPLog.Deep"}], ["http_log", "deep"]),
        ([{"use": "headers", "with": EDIT}] * 2, ["headers", "headers-2"]),
        (
            [{"use": "headers", "with": EDIT}, {"use": "extproc_filters:EditHeaders", "with": EDIT}],
            ["headers", "edit_headers"],
        ),
    ],
)
def test_a_filter_is_called_what_it_is_used_by(folder: Path, entries: list[object], names: list[str]) -> None:
    chain = load_chain(write(folder, json.dumps({"filters": entries})))
    assert [link.name for link in chain.links] == names


def test_a_relative_path_to_a_chain_file_is_enough(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write(folder, "filters:\n  - use: greeting:Greet\n")
    monkeypatch.chdir(folder)
    assert repr(load_chain("chain.yaml")) == "Chain(greet)"


@pytest.mark.parametrize("attribute", ["chain", "make"])
def test_a_chain_in_code_is_found_in_the_current_directory(
    folder: Path, monkeypatch: pytest.MonkeyPatch, attribute: str
) -> None:
    monkeypatch.chdir(folder)
    chain = load_chain(f"greeting:{attribute}")
    assert chain.timeout == 2
    assert chain.links[0].filter.model_dump() == {"word": "code"}


@pytest.mark.parametrize(
    ("attribute", "said"),
    [
        ("chian", "greeting has no 'chian': did you mean 'chain'?"),
        ("fail", "greeting.py:16: RuntimeError: no luck"),
        ("nothing", "gives None, not a Chain"),
        ("later", "is an async function, not a Chain"),
        ("greet", "is a filter, not a chain: put it into one, Chain([...])"),
        ("Greet", "is a filter, not a chain: put it into one, Chain([...])"),
        ("FILTERS", "greeting has no 'FILTERS'"),
        ("Greet.__doc__", "is None, not a Chain"),
        ("__name__", "is of type str, not a Chain"),
    ],
)
def test_what_is_no_chain_in_code_is_said(
    folder: Path, monkeypatch: pytest.MonkeyPatch, attribute: str, said: str
) -> None:
    monkeypatch.chdir(folder)
    with pytest.raises(ConfigError) as raised:
        load_chain(f"greeting:{attribute}")
    assert said in str(raised.value)


def test_pydantics_words_about_a_chain_in_code_hold_no_input(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(folder)
    with pytest.raises(ConfigError, match="Greet: word: Input should be a valid string") as raised:
        load_chain("greeting:wrong")
    assert "hunter2" not in str(raised.value)


@pytest.mark.parametrize("source", ["nowhere.yaml", "nowhere", Path("nowhere")])
def test_a_chain_that_is_nowhere_is_said_to_be(source: str | Path) -> None:
    with pytest.raises(ConfigError, match=r"nowhere.*no such file; a chain in code is written module:attribute"):
        load_chain(source)


def test_needs_that_fail_are_the_entrys_problem(folder: Path) -> None:
    (folder / "needy.py").write_text(
        "from extproc import Filter\nclass Needy(Filter):\n    def needs(self): return {}['x']\n"
    )
    with pytest.raises(
        ConfigError, match=r"chain.yaml:2:5: filters\[0\].with: Needy fails with this: .*needy.py:3: KeyErr"
    ):
        load_chain(write(folder, "filters:\n  - use: needy:Needy\n"))


def test_a_filter_that_cannot_be_loaded_is_the_use_lines_problem(folder: Path) -> None:
    (folder / "syntax.py").write_text("class Broken(:\n")
    (folder / "leaving.py").write_text("import sys\nsys.exit('bye')\n")
    (folder / "half.py").write_text("import nonexistent_dependency\n")
    with pytest.raises(ConfigError) as raised:
        load_chain(write(folder, "filters:\n  - use: syntax:Broken\n  - use: leaving:Any\n  - use: half:Any\n"))
    syntax, leaving, half = raised.value.problems
    assert f"{folder}/syntax.py:1: SyntaxError" in syntax.message
    assert f"{folder}/leaving.py:2: SystemExit: bye" in leaving.message
    assert f"{folder}/half.py:1: ModuleNotFoundError: No module named 'nonexistent_dependency'" in half.message
    assert [problem.line for problem in raised.value.problems] == [2, 3, 4]


def test_the_filters_of_a_loaded_chain_are_filters(folder: Path) -> None:
    (link,) = load_chain(write(folder, "filters:\n  - use: greeting:Greet\n")).links
    assert isinstance(link.filter, Filter)
