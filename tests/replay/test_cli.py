"""``extproc replay``: what it prints, and the exit status that a pipeline goes by."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path

import pytest

from extproc.cli import main
from extproc.config import load_chain
from tests.replay.live import Live, get, record, reply

CHAIN = """
filters:
  - use: api_key
    with: {callers: {shop: key-of-the-shop}}
  - use: rate_limit
    with: {limit: 2/minute, key: "header:x-user"}
  - use: headers
    with:
      request: {set: {x-edge: one}}
      response: {set: {x-served-by: us}}
"""
TRAFFIC = [
    *(Live(get(f"/{n}", ("x-api-key", b"key-of-the-shop"), ("x-user", b"ann")), reply(), n) for n in range(4)),
    Live(get("/stranger", ("x-api-key", b"a wild guess")), reply(), 5.0),
]


@pytest.fixture
def chain(tmp_path: Path) -> Path:
    path = tmp_path / "chain.yaml"
    path.write_text(CHAIN)
    return path


@pytest.fixture
def captures(tmp_path: Path, chain: Path) -> Path:
    """A directory with one capture."""
    directory = tmp_path / "captures"
    asyncio.run(record(directory, load_chain(chain), TRAFFIC))
    return directory


def changed(chain: Path, old: str, new: str) -> str:
    path = chain.with_name("changed.yaml")
    path.write_text(CHAIN.replace(old, new))
    return str(path)


def test_the_same_chain_exits_0(captures: Path, chain: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["replay", str(captures), "--chain", str(chain)]) == 0
    assert capsys.readouterr().out == "5 exchanges: 5 same\n"


def test_another_chain_exits_1_and_says_what_differs(
    captures: Path, chain: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["replay", str(captures), "--chain", changed(chain, "x-edge: one", "x-edge: two")]) == 1
    out = capsys.readouterr().out
    assert "   request x-edge: one → two  by headers\n" in out
    assert "5 exchanges: 3 same, 2 different\n   2  request x-edge (by headers)  such as e-0\n" in out


def test_a_file_can_be_given_and_a_header_ignored(captures: Path, chain: Path) -> None:
    (path,) = captures.glob("*.ndjson")
    other = changed(chain, "x-edge: one", "x-edge: two")
    assert main(["replay", str(path), "--chain", other, "--ignore", "x-edge"]) == 0


def test_each_capture_meets_a_fresh_chain(captures: Path, chain: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """What was counted in one run of a processor does not count in the next."""
    asyncio.run(record(captures, load_chain(chain), TRAFFIC))
    assert main(["replay", str(captures), "--chain", str(chain)]) == 0
    assert capsys.readouterr().out == "10 exchanges: 10 same\n"


def test_json_is_for_machines(captures: Path, chain: Path, capsys: pytest.CaptureFixture[str]) -> None:
    other = changed(chain, "limit: 2/minute", "limit: 1/minute, headers: false")
    assert main(["replay", str(captures), "--chain", other, "--json", "--ignore", "ratelimit", "--show", "1"]) == 1
    result = json.loads(capsys.readouterr().out)
    assert result["exit_status"] == 1
    assert result["verdicts"]["different"] == 4
    assert len(result["different"]) == 1
    assert {"what": "was forwarded, now 429 by rate_limit", "exchanges": 1, "example": "e-1"} in result["kinds"]


def test_no_secret_is_printed(captures: Path, chain: Path, capsys: pytest.CaptureFixture[str]) -> None:
    other = changed(chain, "x-edge: one", "x-api-key: key-of-the-shop, x-edge: key-of-the-shop")
    assert main(["replay", str(captures), "--chain", other]) == 1
    out = capsys.readouterr().out
    assert "key-of-the-shop" not in out
    assert "redacted-" in out


def test_without_the_redaction_key_it_says_so(
    captures: Path, chain: Path, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    key = (captures / "redaction.key").rename(tmp_path / "safe.key")
    assert main(["replay", str(captures), "--chain", str(chain)]) == 1
    out = capsys.readouterr().out
    assert "was forwarded, now 401 by api_key" in out
    assert "there is no redaction key beside the capture: 5 exchanges hold pseudonyms" in out
    assert main(["replay", str(captures), "--chain", str(chain), "--redaction-key", str(key)]) == 0


def test_a_capture_that_was_cut_off_is_replayed_and_reported(
    captures: Path, chain: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (path,) = captures.glob("*.ndjson")
    path.write_bytes(path.read_bytes()[:-400])
    assert main(["replay", str(path), "--chain", str(chain)]) == 0
    assert capsys.readouterr().out == (
        f"4 exchanges: 4 same\nnote: {path}:6: this last line was cut off and is left out\n"
    )


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["nowhere.ndjson"], "nowhere.ndjson: cannot be opened: No such file or directory"),
        (["{empty}"], "holds no capture (*.ndjson)"),
        (["{chain}"], "is no capture: its first line does not say"),
        (["{captures}", "--redaction-key", "nowhere.key"], "nowhere.key: the redaction key cannot be read"),
        ([], "replay"),
    ],
)
def test_what_cannot_be_done_exits_2_with_one_sentence(  # noqa: PLR0917 (fixtures)
    captures: Path,
    chain: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    arguments: list[str],
    sentence: str,
) -> None:
    empty = tmp_path / "empty"
    empty.mkdir()
    filled = [item.format(empty=empty, chain=chain, captures=captures) for item in arguments]
    assert main(["replay", *filled, "--chain", str(chain)]) == 2
    error = capsys.readouterr().err
    assert sentence in error
    assert error.count("\n") == 1


def test_a_chain_that_is_wrong_exits_2(captures: Path, chain: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["replay", str(captures), "--chain", changed(chain, "rate_limit", "rate_limits")]) == 2
    assert "rate_limit" in capsys.readouterr().err


def test_a_capture_with_nothing_in_it_proves_nothing(
    tmp_path: Path, chain: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    asyncio.run(record(tmp_path / "idle", load_chain(chain), []))
    assert main(["replay", str(tmp_path / "idle"), "--chain", str(chain)]) == 2
    assert capsys.readouterr().out == "0 exchanges: nothing to compare\n"


def test_another_data_plane_is_played_by_its_name(captures: Path, chain: Path) -> None:
    assert main(["replay", str(captures), "--chain", str(chain), "--profile", "envoy-1.34"]) == 0


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--profile", "envoy-0.1"], "envoy-1.34"),
        (["--profile", "envoy-1.34", "--through", "envoy"], "--through model"),
    ],
)
def test_a_data_plane_that_cannot_be_played_is_refused(
    captures: Path, chain: Path, capsys: pytest.CaptureFixture[str], arguments: list[str], said: str
) -> None:
    assert main(["replay", str(captures), "--chain", str(chain), *arguments]) == 2
    assert said in capsys.readouterr().err
