"""A folder of wrong chain files, each with all that is said about it beside it.

After a change of wording, ``EXTPROC_WRITE_EXPECTED=1 pytest tests/config/test_wrong.py`` writes the texts anew: read
the difference before it is committed.
"""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from extproc import ConfigError
from extproc.config import load_chain
from extproc.config.find import catalogue

WRONG = Path(__file__).parent / "wrong"
FILES = sorted(WRONG.glob("*.yaml"))


@pytest.fixture(autouse=True)
def in_the_folder(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(WRONG)
    monkeypatch.delenv("EXTPROC_TEST_UNSET", raising=False)
    monkeypatch.setenv("EXTPROC_TEST_EMPTY", "")


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.stem)
def test_all_that_is_wrong_is_said_at_once(file: Path) -> None:
    with pytest.raises(ConfigError) as raised:
        load_chain(file.name)
    said = str(raised.value).replace(str(WRONG), "HERE").replace(", ".join(catalogue()), "CATALOGUE") + "\n"
    expected = file.with_suffix(".txt")
    if os.environ.get("EXTPROC_WRITE_EXPECTED"):
        expected.write_text(said)
    assert said == expected.read_text()


def test_every_expected_text_has_its_file() -> None:
    assert [file.stem for file in sorted(WRONG.glob("*.txt"))] == [file.stem for file in FILES]
