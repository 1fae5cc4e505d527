"""Runs what a page shows in a terminal, and holds the output against the page.

``$ command`` is run in the directory of the page; the lines after it are its output. There, a line ``...`` stands for
any number of lines and ``…`` for anything within a line; a command without output is not held against any. A command
has to exit with 0, unless ``$ echo $?`` follows. With ``&`` it stays, until ``$ kill %1``; a processor without ``&`` is
stopped once it is ready, as a reader would do with Ctrl-C. Every port that a page names is another one in the test, and
so is every port that a command listens on by default.
"""

from __future__ import annotations

import os
import random
import re
import shlex
import signal
import socket
import subprocess
import sys
import tomllib
from dataclasses import dataclass, field
from http.client import HTTPConnection
from itertools import groupby
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from tests.docs.pages import ROOT

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["Console", "Ports"]

_REAL = {"cat", "extproc", "ls", "printf", "pytest", "python"}
_READY = {
    "extproc serve": " is ready on ",
    "extproc envoy run": "Ctrl-C stops it all.",
    "python -m http.server": "Serving HTTP on",
}
_DEFAULTS = {"extproc serve": " --listen 127.0.0.1:9002", "extproc envoy run": " --listen 127.0.0.1:10000"}
_PORT = re.compile(r"(?<=127\.0\.0\.1:)\d+|(?<=http\.server )\d+|(?<=port )\d{4,5}")
_UNUSED_PORTS = range(20000, 32000)
"""Below those that systems hand out by themselves, so that nobody gets one of them in between."""


class Ports:
    """The ports that a page names, each with one that is free."""

    def __init__(self) -> None:
        self._free: dict[str, str] = {}

    def mine(self, text: str) -> str:
        """`text`, with free ports."""
        return _PORT.sub(lambda found: self._free.setdefault(found[0], _free_port()), text)

    def theirs(self, text: str) -> str:
        """`text`, with the ports of the page."""
        for named, free in self._free.items():
            text = text.replace(free, named)
        return text


def _free_port() -> str:
    while True:
        port = random.choice(_UNUSED_PORTS)
        with socket.socket() as probe:
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
            return str(port)


