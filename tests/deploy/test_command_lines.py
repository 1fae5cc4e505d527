"""What the artefacts tell the `extproc` command, judged by the command itself."""

from __future__ import annotations

import json
import re

import pytest
from cyclopts import CycloptsError

from extproc.cli import app
from tests.deploy.tools import DEPLOY, load


def image() -> list[list[str]]:
    lines = (DEPLOY / "docker" / "Dockerfile").read_text().splitlines()
    found = {
        line.split()[0]: json.loads(line[line.index("[") :]) for line in lines if re.match("ENTRY|CMD|HEALTH", line)
    }
    return [found["ENTRYPOINT"] + found["CMD"], found["HEALTHCHECK"]]


def compose() -> list[list[str]]:
    processor = load(DEPLOY / "compose" / "compose.yaml")["services"]["processor"]
    return [["extproc", "serve", *processor["command"]], processor["healthcheck"]["test"][1:]]


def sidecar() -> list[list[str]]:
    pod = load(DEPLOY / "kubernetes" / "base" / "deployment.yaml")["spec"]["template"]["spec"]
    processor = next(c for c in pod["initContainers"] if c["name"] == "processor")
    probes = [processor[probe]["exec"]["command"] for probe in ("startupProbe", "readinessProbe")]
    return [["extproc", "serve", *processor["args"]], *probes]


@pytest.mark.parametrize("command", [*image(), *compose(), *sidecar()], ids=" ".join)
def test_the_command_line_is_understood(command: list[str]) -> None:
    program, *arguments = command

    app.parse_args(arguments, exit_on_error=False, print_error=False)

    assert program == "extproc"


def test_a_wrong_one_is_not() -> None:
    with pytest.raises(CycloptsError):
        app.parse_args(["serve", "chain.yaml", "--listens", "127.0.0.1:9002"], exit_on_error=False, print_error=False)
