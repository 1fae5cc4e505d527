"""``docs/performance.md`` is what `benchmarks.page` makes of the results; others' processors may be among them."""

from __future__ import annotations

import sys
from typing import Any

import pytest

from benchmarks import page
from benchmarks.chains import HEADERS
from benchmarks.load import request, run, upstream
from benchmarks.outside import outside
from benchmarks.results import read
from benchmarks.subject import subject

SOMEBODY_ELSES = f"{sys.executable} -m benchmarks.processors bare echo"


def made_of(monkeypatch: pytest.MonkeyPatch, *theirs: dict[str, Any]) -> tuple[str, str]:
    """The page and its plot, with these rows from outside."""
    results = read()
    ours = [row for row in results["exchanges"] if row.get("kind") != "outside"]
    monkeypatch.setattr(page, "read", lambda: {**results, "exchanges": [*ours, *theirs]})
    written = page.files()
    markdown, svg = sorted(written, key=lambda path: path.suffix)
    return written[markdown], written[svg]


def test_the_page_is_what_the_results_make_of_it() -> None:
    for path, text in page.files().items():
        assert path.read_text() == text, f"python -m benchmarks.page writes {path.name} again"


def test_what_was_not_measured_is_dashed(monkeypatch: pytest.MonkeyPatch) -> None:
    markdown, svg = made_of(monkeypatch)
    assert "**not measured in this run**" in markdown
    assert "grpc-go (elsewhere)" in svg


def test_a_processor_that_was_measured_takes_the_place_of_one_that_was_not(monkeypatch: pytest.MonkeyPatch) -> None:
    theirs = {"name": "rust-9", "kind": "outside", "us": 20.0, "ratio": 0.05, "halves": 0.0}
    markdown, svg = made_of(monkeypatch, theirs)
    assert "| rust-9 | 20.0 | 0.05 | 0.0% |" in markdown
    assert "`rust-9` is a processor that was [given to `make bench`]" in markdown
    assert "not measured" not in markdown
    assert ("rust-9" in svg, "elsewhere" in svg) == (True, False)


async def test_a_processor_from_outside_speaks_our_protocol(monkeypatch: pytest.MonkeyPatch, tmp_path: Any) -> None:
    monkeypatch.setenv("BENCH_OUTSIDE", f"theirs={SOMEBODY_ELSES}")
    (row,) = outside()
    async with upstream() as address, subject(row, address, str(tmp_path)) as theirs:
        assert theirs.processor is not None
        before = await theirs.processor.cpu()
        await run(theirs.address, request(HEADERS), 20, 2)
        assert await theirs.processor.cpu() > before


@pytest.mark.parametrize("value", ["grpc-go", "=program", "grpc-go="])
def test_what_is_no_processor_is_said(monkeypatch: pytest.MonkeyPatch, value: str) -> None:
    monkeypatch.setenv("BENCH_OUTSIDE", value)
    with pytest.raises(SystemExit, match="NAME=COMMAND"):
        outside()


def test_none_is_measured_unless_one_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("BENCH_OUTSIDE", raising=False)
    assert outside() == ()
