"""What our own machine answers for filters as people write them; Envoy is configured as we would configure it."""

from __future__ import annotations

from typing import ClassVar

from extproc import Chain, Exchange, Filter, Response
from extproc.envoy.model import ExtProcConfig, HttpMessage
from extproc.filter import Privilege
from tests.envoy.scenario import TRAILED_POST, TRAILED_REPLY, Scenario, get, post, reply


class Edits(Filter):
    def on_request_headers(self, exchange: Exchange) -> None:
        headers = exchange.request.headers
        headers["x-a"] = "new"
        headers.add("x-b", "2")
        headers.setdefault("x-c", "3")
        headers.pop("x-d", None)

    def on_response_headers(self, exchange: Exchange) -> None:
        exchange.response.headers.add("set-cookie", "b=2")
        exchange.response.headers.add("set-cookie", "c=3")
        exchange.response.status = 202


class Counts(Filter):
    def on_request_headers(self, exchange: Exchange) -> None:
        exchange.request.headers["x-sum"] = str(len(exchange.request.headers))


class Reroutes(Filter):
    def on_request_headers(self, exchange: Exchange) -> None:
        exchange.request.path = "/canary" + exchange.request.path


class Readdresses(Filter):
    requires: ClassVar[frozenset[Privilege]] = frozenset({"routing", "envoy_headers"})

    def on_request_headers(self, exchange: Exchange) -> None:
        exchange.request.method = "PUT"
        exchange.request.host = "elsewhere"
        exchange.request.headers["x-envoy-foo"] = "1"


class Rewrites(Filter):
    def on_request_body(self, exchange: Exchange) -> None:
        exchange.request.body = exchange.request.body * 2
        exchange.request.headers["x-size"] = str(len(exchange.request.body))

    def on_response_body(self, exchange: Exchange) -> None:
        exchange.response.body = exchange.response.body[::2]
        exchange.response.status = 203


class Empties(Filter):
    def on_request_body(self, exchange: Exchange) -> None:
        exchange.request.body = b""

    def on_response_body(self, exchange: Exchange) -> None:
        exchange.response.body = b""


class Supplies(Filter):
    def on_request_headers(self, exchange: Exchange) -> None:
        exchange.request.body = b"supplied"

    def on_response_headers(self, exchange: Exchange) -> None:
        exchange.response.body = b"supplied"


class Denies(Filter):
    def on_request_headers(self, exchange: Exchange) -> Response:
        return Response(401, "who are you?", {"www-authenticate": "Basic"}, details="no key")


class DeniesByBody(Filter):
    def on_request_body(self, exchange: Exchange) -> Response:
        return Response.as_json(403, {"size": len(exchange.request.body)})


class Replaces(Filter):
    def on_response_body(self, exchange: Exchange) -> Response:
        return Response(451, "gone")


class Trails(Filter):
    def on_request_trailers(self, exchange: Exchange) -> None:
        exchange.request.trailers["x-sum"] = "1"

    def on_response_trailers(self, exchange: Exchange) -> None:
        exchange.response.trailers.clear()


class Breaks(Filter):
    def on_request_headers(self, exchange: Exchange) -> None:
        raise RuntimeError("broken")


class BreaksLate(Filter):
    def on_response_trailers(self, exchange: Exchange) -> None:
        raise RuntimeError("broken")


class Tolerated(Breaks):
    on_error: ClassVar = "skip"


def _of(
    name: str, kind: type[Filter], request: HttpMessage | None = None, response: HttpMessage | None = None
) -> Scenario:
    chain = Chain([kind()])
    config = ExtProcConfig.for_chain(chain)
    return Scenario(name, config, {}, request or get(), response or reply(body=b"hello"), chain=chain)


_CHUNKED = reply(body=b"hello", chunked=True)
_TWICE = get("/a", ("x-a", b"1"), ("x-b", b"1"), ("x-a", b"2"), ("x-d", b"4"))
_MANY = get("/a", *[(f"h{i}", b"") for i in range(95)])
_TOO_MANY = get("/a", ("x-sum", b"0"), *[(f"h{i}", b"") for i in range(96)])

SCENARIOS = [
    _of(
        "filter-edits-headers",
        Edits,
        get("/a", ("x-a", b"1"), ("x-b", b"1"), ("x-a", b"2"), ("x-d", b"4")),
        reply(200, ("set-cookie", b"a=1")),
    ),
    _of("filter-edits-headers-where-there-are-as-many-as-there-may-be", Edits, _MANY),
    _of("filter-edits-a-header-where-there-are-too-many-already", Counts, _TOO_MANY),
    _of("filter-changes-the-path-and-with-it-the-route", Reroutes, get("/a?q=1")),
    _of("filter-changes-method-and-host", Readdresses),
    *(
        _of(f"filter-{what}-{framing}", kind, request, response)
        for what, kind in {"rewrites-bodies": Rewrites, "empties-bodies": Empties, "supplies-bodies": Supplies}.items()
        for framing, request, response in (
            ("counted", post(), reply(body=b"hello")),
            ("chunked", post(chunked=True), _CHUNKED),
            ("trailed", TRAILED_POST, TRAILED_REPLY),
            ("bodiless", get(), reply(body=b"")),
            ("to-head", get(method="HEAD"), reply(body=b"")),
            ("304", get(), reply(304, body=b"")),
        )
    ),
    _of("filter-denies", Denies, post()),
    _of("filter-denies-grpc", Denies, post(b"", ("content-type", b"application/grpc"))),
    _of("filter-denies-by-body", DeniesByBody, post()),
    _of("filter-denies-by-body-where-there-is-none", DeniesByBody),
    _of("filter-replaces-the-response", Replaces),
    _of("filter-edits-trailers", Trails, TRAILED_POST, TRAILED_REPLY),
    _of("filter-breaks", Breaks),
    _of("filter-breaks-and-is-skipped", Tolerated),
    _of("filter-breaks-too-late-for-a-response", BreaksLate, TRAILED_POST, TRAILED_REPLY),
]
