"""Every filter of the catalogue with a sensible configuration, and requests by which it decides one way and another."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from extproc import Filter
from extproc.envoy.model import HttpMessage, Outcome
from extproc.messages import RawHeaders
from extproc_filters import AbTag, ApiKey, EditHeaders, RateLimit

__all__ = ["CASES", "Case"]


@dataclass(frozen=True)
class Case:
    """A filter of the catalogue."""

    make: Callable[[], Filter]
    """A fresh one, that has counted nothing yet."""
    requests: tuple[RawHeaders, ...]
    """Headers of requests that clients send, one after the other."""
    decisions: frozenset[str | None]
    """All that it decides about them."""
    told_by: str = ""
    """The header of the upstream's request by which a decision can be told; a refusal is told by its details."""

    def decision(self, outcome: Outcome) -> str | None:
        """What it has decided."""
        if outcome.upstream is None:
            return outcome.details
        return _text(outcome.upstream, self.told_by)


def _text(message: HttpMessage, name: str) -> str | None:
    value = message.get(name)
    return None if value is None else value.decode()


def _key(*keys: str) -> RawHeaders:
    return [("x-api-key", key.encode()) for key in keys]


def _user(name: str) -> RawHeaders:
    return [("x-user", name.encode())]


CASES: dict[str, Case] = {
    "ab_tag": Case(
        lambda: AbTag(salt="s", variants={"one": 50, "two": 50}, unit="header:x-user", coverage=80, mirror=True),
        (*(_user(name) for name in "abcdefghij"), [("x-variant", b"forged")]),
        frozenset({"one", "two", None}),
        told_by="x-variant",
    ),
    "api_key": Case(
        lambda: ApiKey.model_validate({"callers": {"alice": "a-key", "bob": "b-key"}, "allow_anonymous": False}),
        (_key("a-key"), _key("b-key"), _key("c-key"), _key("a-key", "b-key"), _key()),
        frozenset({"alice", "bob", *(f"extproc.api_key.{why}" for why in ("missing", "unknown", "duplicate"))}),
        told_by="x-caller",
    ),
    "headers": Case(
        lambda: EditHeaders.model_validate(
            {
                "request": {
                    "rewrite_path": [{"pattern": "^/a", "substitution": "/b"}],
                    "set": {"x-from": "{request.header.x-user}"},
                },
                "response": {"set": {"x-was": "{request.path}"}, "remove": ["x-theirs"]},
            }
        ),
        (_user("alice"), _user("bob"), []),
        frozenset({"alice", "bob", None}),
        told_by="x-from",
    ),
    "rate_limit": Case(
        lambda: RateLimit(limit="2/hour", key="header:x-user", on_missing="deny"),
        (*[_user("alice")] * 3, _user("bob"), []),
        frozenset({None, "extproc.rate_limit.over", "extproc.rate_limit.no_key"}),
    ),
}
"""By the name under which a chain file uses it."""
