"""Every code block of the pages does what the page says, and every link leads somewhere.

What a block is says its fence. ``python`` is run, page by page in one namespace; ``pycon`` too, with its output;
``yaml`` is a chain file that loads; ``console`` is typed into a terminal (see `console`). A block whose first line
names a file (``# my_filters.py``) is that file, where the terminal is open; a file ``wrong….yaml``
must not load. ``text`` is a picture. Any other kind fails.
"""

from __future__ import annotations

import doctest
import importlib
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import Any

import pytest

from extproc import Chain, ConfigError
from extproc.config import load_chain
from extproc.envoy.plain_http import PlainReply
from extproc.testing import Gateway
from tests.docs.console import Console, Ports
from tests.docs.pages import PAGES, ROOT, Block, Page

_FLAGS = doctest.ELLIPSIS | doctest.NORMALIZE_WHITESPACE


class Desk:
    """Where the blocks of one page are tried out, in their order."""

    def __init__(self, page: Page, directory: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.page = page
        self.directory = directory
        self.ports = Ports()
        self.console = Console(directory, self.ports)
        self.monkeypatch = monkeypatch
        self.namespace: dict[str, Any] = {"__name__": "page"}
        self.chains: dict[str, Block] = {}
        self.configurations: set[str] = set()

    def try_out(self, block: Block) -> None:
        with self.telling(block):
            if block.title:
                self.write(block)
            getattr(self, f"try_{block.kind}")(block)

    @contextmanager
    def telling(self, block: Block) -> Iterator[None]:
        """Adds to a failure where it is."""
        try:
            yield
        except BaseException as error:
            error.add_note(f"in the {block.kind!r} block at {self.page.path}:{block.line}")
            raise

    def write(self, block: Block) -> None:
        beside = self.page.path.with_name(block.title)
        if beside.exists():  # a page of an example shows a file of it
            same = block.text.partition("\n")[2] == beside.read_text()
            assert same, f"{block.title} is not as the page shows it"
        (self.directory / block.title).write_text(self.ports.mine(block.text))

    def try_python(self, block: Block) -> None:
        if not block.title:
            source = "\n" * (block.line - 1) + block.text
            exec(compile(source, str(self.page.path), "exec", dont_inherit=True), self.namespace)
        elif not block.title.startswith("test_"):  # tests are for the page's own `$ pytest`
            module = importlib.import_module(block.title.removesuffix(".py"))
            self.namespace |= vars(module)

    def try_pycon(self, block: Block) -> None:
        name = f"{self.page.path}:{block.line}"
        test = doctest.DocTestParser().get_doctest(block.text, self.namespace, name, str(self.page.path), block.line)
        said: list[str] = []
        doctest.DocTestRunner(optionflags=_FLAGS).run(test, out=said.append, clear_globs=False)
        assert not said, "".join(said)

    def try_yaml(self, block: Block) -> None:
        if "envoy" in block.title:
            self.configurations.add(block.title)
            return
        name = block.title or f"line-{block.line}.yaml"
        if not block.title:
            (self.directory / name).write_text(block.text)
        self.chains[name] = block

    def load_chains(self) -> None:
        """When the page is through: it may make the files that a chain refers to only after showing the chain."""
        for name, block in self.chains.items():
            with self.telling(block), self.monkeypatch.context() as patch:
                for number, variable in enumerate(re.findall(r"\{env: (\w+)\}", block.text)):
                    patch.setenv(variable, self.console.environ.get(variable, f"a-secret-{number}"))
                with pytest.raises(ConfigError) if name.startswith("wrong") else nullcontext():
                    load_chain(self.directory / name)

    def try_console(self, block: Block) -> None:
        self.console.run(block.text)

    def try_text(self, block: Block) -> None:
        """Nothing to run."""


@pytest.fixture
def desk(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Desk]:
    page = Page(ROOT / request.param)
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(tmp_path)
    before = set(sys.modules)
    if page.path.parent.parent.name == "examples":
        shutil.copytree(page.path.parent, tmp_path, dirs_exist_ok=True, ignore=shutil.ignore_patterns("__pycache__"))
    made = Desk(page, tmp_path, monkeypatch)
    yield made
    made.console.close()
    for name in set(sys.modules) - before:
        file = getattr(sys.modules[name], "__file__", None)
        if file is not None and tmp_path in Path(file).parents:
            del sys.modules[name]


@pytest.mark.envoy
@pytest.mark.parametrize("desk", PAGES, indirect=True)
def test_every_block_does_what_the_page_says(desk: Desk) -> None:
    blocks = list(desk.page.blocks())
    assert desk.page.fences() == 2 * len(blocks), "a fence stands alone, or is indented"

    for block in blocks:
        desk.try_out(block)
    desk.load_chains()

    tests = {block.title for block in blocks if block.title.startswith("test_")}
    checked = " ".join(desk.console.commands)
    assert all(f"--envoy {name}" in checked for name in desk.configurations), "a configuration that nobody checks"
    assert not tests or any(command.startswith("pytest") for command in desk.console.commands), "tests that nobody runs"


@pytest.mark.envoy
@pytest.mark.parametrize("desk", ["docs/write-a-filter.md"], indirect=True)
async def test_the_filters_of_the_page_do_what_it_says(desk: Desk) -> None:
    for block in desk.page.blocks():
        if block.kind == "python":
            desk.try_out(block)
    chain = Chain([desk.namespace[name]() for name in ("Slowness", "Search", "Geo")])
    reply = PlainReply(headers=[(b"set-cookie", b"theirs=1")], body=[b"http://shop.example"])

    async with Gateway(chain, upstream=reply) as gateway:
        got = await gateway.send("GET", "/find?q=a&q=b", headers={"x-debug": "1"})
        [log] = await gateway.access_log(1)

    [sent] = gateway.upstream.requests
    assert (sent.target, sent.value("host")) == ("/v2/find?q=a&q=b", b"eu.shop.example")
    assert (sent.value("x-query"), sent.value("x-debug")) == (b"q=a&q=b", None)
    assert got.values("set-cookie") == [b"theirs=1", b"seen=1"]
    assert (got.content, got.value("content-length")) == (b"https://shop.example", b"20")
    assert log["metadata"]["geo"]["known"] is False
    assert log["metadata"]["geo"]["client"].startswith("127.0.0.1:")


@pytest.mark.parametrize("path", [*PAGES, "CHANGELOG.md", "deploy/README.md"])
def test_every_link_leads_somewhere(path: str) -> None:
    page = Page(ROOT / path)

    for link in page.links():
        name, _, anchor = link.partition("#")
        target = Page((page.path.parent / name).resolve()) if name else page
        assert target.path.exists(), link
        assert not anchor or anchor in target.anchors(), link


def test_the_pages_are_found() -> None:
    assert {"README.md", "docs/README.md", "docs/write-a-filter.md", "examples/README.md"} <= set(PAGES)


def test_the_catalogue_page_is_what_the_fields_come_to() -> None:
    done = subprocess.run(
        [sys.executable, ROOT / "docs" / "generate.py", "--check"], capture_output=True, text=True, check=False
    )

    assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.parametrize(
    ("text", "failure"),
    [
        ("```ruby\nputs 1\n```", "try_ruby"),
        ("```\nanything\n```", "try_"),
        ("```python\nraise AssertionError('no')\n```", "no"),
        ("```pycon\n>>> 1 + 1\n3\n```", "Expected"),
        ("```yaml\nfilters: [{use: nobody}]\n```", "unknown filter"),
        ("```yaml\n# wrong.yaml\nfilters: []\n```", "DID NOT RAISE"),
        ("```console\n$ extproc check nowhere.yaml\n```", "there is no such file"),
        ("```console\n$ extproc --version\n9.9\n```", "0.1.0"),
        ("```console\n$ make tea\n```", "tea"),
        ("```console\n$ pip install another-sdk\n```", "another-sdk"),
        ("```console\n$ sudo reboot\n```", "does not know how to run"),
        ("```python\n# test_it.py\n```", "nobody runs"),
        ("```yaml\n# envoy.yaml\n```", "nobody checks"),
        (" ```python\nraise SystemExit\n ```", "stands alone"),
    ],
)
def test_a_page_that_is_wrong_fails(text: str, failure: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "page.md").write_text(text + "\n")
    monkeypatch.chdir(tmp_path)
    desk = Desk(Page(tmp_path / "page.md"), tmp_path, monkeypatch)

    with pytest.raises((AssertionError, AttributeError, ConfigError, pytest.fail.Exception), match=re.escape(failure)):
        test_every_block_does_what_the_page_says(desk)
