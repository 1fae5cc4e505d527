"""A filter class that could not work as its author meant it is refused when it is defined."""

from __future__ import annotations

import copy
import functools
from collections.abc import AsyncIterator, Callable, Iterator
from typing import Any, ClassVar

import pytest
from pydantic import PrivateAttr, ValidationError

from extproc import Exchange, Filter, Needs, Phase, Response
from extproc.filter import HOOKS


def define(**members: Any) -> type[Filter]:
    return type("Mine", (Filter,), {"__module__": __name__, **members})


def hook(self: Filter, exchange: Exchange) -> None: ...


def chunk_hook(self: Filter, exchange: Exchange, chunk: bytes) -> None: ...


def no_exchange(self: Filter) -> None: ...


def too_much(self: Filter, exchange: Exchange, more: str) -> None: ...


def keyword_only(self: Filter, *, exchange: Exchange) -> None: ...


def generator(self: Filter, exchange: Exchange) -> Iterator[None]:
    yield


async def async_generator(self: Filter, exchange: Exchange) -> AsyncIterator[None]:
    yield


@pytest.mark.parametrize("name", HOOKS)
def test_every_hook_can_be_overridden_and_asks_for_its_phase(name: str) -> None:
    mine = define(**{name: chunk_hook if name.endswith("_chunk") else hook})
    phase = HOOKS[name]
    assert (mine.hooks(), mine().needs().phases) == ([name], frozenset() if phase is None else frozenset({phase}))


def test_a_filter_without_hooks_needs_nothing() -> None:
    assert (define().hooks(), define()().needs()) == ([], Needs())


@pytest.mark.parametrize(
    ("misspelled", "meant"),
    [
        ("on_request_header", "on_request_headers"),
        ("on_reqest_headers", "on_request_headers"),
        ("on_response_bodys", "on_response_body"),
        ("on_request_chunks", "on_request_chunk"),
        ("on_completed", "on_complete"),
    ],
)
def test_a_misspelled_hook_is_refused_with_the_nearest(misspelled: str, meant: str) -> None:
    with pytest.raises(TypeError, match=rf"Mine\.{misspelled} is not a hook: did you mean {meant}\?"):
        define(**{misspelled: hook})


def test_a_name_that_is_near_to_no_hook_is_refused_with_all_of_them() -> None:
    with pytest.raises(TypeError, match=r"on_zzzzzz is not a hook; the hooks are on_request_headers, "):
        define(on_zzzzzz=hook)


@pytest.mark.parametrize("function", [no_exchange, too_much, keyword_only])
def test_a_hook_that_could_not_be_called_is_refused(function: Callable[..., Any]) -> None:
    with pytest.raises(TypeError, match=r"Mine\.on_request_headers takes \(self, exchange\)"):
        define(on_request_headers=function)


@pytest.mark.parametrize("function", [hook, no_exchange])
def test_a_chunk_hook_takes_the_chunk(function: Callable[..., Any]) -> None:
    with pytest.raises(TypeError, match=r"on_request_chunk takes \(self, exchange, chunk\)"):
        define(on_request_chunk=function)


@pytest.mark.parametrize("function", [generator, async_generator])
def test_a_generator_would_never_run_and_is_refused(function: Callable[..., Any]) -> None:
    with pytest.raises(TypeError, match="is a generator: return a Response or None"):
        define(on_request_headers=function)


@pytest.mark.parametrize("wrapped", [staticmethod(hook), functools.partialmethod(hook)])
def test_a_hook_is_a_plain_method(wrapped: Any) -> None:
    with pytest.raises(TypeError, match="on_request_headers is a method: def on_request_headers"):
        define(on_request_headers=wrapped)


def test_a_decorated_method_is_a_method() -> None:
    @functools.wraps(hook)
    def wrapper(*args: Any) -> None:
        hook(*args)

    assert define(on_request_headers=wrapper).hooks() == ["on_request_headers"]


@pytest.mark.parametrize("half", ["request", "response"])
def test_a_body_comes_whole_or_in_pieces(half: str) -> None:
    with pytest.raises(TypeError, match=f"both on_{half}_body and on_{half}_chunk"):
        define(**{f"on_{half}_body": hook, f"on_{half}_chunk": chunk_hook})


