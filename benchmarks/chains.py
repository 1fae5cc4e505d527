"""The chains that are measured; their filters do what the bare servicers do, or what the demo's chain does."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from extproc import Chain, Exchange, Filter
from extproc_filters import AbTag, ApiKey, EditHeaders, RateLimit

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["CHAINS", "HEADERS"]

HEADERS = {"user-agent": "bench/1.0", "accept": "*/*", "x-api-key": "bench-key", "x-user": "user-1"}
"""What every request brings."""


class SetOneHeader(Filter):
    """The same work as the bare servicer's."""

    def on_request_headers(self, exchange: Exchange) -> None:
        """Sets one header."""
        exchange.request.headers["x-bench"] = "1"


class ChangeChunks(Filter):
    """The same work as the bare streaming servicer's: every chunk comes back changed."""

    def on_request_chunk(self, exchange: Exchange, chunk: bytes) -> bytes:  # noqa: ARG002 (a hook's signature)
        """Changes its first byte."""
        return b"#" + chunk[1:] if chunk else b""


class Wait(Filter):
    """Suspends in both directions, for up to 5 ms."""

    async def on_request_headers(self, exchange: Exchange) -> None:
        """Waits, then sets a header."""
        await asyncio.sleep(exchange.random.random() * 0.005)
        exchange.request.headers["x-bench"] = "1"

    async def on_response_headers(self, exchange: Exchange) -> None:
        """Waits."""
        await asyncio.sleep(exchange.random.random() * 0.005)

    async def on_complete(self, exchange: Exchange) -> None:  # noqa: ARG002 (a hook's signature)
        """Waits once more."""
        await asyncio.sleep(0)


def one_filter() -> Chain:
    """The work of the bare servicer, through the SDK."""
    return Chain([SetOneHeader()])


def four_filters() -> Chain:
    """The filters of the demo (authentication, headers, rate limit, A/B tag), on the request's headers."""
    return _demo_filters({"request": {"set": {"x-edge": "bench"}}})


def demo_chain() -> Chain:
    """The demo's chain as its file has it: the same, and a header on the response, for which Envoy asks once more."""
    return _demo_filters({"request": {"set": {"x-edge": "bench"}}, "response": {"set": {"x-served-by": "extproc"}}})


def empty() -> Chain:
    """No filter: what a front, a session and the wire cost by themselves."""
    return Chain([])


def chunks() -> Chain:
    """A body, piece by piece."""
    return Chain([ChangeChunks()])


def waits() -> Chain:
    """A hook that suspends, in every place, and has all the time that a busy machine may take."""
    return Chain([Wait()], timeout=60)


def _demo_filters(edits: dict[str, dict[str, dict[str, str]]]) -> Chain:
    return Chain(
        [
            ApiKey.model_validate({"callers": {"bench": "bench-key"}}),
            EditHeaders.model_validate(edits),
            RateLimit.model_validate({"limit": "1000000/second", "key": "header:x-user", "headers": False}),
            AbTag.model_validate(
                {"salt": "bench", "unit": "header:x-user", "cookie": None, "variants": {"stable": 80, "canary": 20}}
            ),
        ]
    )


CHAINS: dict[str, Callable[[], Chain]] = {
    "empty": empty,
    "1-filter": one_filter,
    "4-filters": four_filters,
    "demo-chain": demo_chain,
    "chunks": chunks,
    "waits": waits,
}
"""By the name that stands in the rows."""
