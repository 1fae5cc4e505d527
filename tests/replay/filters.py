"""Filters of every kind for replays: they edit, answer, count, roll dice, tell the time, fail."""

from __future__ import annotations

import json
from typing import Any, ClassVar

from pydantic import PrivateAttr, SecretStr

from extproc import Exchange, Filter, Needs, Response

__all__ = ["Counter", "Dice", "Edit", "Fragile", "Guard", "JsonBody", "Stamp", "Trailers", "varied"]


class Guard(Filter):
    """Knows its callers by a secret, from a header or the query."""

    callers: dict[str, SecretStr]

    def on_request_headers(self, exchange: Exchange) -> Response | None:
        given = exchange.request.headers.get("x-key") or exchange.request.query.removeprefix("access_token=")
        for name, secret in self.callers.items():
            if given == secret.get_secret_value():
                exchange.request.headers["x-caller"] = name
                return None
        return Response(401, f"{given or 'nobody'} is unknown", details="guard.unknown")

    def needs(self) -> Needs:
        return super().needs() | Needs(secret_headers=frozenset({"x-key"}))


class Edit(Filter):
    """Sets one request header and one response header, if it has a value for it."""

    request: str | None = None
    response: str | None = None
    name: str = "x-edit"

    def on_request_headers(self, exchange: Exchange) -> None:
        if self.request is not None:
            exchange.request.headers[self.name] = self.request

    def on_response_headers(self, exchange: Exchange) -> None:
        if self.response is not None:
            exchange.response.headers.add(self.name, self.response)


class Append(Filter):
    """Adds to what another filter set."""

    text: str = "+"
    name: str = "x-edit"

    def on_request_headers(self, exchange: Exchange) -> None:
        exchange.request.headers[self.name] = exchange.request.headers.get(self.name, "") + self.text


class Counter(Filter):
    """Lets so many requests through in each second, whoever they are from, and numbers the responses."""

    limit: int

    _seen: dict[int, int] = PrivateAttr(default_factory=dict)
    _responses: list[str] = PrivateAttr(default_factory=list)

    async def start(self) -> None:
        self._seen.clear()
        self._responses.clear()

    async def on_request_headers(self, exchange: Exchange) -> Response | None:
        second = int(exchange.now)
        self._seen[second] = self._seen.get(second, 0) + 1
        return Response(429, "slow down") if self._seen[second] > self.limit else None

    def on_response_headers(self, exchange: Exchange) -> None:
        self._responses.append(exchange.id)
        exchange.response.headers["x-number"] = str(len(self._responses))


class Dice(Filter):
    """Rolls dice, which fall in a replay as they fell before."""

    def on_request_headers(self, exchange: Exchange) -> None:
        exchange.request.headers["x-dice"] = str(exchange.random.randint(1, 6))


class Stamp(Filter):
    """Tells the time at which each phase came."""

    def on_request_headers(self, exchange: Exchange) -> None:
        exchange.request.headers["x-time"] = repr(exchange.now)

    def on_response_headers(self, exchange: Exchange) -> None:
        exchange.response.headers["x-time"] = repr(exchange.now)


class JsonBody(Filter):
    """Rewrites JSON in both directions, and refuses a body that is none."""

    mark: str = "seen"

    def on_request_body(self, exchange: Exchange) -> Response | None:
        if not exchange.request.body:
            return None
        try:
            value = exchange.request.json()
        except ValueError:
            return Response(400, "no JSON")
        exchange.request.body = json.dumps({"was": value, "mark": self.mark})
        return None

    def on_response_body(self, exchange: Exchange) -> None:
        if exchange.response.body:
            exchange.response.body = exchange.response.body + self.mark.encode()


class Upper(Filter):
    """Takes the body in pieces."""

    def on_request_chunk(self, exchange: Exchange, chunk: bytes) -> bytes:
        return chunk.upper() or b"."


class Trailers(Filter):
    """Edits trailers in both directions."""

    mark: str = "1"

    def on_request_trailers(self, exchange: Exchange) -> None:
        exchange.request.trailers["x-trailer"] = self.mark

    def on_response_trailers(self, exchange: Exchange) -> None:
        exchange.response.trailers["x-trailer"] = self.mark


class Fragile(Filter):
    """Fails where a header says so."""

    on_error: ClassVar = "skip"
    name: str = "x-break"

    def on_request_headers(self, exchange: Exchange) -> None:
        if exchange.request.headers.get(self.name) == "request":
            raise RuntimeError("broken on request")

    def on_response_headers(self, exchange: Exchange) -> None:
        if exchange.request.headers.get(self.name) == "response":
            raise RuntimeError("broken on request")


class Peer(Filter):
    """Reads an attribute."""

    request_attributes: ClassVar = frozenset({"source.address"})

    def on_request_headers(self, exchange: Exchange) -> None:
        exchange.request.headers["x-peer"] = str(exchange.attributes.get("source.address", "nobody"))


class Late(Filter):
    """Answers when the upstream has."""

    status: int = 500

    def on_response_headers(self, exchange: Exchange) -> Response | None:
        return Response(502, "not today") if exchange.response.status == self.status else None


def varied(**changes: Any) -> list[Any]:
    """Filters of every kind; keyword arguments put another one in the place of one, or leave it out with None."""
    filters: dict[str, Any] = {
        "late": Late(),
        "guard": Guard(callers={"alice": SecretStr("wonderland"), "bob": SecretStr("builder-of-things")}),
        "counter": Counter(limit=2),
        "edit": Edit(request="one", response="two"),
        "append": Append(),
        "dice": Dice(),
        "stamp": Stamp(),
        "fragile": Fragile(),
        "peer": Peer(),
        "json_body": JsonBody(),
        "trailers": Trailers(),
    }
    return [item for item in {**filters, **changes}.values() if item is not None]
