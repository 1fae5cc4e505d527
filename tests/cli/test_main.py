"""What holds for every command: exit statuses, one clear message, no traceback for what is the user's to mend."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path
from typing import Any

import pytest

from extproc import ConfigError, ConfigProblem, EnvoyError
from extproc.cli import main
from extproc.config import chain_schema

EXTPROC = Path(sys.executable).with_name("extproc")
SIZE = "must be a size such as 512KiB, 64MiB or 1GiB, and more than nothing"
DURATION = "must be a duration such as 50ms, 1.5s or 2m, and more than nothing"
HEAVY = ("grpc", "google.protobuf", "yaml", "rich", "envoy_data_plane", "betterproto2", "h11", "asyncio")


def test_version(run: Callable[..., Any]) -> None:
    assert run("--version").out == version("extproc-sdk") + "\n"


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["chekc"], "Unknown command 'chekc': did you mean 'check'? See extproc --help."),
        (["envoi", "run"], "Unknown command 'envoi': did you mean 'envoy'? See extproc --help."),
        (["xyz"], "Unknown command 'xyz'. See extproc --help."),
        (["envoy", "cofnig"], "Unknown command 'cofnig': did you mean 'config'? See extproc envoy --help."),
        (["check"], 'Command "check" parameter CHAIN requires an argument. See extproc check --help.'),
        (["check", "x", "--envy", "y"], "Unknown option: --envy. Did you mean --envoy? See extproc check --help."),
        (
            ["serve", "x", "--grace", "soon"],
            f"Invalid value for --grace: {DURATION}. See extproc serve --help.",
        ),
        (
            ["serve", "x", "--socket-mode", "0999"],
            "Invalid value for --socket-mode: must be permissions in octal, such as 0660. See extproc serve --help.",
        ),
        (
            ["serve", "x", "--max-streams", "0"],
            "Invalid value for --max-streams: must be a whole number, 1 or more. See extproc serve --help.",
        ),
        (
            ["serve", "x", "--max-body", "64MB"],
            f"Invalid value for --max-body: {SIZE}. See extproc serve --help.",
        ),
    ],
)
def test_a_wrong_command_line_is_said_in_one_line(run: Callable[..., Any], arguments: list[str], said: str) -> None:
    ran = run(*arguments)
    assert (ran.status, ran.out, ran.err) == (2, "", said + "\n")


PROBLEMS = [ConfigProblem("is wrong", "timeout", 1, 10), ConfigProblem("too", "filters", 2, 1)]


@pytest.mark.parametrize(
    ("error", "status", "said"),
    [
        (ConfigError("chain.yaml", PROBLEMS), 2, "chain.yaml:1:10: timeout: is wrong\nchain.yaml:2:1: filters: too\n"),
        (ExceptionGroup("group", [EnvoyError("no"), ExceptionGroup("", [EnvoyError("never")])]), 2, "no\nnever\n"),
        (KeyboardInterrupt(), 130, ""),
    ],
)
def test_errors_become_messages_and_statuses(
    run: Callable[..., Any], monkeypatch: pytest.MonkeyPatch, error: BaseException, status: int, said: str
) -> None:
    def fail() -> dict[str, Any]:
        raise error

    monkeypatch.setattr("extproc.config.chain_schema", fail)
    ran = run("schema")
    assert (ran.status, ran.out, ran.err) == (status, "", said)


@pytest.mark.parametrize(
    "error", [RuntimeError("a bug"), ExceptionGroup("", [EnvoyError("no"), RuntimeError("a bug")])]
)
def test_our_own_bugs_keep_their_traceback(monkeypatch: pytest.MonkeyPatch, error: Exception) -> None:
    def fail() -> dict[str, Any]:
        raise error

    monkeypatch.setattr("extproc.config.chain_schema", fail)
    with pytest.raises(type(error)):
        main(["schema"])


def test_schema_prints_the_schema(run: Callable[..., Any]) -> None:
    ran = run("schema")
    assert ran.status == 0
    assert json.loads(ran.out) == chain_schema()


def test_a_reader_that_has_seen_enough_is_no_error() -> None:
    with subprocess.Popen([EXTPROC, "schema"], stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        assert process.stdout is not None
        process.stdout.close()
        _, complaint = process.communicate(timeout=30)
    assert (process.returncode, complaint) == (0, b"")


def test_importing_the_command_line_imports_no_command() -> None:
    script = f"import sys, extproc.cli; print([name for name in {HEAVY!r} if name in sys.modules])"
    assert subprocess.check_output([sys.executable, "-c", script], text=True) == "[]\n"


@pytest.mark.parametrize("command", [["check"], ["serve"], ["health"], ["schema"], ["envoy"], ["envoy", "run"]])
def test_every_command_has_help(run: Callable[..., Any], command: list[str]) -> None:
    ran = run(*command, "--help")
    assert (ran.status, ran.err) == (0, "")
    assert f"Usage: extproc {' '.join(command)}" in ran.out
