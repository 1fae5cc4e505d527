"""Trap 14: what Envoy would ignore without a word arrives, or the filter hears why it cannot."""

from __future__ import annotations

from typing import ClassVar

import pytest

from extproc import Exchange, Filter, Response, Use
from extproc.envoy.plain_http import PlainReply
from tests.envoy.behind import behind_envoy

TRAILERS = [(b"x-sum", b"1")]

# Trap 14: fields that Envoy ignores without a word


class Emit(Filter):
    metadata_out: ClassVar[frozenset[str]] = frozenset({"shop", "shop.more"})

    def on_request_headers(self, exchange: Exchange) -> None:
        exchange.metadata.emit("shop", {"user": "café", "score": 0.5, "roles": ["a", "b"], "ok": True})
        exchange.metadata.emit("shop.more", {"nested": {"deep": [{"er": None}]}})

    def on_request_body(self, exchange: Exchange) -> None:
        exchange.metadata.emit("shop", {"body": len(exchange.request.body)})

    def on_response_headers(self, exchange: Exchange) -> None:
        exchange.metadata.emit("shop", {"status": exchange.response.status})

    def on_response_body(self, exchange: Exchange) -> None:
        exchange.metadata.emit("shop", {"response": len(exchange.response.body)})


async def test_trap_14_metadata_of_every_phase_reaches_the_access_log() -> None:
    async with behind_envoy(Emit(), upstream=PlainReply(body=[b"world!"])) as gateway:
        await gateway.send("POST", "/", body=b"hello")
        (entry,) = await gateway.access_log(1)

        said = {"user": "café", "score": 0.5, "roles": ["a", "b"], "ok": True}
        assert entry["metadata"] == {
            "shop": said | {"body": 5, "status": 200, "response": 6},
            "shop.more": {"nested": {"deep": [{"er": None}]}},
        }


class Deny(Filter):
    def on_request_headers(self, exchange: Exchange) -> Response:
        return Response(403)


async def test_trap_14_metadata_reaches_the_access_log_with_an_immediate_response() -> None:
    async with behind_envoy(Emit(), Deny()) as gateway:
        await gateway.send("GET", "/")
        (entry,) = await gateway.access_log(1)

        assert (entry["metadata"]["shop"]["user"], entry["metadata"]["shop"]["status"]) == ("café", 403)


async def test_trap_14_metadata_that_envoy_was_not_told_to_receive_is_an_error_of_the_filter() -> None:
    class Undeclared(Filter):
        def on_request_headers(self, exchange: Exchange) -> None:
            exchange.metadata.emit("shop", {"user": "me"})

    async with behind_envoy(Emit(), Undeclared()) as gateway:  # what one filter declares, the next one has not
        reply = await gateway.send("GET", "/")
        (entry,) = await gateway.access_log(1)

        assert (reply.status, entry["response_code_details"]) == (500, "extproc.undeclared.error")


class Remember(Filter):
    metadata_out: ClassVar[frozenset[str]] = frozenset({"shop"})
    metadata_in: ClassVar[frozenset[str]] = frozenset({"shop"})

    def on_request_headers(self, exchange: Exchange) -> None:
        exchange.metadata.emit("shop", {"user": "me"})

    def on_response_headers(self, exchange: Exchange) -> None:
        exchange.response.headers["x-user"] = exchange.metadata["shop"]["user"]


async def test_trap_14_metadata_that_envoy_has_can_be_read() -> None:
    async with behind_envoy(Remember()) as gateway:
        assert (await gateway.send("GET", "/")).value("x-user") == b"me"


class Attributes(Filter):
    request_attributes: ClassVar[frozenset[str]] = frozenset({"source.address", "request.path"})
    response_attributes: ClassVar[frozenset[str]] = frozenset({"response.code", "upstream.address"})

    def on_request_body(self, exchange: Exchange) -> None:
        exchange.request.headers["x-path"] = exchange.attributes["request.path"]
        exchange.request.headers["x-source"] = exchange.attributes["source.address"]

    def on_response_body(self, exchange: Exchange) -> None:
        exchange.response.headers["x-upstream"] = exchange.attributes["upstream.address"]
        exchange.response.headers["x-code"] = f"{exchange.attributes['response.code']:g}"
        exchange.response.headers["x-path"] = exchange.attributes["request.path"]


@pytest.mark.parametrize("body", [b"", b"hello"], ids=["no body", "body"])
async def test_trap_14_attributes_come_once_and_are_there_in_every_later_phase(body: bytes) -> None:
    async with behind_envoy(Attributes(), upstream=PlainReply(status=201, body=[b"world"])) as gateway:
        reply = await gateway.send("POST", "/orders?n=1", body=body)

        (request,) = gateway.upstream.requests
        source = (request.value("x-source") or b"").rpartition(b":")[0]
        assert (request.value("x-path"), source) == (b"/orders?n=1", b"127.0.0.1")
        assert (reply.value("x-upstream"), reply.value("x-code"), reply.value("x-path")) == (
            gateway.upstream.address.encode(),
            b"201",
            b"/orders?n=1",
        )


class RequestHeaderOnResponse(Filter):
    def on_response_headers(self, exchange: Exchange) -> None:
        exchange.request.headers["x-late"] = "1"


class RequestBodyOnResponse(Filter):
    def on_response_headers(self, exchange: Exchange) -> None:
        exchange.request.body = b"late"


class HeaderOnTrailers(Filter):
    def on_request_trailers(self, exchange: Exchange) -> None:
        exchange.request.headers["x-late"] = "1"


class BodyOnTrailers(Filter):
    def on_request_trailers(self, exchange: Exchange) -> None:
        exchange.request.body = b"late"


class ResponseOnRequest(Filter):
    def on_request_headers(self, exchange: Exchange) -> None:
        exchange.response.headers["x-early"] = "1"


class BodyOnHeaders(Filter):
    def on_request_headers(self, exchange: Exchange) -> None:
        exchange.request.headers["x-length"] = str(len(exchange.request.body))


class TrailersOnHeaders(Filter):
    def on_request_headers(self, exchange: Exchange) -> None:
        exchange.request.trailers["x-early"] = "1"


WRONG_MOMENT = [
    RequestHeaderOnResponse,
    RequestBodyOnResponse,
    HeaderOnTrailers,
    BodyOnTrailers,
    ResponseOnRequest,
    BodyOnHeaders,
    TrailersOnHeaders,
]


@pytest.mark.parametrize("kind", WRONG_MOMENT)
async def test_trap_14_an_edit_at_the_wrong_moment_is_an_error_of_the_filter_and_not_lost(kind: type[Filter]) -> None:
    async with behind_envoy(Use(kind(), name="hasty")) as gateway:
        reply = await gateway.send("POST", "/", body=[b"he", b"llo"], trailers=TRAILERS)
        (entry,) = await gateway.access_log(1)

        assert (reply.status, entry["response_code_details"]) == (500, "extproc.hasty.error")
