"""Traps 6 and 7: a changed body arrives whole, and connections stay in step whatever becomes of it."""

from __future__ import annotations

import pytest

from extproc import Exchange, Filter, Response
from extproc.envoy.plain_http import PlainReply, PlainRequest
from tests.envoy.behind import behind_envoy, one_after_the_other

FRAMINGS = [[b"hello world"], [b"hello ", b"world"]]
"""With a content-length, and chunked: filters that pass their tests with one fail in production with the other."""

framings = pytest.mark.parametrize("body", FRAMINGS, ids=["length", "chunked"])


# Trap 6: a changed body no longer fits its content-length


class Body(Filter):
    """Makes another body of every body."""

    to: bytes

    def on_request_body(self, exchange: Exchange) -> None:
        exchange.request.body = self.to

    def on_response_body(self, exchange: Exchange) -> None:
        exchange.response.body = self.to


class BodyUnseen(Filter):
    """Replaces the body without having read it."""

    to: bytes

    def on_request_headers(self, exchange: Exchange) -> None:
        exchange.request.body = self.to

    def on_response_headers(self, exchange: Exchange) -> None:
        exchange.response.body = self.to


NEW_BODIES = [b"a much longer body than it was", b"short", b"", b"HELLO WORLD", b"\x00\xff" * 100_000]
NEW_BODY_NAMES = ["longer", "shorter", "empty", "same length", "large"]


@framings
@pytest.mark.parametrize("to", NEW_BODIES, ids=NEW_BODY_NAMES)
@pytest.mark.parametrize("kind", [Body, BodyUnseen])
async def test_trap_6_a_changed_body_arrives_whole_both_ways(
    kind: type[Body | BodyUnseen], to: bytes, body: list[bytes]
) -> None:
    request = PlainRequest(method="POST", body=body)
    async with behind_envoy(kind(to=to), upstream=PlainReply(body=body)) as gateway:
        replies = await one_after_the_other(gateway, request, request)

        assert [(reply.status, reply.content, reply.complete) for reply in replies] == [(200, to, True)] * 2
        assert [request.content for request in gateway.upstream.requests] == [to, to]


@pytest.mark.parametrize("kind", [Body, BodyUnseen])
async def test_trap_6_a_body_may_come_where_there_was_none(kind: type[Body | BodyUnseen]) -> None:
    async with behind_envoy(kind(to=b"new")) as gateway:
        replies = await one_after_the_other(gateway, PlainRequest(), PlainRequest(method="POST"))

        assert [reply.content for reply in replies] == [b"new", b"new"]
        assert [request.content for request in gateway.upstream.requests] == [b"new", b"new"]


async def test_trap_6_the_length_is_kept_where_the_client_gave_one() -> None:
    """An upstream may well refuse a request without a length; a client may want to show progress."""
    async with behind_envoy(Body(to=b"changed"), upstream=PlainReply(body=[b"hello"])) as gateway:
        reply = await gateway.send("POST", "/", body=b"hello")

        assert gateway.upstream.requests[0].value("content-length") == reply.value("content-length") == b"7"


class Append(Filter):
    mark: str

    def on_request_body(self, exchange: Exchange) -> None:
        exchange.request.body += self.mark.encode()

    def on_response_body(self, exchange: Exchange) -> None:
        exchange.response.body += self.mark.encode()


@framings
async def test_trap_6_several_filters_work_on_one_body(body: list[bytes]) -> None:
    async with behind_envoy(Append(mark="1"), Append(mark="2"), upstream=PlainReply(body=body)) as gateway:
        reply = await gateway.send("POST", "/", body=body if len(body) > 1 else body[0])

        assert gateway.upstream.requests[0].content == b"hello world12"
        assert reply.content == b"hello world21"


class Reader(Filter):
    def on_request_body(self, exchange: Exchange) -> None:
        exchange.request.headers["x-seen"] = str(len(exchange.request.body))

    def on_response_body(self, exchange: Exchange) -> None:
        exchange.response.headers["x-seen"] = str(len(exchange.response.body))


async def test_trap_6_a_body_replaced_unseen_is_the_body_that_later_filters_see() -> None:
    async with behind_envoy(
        Reader(), BodyUnseen(to=b"four"), Reader(), upstream=PlainReply(body=[b"hello"])
    ) as gateway:
        reply = await gateway.send("POST", "/", body=b"hello")

        assert gateway.upstream.requests[0].value("x-seen") == reply.value("x-seen") == b"4"
        assert (gateway.upstream.requests[0].content, reply.content) == (b"four", b"four")


@framings
async def test_trap_6_a_body_that_is_only_read_passes_as_it_is(body: list[bytes]) -> None:
    async with behind_envoy(Reader(), upstream=PlainReply(body=body)) as gateway:
        reply = await gateway.send("POST", "/", body=body if len(body) > 1 else body[0])

        request = gateway.upstream.requests[0]
        assert (request.content, request.value("x-seen")) == (b"hello world", b"11")
        assert (reply.content, reply.value("x-seen")) == (b"hello world", b"11")
        assert bool(request.values("content-length")) == bool(reply.values("content-length")) == (len(body) == 1)


