"""The demo's scenes: real requests, and whether what came of them is what the chain promises."""

from __future__ import annotations

from collections import Counter
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeAlias

if TYPE_CHECKING:
    from extproc.demo.service import Service
    from extproc.envoy.plain_http import PlainReply

__all__ = ["SCENES", "Scene", "Seen"]

KEY = "demo-key-of-the-shop"
USERS = [f"user-{number:03}" for number in range(1, 201)]
LIMIT = 5
RUSH = 8
CANARY_SHARE = range(12, 29)
"""Percent of 200 users on a canary of 20 %: what chance leaves room for. The salt is fixed, so it never varies."""


@dataclass(frozen=True, slots=True)
class Seen:
    """What came of a scene.

    Attributes:
        held: everything was as it had to be.
        text: what was seen, in one line.
    """

    held: bool
    text: str


Scene: TypeAlias = Callable[["Service", Callable[[float], None]], Awaitable[Seen]]
"""Plays against the service and reports how far it is, 0 to 1."""


async def no_key(service: Service, progress: Callable[[float], None]) -> Seen:
    """Three requests without a key."""
    replies = [await service.get("/orders") for _ in range(3)]
    progress(1)
    held = _statuses(replies) == {401: 3} and not service.stable.requests
    return Seen(held, f"{_counted(replies)}; {len(service.stable.requests)} reached an upstream")


async def good_key(service: Service, progress: Callable[[float], None]) -> Seen:
    """The same with a good key."""
    replies = [await service.get(f"/orders/{number}", x_api_key=KEY) for number in range(3)]
    progress(1)
    last = service.stable.requests[-1]
    caller, leaked = last.value("x-caller"), last.value("x-api-key")
    held = _statuses(replies) == {200: 3} and caller == b"shop" and leaked is None
    held = held and all(reply.value("x-served-by") == b"extproc" for reply in replies)
    return Seen(held, f"{_counted(replies)}; the upstream was told x-caller: {_text(caller)}, and not the key")


async def over_the_limit(service: Service, progress: Callable[[float], None]) -> Seen:
    """One user in a hurry, over the limit of 5 a minute."""
    replies: list[PlainReply] = []
    for number in range(RUSH):
        replies.append(await service.get("/search", x_api_key=KEY, x_user="impatient"))
        progress((number + 1) / RUSH)
    wait = replies[-1].value("retry-after")
    held = _statuses(replies) == {200: LIMIT, 429: RUSH - LIMIT} and wait is not None
    return Seen(held, f"{_counted(replies)}; told to come back in {_text(wait)} s")


async def split(service: Service, progress: Callable[[float], None]) -> Seen:
    """200 users, 80 % stable and 20 % canary, each twice."""
    before = len(service.stable.requests)
    first: dict[str, bytes | None] = {}
    strays = 0
    for number, user in enumerate(USERS + USERS):
        reply = await service.get("/checkout", x_api_key=KEY, x_user=user)
        version = reply.value("x-version")
        strays += first.setdefault(user, version) != version or reply.status != 200  # noqa: PLR2004 (OK)
        progress((number + 1) / (2 * len(USERS)))
    tagged = {_text(request.value("x-variant")) for request in service.canary.requests}
    tagged_stable = {_text(request.value("x-variant")) for request in service.stable.requests[before:]}
    versions = Counter(first.values())
    canary = 100 * versions[b"canary"] / len(USERS)
    held = not strays and tagged == {"canary"} and tagged_stable == {"stable"} and round(canary) in CANARY_SHARE
    return Seen(held, f"{100 - canary:g} % stable, {canary:g} % canary; {strays} of 400 requests went astray")


SCENES: tuple[Scene, ...] = (no_key, good_key, over_the_limit, split)


def _statuses(replies: list[PlainReply]) -> Counter[int]:
    return Counter(reply.status for reply in replies)


def _counted(replies: list[PlainReply]) -> str:
    return ", ".join(f"{count} x {status}" for status, count in sorted(_statuses(replies).items()))


def _text(value: bytes | None) -> str:
    return "nothing" if value is None else value.decode("utf-8", "replace")