def test_a_hook_that_a_base_class_brought_counts() -> None:
    base = define(on_request_body=hook)
    assert type("Child", (base,), {"__module__": __name__}).hooks() == ["on_request_body"]  # type: ignore[attr-defined]
    with pytest.raises(TypeError, match="both on_request_body and on_request_chunk"):
        type("Child", (base,), {"__module__": __name__, "on_request_chunk": chunk_hook})


@pytest.mark.parametrize("policy", ["allow", "", None, "Deny"])
def test_a_failure_policy_is_deny_or_skip(policy: Any) -> None:
    with pytest.raises(TypeError, match=r"Mine\.on_error is 'deny' or 'skip'"):
        define(on_error=policy)


@pytest.mark.filterwarnings("ignore:Field name:UserWarning")
@pytest.mark.parametrize("name", ["on_error", "requires", "metadata_out", "on_request_headers"])
def test_a_setting_of_the_class_that_became_a_field_is_refused(name: str) -> None:
    """A type makes it one: `on_error: str = "skip"` would be configuration, and the policy would stay what it was."""
    with pytest.raises(TypeError, match=rf"Mine\.{name} cannot be a field"):
        define(**{name: "skip"}, __annotations__={name: str})


@pytest.mark.parametrize(
    "name", ["requires", "request_attributes", "response_attributes", "metadata_in", "metadata_out"]
)
def test_a_set_of_names_is_not_one_name(name: str) -> None:
    with pytest.raises(TypeError, match=rf"Mine\.{name} is a set of names, not 'routing'"):
        define(**{name: "routing"})


def test_an_unknown_privilege_is_refused() -> None:
    with pytest.raises(TypeError, match="requires knows routing, envoy_headers, not rooting"):
        define(requires={"rooting"})


class Configured(Filter):
    """What the docs show."""

    on_error: ClassVar = "skip"
    requires = frozenset({"routing"})
    request_attributes = frozenset({"source.address"})
    metadata_out = frozenset({"ours"})

    limit: int
    _clients: list[str] = PrivateAttr(default_factory=list[str])

    def on_request_headers(self, exchange: Exchange) -> Response | None:
        return None

    def on_response_trailers(self, exchange: Exchange) -> None: ...


def test_needs_are_the_hooks_and_what_the_class_says() -> None:
    assert Configured(limit=1).needs() == Needs(
        phases=frozenset({Phase.REQUEST_HEADERS, Phase.RESPONSE_TRAILERS}),
        request_attributes=frozenset({"source.address"}),
        metadata_out=frozenset({"ours"}),
        requires=frozenset({"routing"}),
    )


def test_needs_add_up() -> None:
    one, two = Needs(metadata_in=frozenset("a")), Needs(metadata_in=frozenset("b"), secret_headers=frozenset("c"))
    assert Needs.union([one, two]) == one | two == Needs(metadata_in=frozenset("ab"), secret_headers=frozenset("c"))


def test_configuration_is_strict_and_frozen() -> None:
    with pytest.raises(ValidationError, match="Extra inputs"):
        Configured(limit=1, unknown=2)  # type: ignore[call-arg]
    with pytest.raises(ValidationError, match="frozen"):
        Configured(limit=1).limit = 2  # type: ignore[misc]


def test_what_start_makes_is_private() -> None:
    configured = Configured(limit=1)
    configured._clients.append("a")
    assert configured._clients == ["a"]
    assert (configured.model_dump(), repr(configured)) == ({"limit": 1}, "Configured(limit=1)")


def test_a_private_attribute_is_what_was_assigned_last() -> None:
    """It is kept in two places, so that reading it is quick."""
    configured = Configured(limit=1)
    for clients in (["a"], ["b"]):
        configured._clients = clients
        assert configured._clients is clients
    del configured._clients
    with pytest.raises(AttributeError, match="_clients"):
        _ = configured._clients
    configured._clients = ["c"]
    assert configured._clients == ["c"]


@pytest.mark.parametrize("copied", [copy.copy, copy.deepcopy, Configured.model_copy])
def test_a_copy_has_private_attributes_of_its_own(copied: Callable[[Configured], Configured]) -> None:
    configured = Configured(limit=1)
    configured._clients.append("a")
    twin = copied(configured)
    assert twin._clients == ["a"]
    assert (twin._clients is configured._clients) == (copied is not copy.deepcopy)
    twin._clients = ["b"]
    assert (configured._clients, twin._clients) == (["a"], ["b"])