async def test_trap_6_a_client_that_waits_for_100_continue_is_told_to_go_on() -> None:
    async with behind_envoy(Append(mark="!")) as gateway:
        await gateway.send("POST", "/", headers={"expect": "100-continue"}, body=b"hello")

        assert gateway.upstream.requests[0].content == b"hello!"


# Trap 7, second half: responses that must have no body


class SetStatus(Filter):
    status: int

    def on_response_headers(self, exchange: Exchange) -> None:
        exchange.response.status = self.status


class SetStatusByBody(Filter):
    status: int

    def on_response_body(self, exchange: Exchange) -> None:
        exchange.response.status = self.status


@framings
@pytest.mark.parametrize("status", [204, 304])
@pytest.mark.parametrize("kind", [SetStatus, SetStatusByBody])
async def test_trap_7_a_response_made_bodiless_loses_its_body(
    kind: type[SetStatus | SetStatusByBody], status: int, body: list[bytes]
) -> None:
    """Envoy would send the body all the same, and the client would take it for the next response."""
    async with behind_envoy(kind(status=status), upstream=PlainReply(body=body)) as gateway:
        replies = await one_after_the_other(gateway, PlainRequest(), PlainRequest(method="POST", body=[b"hello"]))

        assert [(reply.status, reply.content) for reply in replies] == [(status, b"")] * 2
        assert not any(reply.values("content-length") for reply in replies)


@pytest.mark.parametrize("kind", [Body, BodyUnseen])
@pytest.mark.parametrize("status", [204, 304])
async def test_trap_7_a_bodiless_response_gets_no_body(kind: type[Body | BodyUnseen], status: int) -> None:
    async with behind_envoy(kind(to=b"HTTP/1.1 200 OK\r\n\r\n"), upstream=PlainReply(status=status)) as gateway:
        replies = await one_after_the_other(gateway, PlainRequest(), PlainRequest())

        assert [(reply.status, reply.content) for reply in replies] == [(status, b"")] * 2


@framings
@pytest.mark.parametrize("kind", [Body, BodyUnseen])
async def test_trap_7_a_head_request_gets_no_body(kind: type[Body | BodyUnseen], body: list[bytes]) -> None:
    async with behind_envoy(kind(to=b"HTTP/1.1 200 OK\r\n\r\n"), upstream=PlainReply(body=body)) as gateway:
        head, reply = await one_after_the_other(gateway, PlainRequest(method="HEAD"), PlainRequest())

        assert (head.status, head.content) == (200, b"")
        assert reply.content == b"HTTP/1.1 200 OK\r\n\r\n"


async def test_trap_7_a_response_that_had_no_body_may_get_one_with_another_status() -> None:
    class Found(Filter):
        def on_response_headers(self, exchange: Exchange) -> None:
            exchange.response.status = 200
            exchange.response.body = b"here it is"

    async with behind_envoy(Found(), upstream=PlainReply(status=304)) as gateway:
        replies = await one_after_the_other(gateway, PlainRequest(), PlainRequest())

        assert [(reply.status, reply.content) for reply in replies] == [(200, b"here it is")] * 2


class NoContentWithBody(Filter):
    def on_request_headers(self, exchange: Exchange) -> Response:
        response = Response(200, "body")
        response.status = 204
        return response


class NoContentBefore(Filter):
    """Its response hook turns what a later filter answered into a 204."""

    def on_response_headers(self, exchange: Exchange) -> None:
        exchange.response.status = 204


class Answer(Filter):
    status: int = 200

    def on_request_headers(self, exchange: Exchange) -> Response:
        return Response(self.status, "body")


@pytest.mark.parametrize("filters", [[NoContentWithBody()], [NoContentBefore(), Answer()]], ids=["own", "made so"])
async def test_trap_7_an_immediate_204_has_no_body(filters: list[Filter]) -> None:
    async with behind_envoy(*filters) as gateway:
        replies = await one_after_the_other(gateway, PlainRequest(), PlainRequest())

        assert [(reply.status, reply.content) for reply in replies] == [(204, b"")] * 2
        assert not any(reply.values("content-length") for reply in replies)


@pytest.mark.parametrize("status", [204, 205, 304])
async def test_trap_7_a_bodiless_response_written_with_a_body_is_an_error_of_the_filter(status: int) -> None:
    async with behind_envoy(Answer(status=status)) as gateway:
        assert (await gateway.send("GET", "/")).status == 500


class ErrorPage(Filter):
    """The page that every failure gets, also those that Envoy answers before it has asked about the request."""

    def on_response_headers(self, exchange: Exchange) -> None:
        exchange.response.body = "sorry"


async def test_trap_7_an_error_page_for_what_envoy_answered_itself_reaches_no_head_request() -> None:
    """Nobody told us the method: there was no request phase."""
    refused = PlainRequest(method="HEAD", target="/a%2Fb")
    async with behind_envoy(ErrorPage()) as gateway:
        head, reply = await one_after_the_other(gateway, refused, PlainRequest())

        assert (head.status, head.content) == (307, b"")
        assert reply.content == b"sorry"
