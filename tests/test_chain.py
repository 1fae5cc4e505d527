"""Compiling a chain: names, order, settings, needs; starting and stopping it."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from extproc import Chain, Exchange, Filter, Needs, Phase, Use, When


class OnRequest(Filter):
    def on_request_headers(self, exchange: Exchange) -> None: ...


class OnResponse(Filter):
    def on_response_headers(self, exchange: Exchange) -> None: ...


class HTTPBothWays2(Filter):
    on_error = "skip"

    def on_request_headers(self, exchange: Exchange) -> None: ...

    def on_response_headers(self, exchange: Exchange) -> None: ...

    def on_complete(self, exchange: Exchange) -> None: ...


class Modest(Filter):
    """Asks for its phase only when it is configured to."""

    active: bool

    def on_request_body(self, exchange: Exchange) -> None: ...

    def needs(self) -> Needs:
        return super().needs() if self.active else Needs()


def names(chain: Chain, phase: Phase) -> list[str]:
    return [step.link.name for step in chain.steps[phase]]


def test_filters_are_named_after_their_classes_and_told_apart() -> None:
    chain = Chain([OnRequest(), HTTPBothWays2(), OnRequest(), Use(OnRequest(), name="auth.v1"), OnRequest()])
    assert [link.name for link in chain.links] == [
        "on_request",
        "http_both_ways2",
        "on_request-2",
        "auth.v1",
        "on_request-3",
    ]
    assert repr(chain) == "Chain(on_request, http_both_ways2, on_request-2, auth.v1, on_request-3)"


def test_a_name_given_twice_is_refused() -> None:
    with pytest.raises(ValueError, match="two filters are named 'a'"):
        Chain([Use(OnRequest(), name="a"), Use(OnResponse(), name="a")])


@pytest.mark.parametrize("name", ["a b", "-a", "a\n", "é", "a/b", "a" * 65])
def test_a_name_that_would_not_do_in_logs_and_details_is_refused(name: str) -> None:
    with pytest.raises(ValueError, match="is no name for a filter"):
        Chain([Use(OnRequest(), name=name)])


def test_requests_run_in_order_and_responses_in_reverse() -> None:
    chain = Chain([Use(HTTPBothWays2(), name="a"), OnRequest(), OnResponse(), Use(HTTPBothWays2(), name="b")])
    assert names(chain, Phase.REQUEST_HEADERS) == ["a", "on_request", "b"]
    assert names(chain, Phase.RESPONSE_HEADERS) == ["b", "on_response", "a"]
    assert [step.link.name for step in chain.completions] == ["a", "b"]


def test_a_chain_needs_what_its_filters_need_and_nothing_else() -> None:
    assert Chain([]).needs == Needs()
    assert Chain([OnRequest(), OnResponse()]).needs.phases == {Phase.REQUEST_HEADERS, Phase.RESPONSE_HEADERS}


def test_a_hook_that_the_configuration_makes_idle_is_not_run() -> None:
    chain = Chain([Modest(active=False), Modest(active=True)])
    assert names(chain, Phase.REQUEST_BODY) == ["modest-2"]


def test_a_condition_needs_the_request_to_be_judged_on() -> None:
    """Without the request's headers it would never hold, and the filter would be left out silently."""
    chain = Chain([Use(OnResponse(), when={"path": "/a"})])
    assert chain.needs.phases == {Phase.REQUEST_HEADERS, Phase.RESPONSE_HEADERS}
    assert names(chain, Phase.REQUEST_HEADERS) == ["on_response"]
    assert chain.conditional == {0}


def test_a_condition_is_a_when_or_what_the_chain_file_says() -> None:
    first, second = Chain([Use(OnRequest(), when=When(path=("/a",))), Use(OnRequest(), when={"path": "/a"})]).links
    assert first.when == second.when == When(path=("/a",))


def test_the_policy_is_the_chains_or_the_classs() -> None:
    links = Chain([OnRequest(), HTTPBothWays2(), Use(HTTPBothWays2(), on_error="deny")]).links
    assert [link.on_error for link in links] == ["deny", "skip", "deny"]


@pytest.mark.parametrize("policy", ["allow", "SKIP", "no"])
def test_an_unknown_policy_is_refused(policy: Any) -> None:
    with pytest.raises(ValueError, match="on_error of 'on_request' is 'deny' or 'skip'"):
        Chain([Use(OnRequest(), on_error=policy)])


@pytest.mark.parametrize("timeout", [0, -1, 1.5])
def test_a_filters_timeout_lies_within_the_chains(timeout: float) -> None:
    with pytest.raises(ValueError, match=r"positive and at most the chain's 1\.0 s"):
        Chain([Use(OnRequest(), timeout=timeout)])


@pytest.mark.parametrize("timeout", [0, -0.1])
def test_a_chains_timeout_is_positive(timeout: float) -> None:
    with pytest.raises(ValueError, match="positive number of seconds"):
        Chain([], timeout=timeout)


@pytest.mark.parametrize(
    ("item", "sentence"),
    [(OnRequest, r"did you mean OnRequest\(\.\.\.\)\?"), ("auth", "not of 'auth'"), (None, "not of None")],
)
def test_a_chain_is_made_of_filters(item: Any, sentence: str) -> None:
    for wrong in (item, Use(item)):
        with pytest.raises(TypeError, match=sentence):
            Chain([wrong])


LOG: list[str] = []


@pytest.fixture
def log() -> list[str]:
    LOG.clear()
    return LOG


class Resource(Filter):
    """Tells when it is started and stopped, and fails when told to."""

    label: str
    fails: str = ""

    async def start(self) -> None:
        self._note("start")

    async def stop(self) -> None:
        self._note("stop")

    def _note(self, what: str) -> None:
        LOG.append(f"{what} {self.label}")
        if self.fails == what:
            raise RuntimeError(f"{self.label} cannot {what}")
        if self.fails == f"cancel {what}":
            raise asyncio.CancelledError


def chain_of(**fails: str) -> Chain:
    return Chain([Resource(label=label, fails=how) for label, how in fails.items()])


async def test_filters_start_in_order_and_stop_in_reverse(log: list[str]) -> None:
    chain = chain_of(a="", b="")
    await chain.start()
    await chain.stop()
    assert log == ["start a", "start b", "stop b", "stop a"]


@pytest.mark.parametrize("how", ["start", "cancel start"])
async def test_when_one_fails_to_start_it_and_those_before_are_stopped(log: list[str], how: str) -> None:
    with pytest.raises((RuntimeError, asyncio.CancelledError)):
        await chain_of(a="", b=how, c="").start()
    assert log == ["start a", "start b", "stop b", "stop a"]


async def test_what_is_raised_is_why_it_did_not_start_even_if_another_does_not_stop(log: list[str]) -> None:
    with pytest.raises(RuntimeError, match="b cannot start") as caught:
        await chain_of(a="stop", b="start").start()
    assert "a cannot stop" in caught.value.__notes__[0]


async def test_every_filter_is_stopped_whatever_the_others_do(log: list[str]) -> None:
    with pytest.raises(ExceptionGroup) as caught:
        await chain_of(a="stop", b="", c="stop").stop()
    assert log == ["stop c", "stop b", "stop a"]
    assert [str(error) for error in caught.value.exceptions] == ["c cannot stop", "a cannot stop"]
