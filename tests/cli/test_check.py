from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

FILTERS = """
from typing import ClassVar
from extproc import Exchange, Filter

class Login(Filter):
    request_attributes: ClassVar = frozenset({"source.address"})
    metadata_in: ClassVar = frozenset({"envoy.filters.http.jwt_authn"})
    metadata_out: ClassVar = frozenset({"login"})
    def on_request_headers(self, exchange: Exchange) -> None: ...

class Scan(Filter):
    def on_request_body(self, exchange: Exchange) -> None: ...
    def on_response_body(self, exchange: Exchange) -> None: ...

class Tag(Filter):
    on_error: ClassVar = "skip"
    requires: ClassVar = frozenset({"routing", "envoy_headers"})
    response_attributes: ClassVar = frozenset({"upstream.address"})
    def on_request_headers(self, exchange: Exchange) -> None: ...
    def on_response_trailers(self, exchange: Exchange) -> None: ...
"""

CHAIN = """
timeout: 400ms
filters:
  - use: checked_filters:Login
    when: {path: [/api/**, /admin], method: GET, host: "*.example", header: {x-a: "**"}, not: {path: /api/public/**}}
    timeout: 50ms
  - use: checked_filters:Scan
    offload: thread
  - use: checked_filters:Tag
    name: canary
"""

SAID = """\
chain.yaml: 3 filters, at most 400ms for a message
  1. login   Login, refuses when it fails, has 50ms, only when path is /api/** or /admin and method is GET \
and host is *.example and header x-a is ** and not (path is /api/public/**)
  2. scan    Scan, refuses when it fails, runs in a thread
  3. canary  Tag, is left out when it fails

What it needs of Envoy:
  request headers                              login, canary
  request body                                 scan (BUFFERED)
  response body                                scan (BUFFERED)
  response trailers                            canary
  request attribute source.address             login
  response attribute upstream.address          canary
  sends metadata envoy.filters.http.jwt_authn  login
  takes metadata login                         login
  allows edits of envoy_headers                canary
  allows edits of routing                      canary
  message timeout                              longer than 400ms
  failure mode                                 closed (failure_mode_allow: false), for login, scan
"""


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    (tmp_path / "checked_filters.py").write_text(FILTERS)
    (tmp_path / "chain.yaml").write_text(CHAIN)
    monkeypatch.setattr(sys, "path", list(sys.path))
    monkeypatch.delitem(sys.modules, "checked_filters", raising=False)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_a_right_chain_is_told_in_plain_words(run: Callable[..., Any]) -> None:
    ran = run("check", "chain.yaml")
    assert (ran.status, ran.out, ran.err) == (0, SAID, "")


def test_an_empty_chain_needs_nothing(run: Callable[..., Any], folder: Path) -> None:
    (folder / "empty.yaml").write_text("filters: []")
    assert run("check", "empty.yaml").out == "empty.yaml: 0 filters, at most 1s for a message\n"


def test_a_chain_in_code_can_be_checked(run: Callable[..., Any], folder: Path) -> None:
    (folder / "checked_chain.py").write_text("from extproc import Chain\nchain = Chain([])\n")
    assert run("check", "checked_chain:chain").status == 0


def test_a_wrong_chain_is_exit_2_with_one_problem_a_line(run: Callable[..., Any], folder: Path) -> None:
    (folder / "wrong.yaml").write_text("timout: 1s\nfilters:\n  - use: checked_filters:Login\n    on_eror: deny\n")
    ran = run("check", "wrong.yaml")
    assert (ran.status, ran.out) == (2, "")
    assert ran.err.splitlines() == [
        "wrong.yaml:1:1: timout: unknown field 'timout': did you mean 'timeout'?",
        "wrong.yaml:4:5: filters[0].on_eror: unknown field 'on_eror': did you mean 'on_error'?",
    ]


def test_an_envoy_that_gives_too_little_is_exit_1(run: Callable[..., Any], folder: Path) -> None:
    (folder / "envoy.yaml").write_text(
        "http_filters:\n"
        "  - name: ext_proc\n"
        "    typed_config:\n"
        '      "@type": type.googleapis.com/envoy.extensions.filters.http.ext_proc.v3.ExternalProcessor\n'
        "      message_timeout: 1s\n"
        "      request_attributes: [source.address]\n"
        "      response_attributes: [upstream.address]\n"
        "      mutation_rules: {allow_all_routing: true, allow_envoy: true}\n"
        "      metadata_options:\n"
        "        forwarding_namespaces: {untyped: [envoy.filters.http.jwt_authn]}\n"
        "        receiving_namespaces: {untyped: [login]}\n"
        "      processing_mode:\n"
        "        {request_body_mode: BUFFERED, response_body_mode: STREAMED,\n"
        "         request_trailer_mode: SEND, response_trailer_mode: SEND}\n"
    )
    ran = run("check", "chain.yaml", "--envoy", "envoy.yaml")
    assert (ran.status, ran.err) == (1, "")
    assert ran.out == SAID + (
        "\nenvoy.yaml:13:39: processing_mode.response_body_mode: is STREAMED, but scan wants the body whole, "
        "and fails without: set response_body_mode: BUFFERED\nenvoy.yaml: 1 finding\n"
    )


@pytest.mark.parametrize(
    ("text", "said"), [("a: [", "never closed"), ("a: 1\na: 2", "occurs twice"), (None, "no such file")]
)
def test_an_envoy_file_that_cannot_be_read_is_exit_2(
    run: Callable[..., Any], folder: Path, text: str | None, said: str
) -> None:
    if text is not None:
        (folder / "envoy.yaml").write_text(text)
    ran = run("check", "chain.yaml", "--envoy", "envoy.yaml")
    assert ran.status == 2
    assert said in ran.err
