"""Traps 4 and 5: what decides about the route either changes it, or the filter hears that it may not."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import ClassVar

import pytest

from extproc import Exchange, Filter, Use
from extproc.envoy.config import EnvoyOptions, Route
from extproc.envoy.plain_http import PlainReply, PlainRequest, Upstream
from extproc.filter import OnError, Privilege
from tests.envoy.behind import behind_envoy, one_after_the_other

# Trap 4: edits of protected headers are dropped silently


class Protected(Filter):
    """Edits one protected thing, without having asked for it."""

    def on_request_headers(self, exchange: Exchange) -> None:
        exchange.request.headers["x-before"] = "1"
        self.edit(exchange)

    def edit(self, exchange: Exchange) -> None:
        raise NotImplementedError


class Method(Protected):
    def edit(self, exchange: Exchange) -> None:
        exchange.request.method = "PUT"


class Scheme(Protected):
    def edit(self, exchange: Exchange) -> None:
        exchange.request.scheme = "https"


class Host(Protected):
    def edit(self, exchange: Exchange) -> None:
        exchange.request.host = "elsewhere.example"


class HostHeader(Protected):
    def edit(self, exchange: Exchange) -> None:
        exchange.request.headers["Host"] = "elsewhere.example"


class RemoveHost(Protected):
    def edit(self, exchange: Exchange) -> None:
        del exchange.request.headers["host"]


class PseudoHeader(Protected):
    def edit(self, exchange: Exchange) -> None:
        exchange.request.headers[":authority"] = "elsewhere.example"


class RemovePath(Protected):
    def edit(self, exchange: Exchange) -> None:
        del exchange.request.headers[":path"]


class EnvoyHeader(Protected):
    def edit(self, exchange: Exchange) -> None:
        exchange.request.headers["x-envoy-retry-on"] = "5xx"


class RemoveEnvoyHeader(Protected):
    def edit(self, exchange: Exchange) -> None:
        exchange.request.headers.pop("x-envoy-external-address", None)


PROTECTED = [Method, Scheme, Host, HostHeader, RemoveHost, PseudoHeader, RemovePath, EnvoyHeader, RemoveEnvoyHeader]


@pytest.mark.parametrize("policy", ["deny", "skip"])
@pytest.mark.parametrize("kind", PROTECTED)
async def test_trap_4_a_protected_edit_without_the_privilege_is_an_error_of_the_filter(
    kind: type[Protected], policy: OnError
) -> None:
    async with behind_envoy(Use(kind(), name="it", on_error=policy)) as gateway:
        reply = await gateway.send("GET", "/a")
        (entry,) = await gateway.access_log(1)

        denied, details = policy == "deny", entry["response_code_details"]
        assert (reply.status, details) == ((500, "extproc.it.error") if denied else (200, "via_upstream"))
        assert [request.values("x-before") for request in gateway.upstream.requests] == ([] if denied else [[]])


class Reroute(Filter):
    requires: ClassVar[frozenset[Privilege]] = frozenset({"routing"})

    def on_request_headers(self, exchange: Exchange) -> None:
        exchange.request.method = "PUT"
        exchange.request.scheme = "https"
        exchange.request.host = "elsewhere.example:8443"


class RerouteByBody(Filter):
    requires: ClassVar[frozenset[Privilege]] = frozenset({"routing"})

    def on_request_body(self, exchange: Exchange) -> None:
        exchange.request.method = "PUT"
        exchange.request.scheme = "https"
        exchange.request.host = "elsewhere.example:8443"


@pytest.mark.parametrize("kind", [Reroute, RerouteByBody])
@pytest.mark.parametrize("body", [b"", b"hello", [b"he", b"llo"]], ids=["none", "length", "chunked"])
async def test_trap_4_a_protected_edit_with_the_privilege_reaches_the_upstream(
    kind: type[Filter], body: bytes | list[bytes]
) -> None:
    async with behind_envoy(kind()) as gateway:
        await gateway.send("POST", "/a?b=c", body=body)

        (request,) = gateway.upstream.requests
        assert (request.method, request.target, request.value("host")) == ("PUT", "/a?b=c", b"elsewhere.example:8443")
        assert request.value("x-forwarded-proto") == b"http"  # what the client came by is not rewritten with the scheme
        assert request.content == b"".join(body if isinstance(body, list) else [body])


class EnvoyHeaders(Filter):
    requires: ClassVar[frozenset[Privilege]] = frozenset({"envoy_headers"})

    def on_request_headers(self, exchange: Exchange) -> None:
        exchange.request.headers["x-envoy-mine"] = "1"
        del exchange.request.headers["x-envoy-external-address"]

    def on_response_headers(self, exchange: Exchange) -> None:
        exchange.response.headers["x-envoy-mine"] = "1"
        del exchange.response.headers["x-envoy-upstream-service-time"]


async def test_trap_4_headers_of_envoy_can_be_edited_with_the_privilege() -> None:
    async with behind_envoy(EnvoyHeaders()) as gateway:
        reply = await gateway.send("GET", "/")

        (request,) = gateway.upstream.requests
        assert request.value("x-envoy-mine") == reply.value("x-envoy-mine") == b"1"
        assert request.values("x-envoy-external-address") == reply.values("x-envoy-upstream-service-time") == []


async def test_trap_4_the_privilege_of_one_filter_is_not_that_of_the_next() -> None:
    async with behind_envoy(Reroute(), Use(Host(), on_error="skip")) as gateway:
        await gateway.send("GET", "/")

        (request,) = gateway.upstream.requests
        assert request.value("host") == b"elsewhere.example:8443"
        assert request.values("x-before") == []


class Status(Filter):
    status: int

    def on_response_headers(self, exchange: Exchange) -> None:
        exchange.response.headers["x-before"] = "1"
        exchange.response.status = self.status


@pytest.mark.parametrize(("status", "sent"), [(201, 201), (451, 451), (503, 503), (99, 500), (199, 500), (600, 500)])
async def test_trap_4_a_status_that_envoy_would_not_take_is_an_error_of_the_filter(status: int, sent: int) -> None:
    async with behind_envoy(Status(status=status), upstream=PlainReply(body=[b"world"])) as gateway:
        reply = await gateway.send("GET", "/")

        assert (reply.status, reply.values("x-before")) == (sent, [b"1"] if status == sent else [])


class ToHead(Filter):
    requires: ClassVar[frozenset[Privilege]] = frozenset({"routing"})
    on_error: ClassVar[OnError] = "skip"
    method: str

    def on_request_headers(self, exchange: Exchange) -> None:
        if "x-swap" in exchange.request.headers:
            exchange.request.method = self.method


@pytest.mark.parametrize(("sent", "wanted"), [("HEAD", "GET"), ("HEAD", "POST"), ("GET", "HEAD")])
async def test_trap_4_whether_the_client_waits_for_a_body_is_not_the_filters_to_change(sent: str, wanted: str) -> None:
    """Envoy would send a body in reply to HEAD, or announce one that never comes: the next reply would be garbled."""
    async with behind_envoy(ToHead(method=wanted), upstream=PlainReply(body=[b"world"])) as gateway:
        swapped = PlainRequest(method=sent, headers=[(b"x-swap", b"1")])
        replies = await one_after_the_other(gateway, swapped, PlainRequest())

        assert [request.method for request in gateway.upstream.requests] == [sent, "GET"]
        assert replies[1].content == b"world"


# Trap 5: the path is changed and the route is not


class Path(Filter):
    def on_request_headers(self, exchange: Exchange) -> None:
        exchange.request.path = "/canary/orders"


class PathByBody(Filter):
    def on_request_body(self, exchange: Exchange) -> None:
        exchange.request.path = "/canary/orders"


class Target(Filter):
    def on_request_headers(self, exchange: Exchange) -> None:
        exchange.request.target = "/canary/orders?n=1"


class HostOfCanary(Filter):
    requires: ClassVar[frozenset[Privilege]] = frozenset({"routing"})

    def on_request_headers(self, exchange: Exchange) -> None:
        exchange.request.host = "canary.example"


class Variant(Filter):
    def on_request_headers(self, exchange: Exchange) -> None:
        exchange.request.headers["x-variant"] = "canary"
        exchange.clear_route_cache()


class VariantByBody(Filter):
    def on_request_body(self, exchange: Exchange) -> None:
        exchange.request.headers["x-variant"] = "canary"
        exchange.clear_route_cache()


class VariantLeftAlone(Filter):
    def on_request_headers(self, exchange: Exchange) -> None:
        exchange.request.headers["x-variant"] = "canary"


@pytest.fixture
async def canary() -> AsyncIterator[Upstream]:
    async with Upstream() as upstream:
        yield upstream


@pytest.fixture
def options(canary: Upstream) -> EnvoyOptions:
    """Routes to the canary by path, by header and by host."""
    return EnvoyOptions(
        routes=(
            Route(name="by_path", upstream=canary.address, prefix="/canary"),
            Route(name="by_variant", upstream=canary.address, headers={"x-variant": "canary"}),
            Route(name="by_host", upstream=canary.address, headers={":authority": "canary.example"}),
        )
    )


@pytest.mark.parametrize("body", [b"", b"hello"], ids=["no body", "body"])
@pytest.mark.parametrize(
    ("kind", "target"),
    [
        (Path, "/canary/orders?n=1&m="),
        (PathByBody, "/canary/orders?n=1&m="),
        (Target, "/canary/orders?n=1"),
        (HostOfCanary, "/orders?n=1&m="),
        (Variant, "/orders?n=1&m="),
        (VariantByBody, "/orders?n=1&m="),
    ],
)
async def test_trap_5_what_decides_about_the_route_takes_the_request_there(
    kind: type[Filter], target: str, body: bytes, options: EnvoyOptions, canary: Upstream
) -> None:
    async with behind_envoy(kind(), options=options) as gateway:
        await gateway.send("POST", "/orders?n=1&m=", body=body)

        assert [(request.target, request.content) for request in canary.requests] == [(target, body)]
        assert gateway.upstream.requests == []


async def test_trap_5_a_header_alone_leaves_the_route_for_nobody_asked_to_clear_it(
    options: EnvoyOptions, canary: Upstream
) -> None:
    """Only what always decides about routes clears it by itself: others would pay for what few need."""
    async with behind_envoy(VariantLeftAlone(), options=options) as gateway:
        await gateway.send("GET", "/")

        assert [request.value("x-variant") for request in gateway.upstream.requests] == [b"canary"]
        assert canary.requests == []


class ClearOnResponse(Filter):
    def on_response_headers(self, exchange: Exchange) -> None:
        exchange.clear_route_cache()


class ClearOnTrailers(Filter):
    def on_request_trailers(self, exchange: Exchange) -> None:
        exchange.clear_route_cache()


class PathOnTrailers(Filter):
    def on_request_trailers(self, exchange: Exchange) -> None:
        exchange.request.path = "/canary"


class PathOnResponse(Filter):
    def on_response_headers(self, exchange: Exchange) -> None:
        exchange.request.path = "/canary"


@pytest.mark.parametrize("kind", [ClearOnResponse, ClearOnTrailers, PathOnTrailers, PathOnResponse])
async def test_trap_5_where_the_route_is_past_the_filter_hears_it(kind: type[Filter]) -> None:
    async with behind_envoy(Use(kind(), name="late")) as gateway:
        reply = await gateway.send("POST", "/", body=[b"hello"], trailers=[(b"x-sum", b"1")])
        (entry,) = await gateway.access_log(1)

        assert (reply.status, entry["response_code_details"]) == (500, "extproc.late.error")


@pytest.mark.parametrize(
    "target", ["/a b", "/a b HTTP/1.1", "", "a", "http://elsewhere.example/", "/a#b", "/é", "/\r\n"]
)
async def test_trap_5_a_target_that_would_break_the_request_line_is_an_error_of_the_filter(target: str) -> None:
    class Break(Filter):
        on_error: ClassVar[OnError] = "skip"

        def on_request_headers(self, exchange: Exchange) -> None:
            exchange.request.target = target

    async with behind_envoy(Break()) as gateway:
        replies = await one_after_the_other(gateway, PlainRequest(target="/was"), PlainRequest(target="/next"))

        assert [reply.status for reply in replies] == [200, 200]
        assert [request.target for request in gateway.upstream.requests] == ["/was", "/next"]