@dataclass(slots=True)
class Console:
    """A terminal, opened in the directory of a page.

    Attributes:
        commands: what was run in it.
        environ: what it exported.
    """

    directory: Path
    ports: Ports
    commands: list[str] = field(default_factory=list[str])
    environ: dict[str, str] = field(default_factory=dict[str, str])
    _jobs: dict[str, subprocess.Popen[str]] = field(default_factory=dict[str, "subprocess.Popen[str]"])
    _status: int = 0

    def run(self, text: str) -> None:
        """Runs a block."""
        steps = list(_steps(text))
        for (command, expected), after in zip(steps, [*steps[1:], ("", [])], strict=True):
            self.commands.append(command)
            said = self._run(command, expected)
            assert not expected or _matches(expected, said), f"$ {command}\n" + "\n".join(said)
            assert self._status == 0 or after[0] == "echo $?", f"$ {command}\n" + "\n".join([*said, str(self._status)])

    def close(self) -> None:
        """Ends what a page left running."""
        for number in list(self._jobs):
            self._end(number, signal.SIGTERM)

    def _run(self, command: str, expected: list[str]) -> list[str]:
        words = shlex.split(command, comments=True)
        word = next(word for word in words if "=" not in word)
        if word == "echo":
            said, self._status = [str(self._status)], 0
            return said
        if words[0] == "export":
            self.environ |= dict(pair.split("=", 1) for pair in words[1:])
        elif word in ("make", "pip"):
            _check_only(words)
        elif word == "curl":
            return self._curl(words[1:])
        elif word == "kill":
            return [line for number in words[1:] for line in self._end(number, signal.SIGTERM)]
        elif words[-1] == "&" or command.startswith(("extproc serve", "extproc envoy run")):
            return self._serve(command, words[-1] == "&", expected)
        else:
            assert word in _REAL, f"the test does not know how to run {command!r}"
            return self._wait(command)
        return []

    def _start(self, command: str) -> subprocess.Popen[str]:
        path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
        return subprocess.Popen(
            ["/bin/sh", "-c", self.ports.mine(command)],
            cwd=self.directory,
            env={**os.environ, **self.environ, "PATH": path, "PYTHONUNBUFFERED": "1", "COLUMNS": "120"},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )

    def _wait(self, command: str) -> list[str]:
        process = self._start(command)
        said, _ = process.communicate()
        self._status = process.returncode
        return self._lines(said)

    def _serve(self, command: str, stays: bool, expected: list[str]) -> list[str]:
        """Starts what does not end by itself, and reads until it is ready and has said what the page shows."""
        bare = " ".join(command.partition("#")[0].rstrip("& ").split())
        what = next(prefix for prefix in _READY if bare.startswith(prefix))
        ready = _READY[what]
        if "--listen" not in bare:
            bare += _DEFAULTS.get(what, "")
        number = f"%{len(self._jobs) + 1}"
        job = self._jobs[number] = self._start(f"exec {bare}")
        assert job.stdout is not None
        said: list[str] = []
        while not (any(ready in line for line in said) and _matches(expected or ["..."], said)):
            line = job.stdout.readline()
            assert line, "it ended: " + "\n".join(said)
            said += self._lines(line)
        return said if stays else said + self._end(number, signal.SIGINT)

    def _end(self, number: str, how: signal.Signals) -> list[str]:
        job = self._jobs.pop(number)
        job.send_signal(how)
        said, _ = job.communicate(timeout=20)
        self._status = 0 if job.returncode == -how else job.returncode  # the web server does not catch it
        return self._lines(said)

    def _curl(self, words: list[str]) -> list[str]:
        """As much of curl as the pages use; not every machine has one."""
        known = {"-H": list[str](), "-d": list[str](), "-X": list[str]()}
        flags = set[str]()
        rest = iter(words)
        url = ""
        for word in rest:
            if word in known:
                known[word].append(next(rest))
            elif word.startswith("-"):
                flags.add(word)
            else:
                url = self.ports.mine(word)
        assert flags <= {"-i", "-s"}, f"the test does not know curl {flags}"
        parts = urlsplit(url)
        connection = HTTPConnection(parts.netloc)
        body = known["-d"][0] if known["-d"] else None
        headers = dict(header.split(": ", 1) for header in known["-H"])
        method = known["-X"][0] if known["-X"] else ("POST" if body else "GET")
        connection.request(method, f"{parts.path}{'?' if parts.query else ''}{parts.query}", body, headers)
        reply = connection.getresponse()
        head = [f"HTTP/1.1 {reply.status} {reply.reason}", *(f"{name}: {value}" for name, value in reply.getheaders())]
        content = self._lines(reply.read().decode())
        connection.close()
        return [*head, "", *content] if "-i" in flags else content

    def _lines(self, text: str) -> list[str]:
        return [line.rstrip() for line in self.ports.theirs(text).splitlines()]


def _steps(text: str) -> Iterator[tuple[str, list[str]]]:
    """Each command, and the output that the page shows."""
    number = 0

    def command_of(line: str) -> int:
        nonlocal number
        number += line.startswith("$ ")
        return number

    for _, group in groupby(text.splitlines(), command_of):
        first, *output = group
        assert first.startswith("$ "), f"no command: {first!r}"
        yield first[2:], output


def _matches(expected: list[str], said: list[str]) -> bool:
    pattern = "".join(r"(?:.*\n)*?" if line == "..." else _line(line) for line in expected)
    return re.fullmatch(pattern, "".join(line + "\n" for line in said)) is not None


def _line(text: str) -> str:
    return ".*".join(map(re.escape, text.split("…"))) + r"\n"


def _check_only(words: list[str]) -> None:
    """What would take too long, or change the machine: whether there is such a thing."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    known = {f"{project['name']}[{extra}]" for extra in project["optional-dependencies"]} | {project["name"]}
    if words[0] == "make":
        makefile = (ROOT / "Makefile").read_text()
        assert re.search(rf"^{re.escape(words[1])}:", makefile, re.MULTILINE), f"there is no target {words[1]}"
    else:
        assert words[1] == "install", f"the test does not know pip {words[1]}"
        assert words[2] in known, f"there is no {words[2]}"
