"""Traps 8 and 9, and those just below the cut: a filter that decides by the body decides about every request."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import pytest

from extproc import Exchange, Filter, Response, Use
from extproc.envoy.config import EnvoyOptions
from extproc.envoy.plain_http import PlainReply, PlainRequest, split_address
from tests.envoy.behind import Config, behind_envoy, one_after_the_other
from tests.envoy.http2 import exchange
from tests.envoy.received import Head, Trailers

SUM = [(b"x-sum", b"1")]


class Password(Filter):
    """Lets in who says the word."""

    def on_request_body(self, exchange: Exchange) -> Response | None:
        return None if exchange.request.body == b"please" else Response(403, "say please")


class Censor(Filter):
    """Lets out nothing but what it has read."""

    def on_response_body(self, exchange: Exchange) -> Response | None:
        return None if exchange.response.body == b"public" else Response(502, "not public")


class WatchTrailers(Filter):
    """Makes Envoy ask about trailers, and HTTP/1.1 pass them on."""

    def on_request_trailers(self, exchange: Exchange) -> None:
        pass

    def on_response_trailers(self, exchange: Exchange) -> None:
        pass


# Just below the cut: no body phase for GET, for an empty body, for trailers alone


@pytest.mark.parametrize(
    "request_",
    [
        PlainRequest(),
        PlainRequest(method="HEAD"),
        PlainRequest(method="POST"),
        PlainRequest(method="POST", headers=[(b"content-length", b"0")]),
        PlainRequest(method="POST", headers=[(b"transfer-encoding", b"chunked")]),
        PlainRequest(method="POST", trailers=SUM),
        PlainRequest(method="POST", body=[b"sesame"]),
        PlainRequest(method="POST", body=[b"ses", b"ame"]),
        PlainRequest(method="POST", body=[b"ses", b"ame"], trailers=SUM),
    ],
    ids=["GET", "HEAD", "POST", "length 0", "chunked", "trailers", "wrong", "chunked wrong", "wrong and trailers"],
)
@pytest.mark.parametrize("filters", [[Password()], [Password(), WatchTrailers()]], ids=["alone", "trailers wanted"])
async def test_who_decides_by_the_body_is_not_passed_by_a_request_without_one(
    request_: PlainRequest, filters: list[Filter]
) -> None:
    async with behind_envoy(*filters) as gateway:
        (reply,) = await one_after_the_other(gateway, request_)

        assert reply.status == 403
        assert gateway.upstream.requests == []


@pytest.mark.parametrize("filters", [[Password()], [Password(), WatchTrailers()]], ids=["alone", "trailers wanted"])
async def test_who_decides_by_the_body_lets_in_who_says_the_word(filters: list[Filter]) -> None:
    async with behind_envoy(*filters) as gateway:
        replies = await one_after_the_other(
            gateway,
            PlainRequest(method="POST", body=[b"please"]),
            PlainRequest(method="POST", body=[b"plea", b"se"]),
            PlainRequest(method="POST", body=[b"plea", b"se"], trailers=SUM),
        )

        assert [reply.status for reply in replies] == [200, 200, 200]


async def test_trailers_that_come_late_and_alone_do_not_pass_who_decides_by_the_body() -> None:
    """Envoy, which has had the answer to the headers for long, asks about the trailers and never about a body."""
    came = asyncio.Event()

    class Arrival(Filter):
        def on_request_headers(self, exchange: Exchange) -> None:
            came.set()

    async with behind_envoy(Password(), WatchTrailers(), Arrival()) as gateway:
        reader, writer = await asyncio.open_connection(*split_address(gateway.address))
        writer.write(b"POST / HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked\r\n\r\n")
        await came.wait()
        writer.write(b"0\r\nx-sum: 1\r\n\r\n")
        status = await reader.readline()
        writer.close()
        await writer.wait_closed()

        assert status == b"HTTP/1.1 403 Forbidden\r\n"
        assert gateway.upstream.requests == []


@pytest.mark.parametrize("filters", [[Password()], [Password(), WatchTrailers()]], ids=["alone", "trailers wanted"])
async def test_trailers_alone_over_http_2_do_not_pass_who_decides_by_the_body(filters: list[Filter]) -> None:
    """HTTP/2 has trailers whether or not anybody switched them on."""
    headers = [(":method", b"POST"), (":scheme", b"http"), (":path", b"/"), (":authority", b"a")]
    async with behind_envoy(*filters) as gateway:
        reply = await exchange(gateway.address, [Head(headers), Trailers([("x-sum", b"1")])])
        (entry,) = await gateway.access_log(1)

        assert entry["protocol"] == "HTTP/2"
        assert reply.headers is not None
        assert reply.headers[0] == (":status", b"403")
        assert gateway.upstream.requests == []


@pytest.mark.parametrize(
    "upstream",
    [
        PlainReply(),
        PlainReply(headers=[(b"transfer-encoding", b"chunked")]),
        PlainReply(trailers=SUM),
        PlainReply(body=[b"secret"]),
        PlainReply(body=[b"sec", b"ret"], trailers=SUM),
    ],
    ids=["none", "chunked", "trailers", "wrong", "wrong and trailers"],
)
@pytest.mark.parametrize("filters", [[Censor()], [Censor(), WatchTrailers()]], ids=["alone", "trailers wanted"])
async def test_who_decides_by_the_response_body_is_not_passed_by_a_response_without_one(
    upstream: PlainReply, filters: list[Filter]
) -> None:
    late = bool(upstream.trailers and not upstream.body and len(filters) > 1)  # too late for a response of its own
    async with behind_envoy(*filters, upstream=upstream) as gateway:
        assert (await gateway.send("GET", "/")).status == (500 if late else 502)


class EditTrailers(Filter):
    def on_request_trailers(self, exchange: Exchange) -> None:
        exchange.request.trailers["x-sum"] = exchange.request.trailers["x-sum"] + "+"
        exchange.request.trailers.add("x-sum", "again")
        exchange.request.trailers["x-new"] = "café"
        exchange.request.trailers.pop("x-gone", None)

    def on_response_trailers(self, exchange: Exchange) -> None:
        exchange.response.trailers["x-sum"] = exchange.response.trailers["x-sum"] + "+"
        exchange.response.trailers.add("x-sum", "again")
        exchange.response.trailers["x-new"] = "café"
        exchange.response.trailers.pop("x-gone", None)


@pytest.mark.parametrize("others", [[], [Password(), Censor()]], ids=["alone", "bodies wanted"])
async def test_trailers_can_be_edited_both_ways(others: list[Filter]) -> None:
    trailers = [*SUM, (b"x-gone", b"1")]
    edited = [(b"x-sum", b"1+"), (b"x-sum", b"again"), (b"x-new", "café".encode())]
    upstream = PlainReply(body=[b"pub", b"lic"], trailers=trailers)
    async with behind_envoy(EditTrailers(), *others, upstream=upstream) as gateway:
        reply = await gateway.send("POST", "/", body=[b"plea", b"se"], trailers=trailers)

        (request,) = gateway.upstream.requests
        assert (request.content, sorted(request.trailers)) == (b"please", sorted(edited))
        assert (reply.content, sorted(reply.trailers)) == (b"public", sorted(edited))


async def test_a_filter_for_trailers_that_do_not_come_is_simply_not_called() -> None:
    async with behind_envoy(EditTrailers(), upstream=PlainReply(body=[b"world"])) as gateway:
        replies = await one_after_the_other(gateway, PlainRequest(), PlainRequest(method="POST", body=[b"hello"]))

        assert [reply.content for reply in replies] == [b"world", b"world"]


# Traps 8 and 9: other body modes are other contracts


def sending_bodies(mode: str, *, fail_open: bool = False) -> Callable[[Config, Config], None]:
    """An Envoy that was configured by somebody who knew better."""

    def edit(_: Config, ext_proc: Config) -> None:
        ext_proc["failure_mode_allow"] = fail_open
        ext_proc["processing_mode"] |= {
            "request_body_mode": mode,
            "response_body_mode": mode,
            "request_trailer_mode": "SEND",
            "response_trailer_mode": "SEND",
        }

    return edit


class Mark(Filter):
    def on_request_headers(self, exchange: Exchange) -> None:
        exchange.request.headers["x-mark"] = "1"


SEEN = ["STREAMED", "BUFFERED", "BUFFERED_PARTIAL", "FULL_DUPLEX_STREAMED"]
"""Modes in which a filter sees every byte of a body."""
UNSEEN = ["NONE", "GRPC"]
"""Modes in which it may not. In GRPC, Envoy 1.40 lets a body pass that comes later than the answer to its headers."""
FAILURE_MODES = pytest.mark.parametrize("fail_open", [False, True], ids=["closed", "open"])


async def test_trap_8_a_chain_that_wants_bodies_asks_for_them_whole() -> None:
    seen: list[Any] = []
    async with behind_envoy(Password(), edit=lambda _, ext_proc: seen.append(ext_proc["processing_mode"])):
        pass

    assert seen[0]["request_body_mode"] == "BUFFERED"
    assert seen[0].get("response_body_mode", "NONE") == "NONE"


@FAILURE_MODES
@pytest.mark.parametrize("mode", SEEN)
async def test_traps_8_and_9_who_decides_by_the_whole_body_decides_in_every_mode(mode: str, fail_open: bool) -> None:
    async with behind_envoy(Password(), edit=sending_bodies(mode, fail_open=fail_open)) as gateway:
        replies = await one_after_the_other(
            gateway,
            PlainRequest(method="POST", body=[b"please"]),
            PlainRequest(method="POST", body=[b"plea", b"se"]),
            PlainRequest(method="POST", body=[b"sesame"]),
            PlainRequest(),
        )

        assert [reply.status for reply in replies] == [200, 200, 403, 403]
        assert [request.content for request in gateway.upstream.requests] == [b"please"] * 2


@FAILURE_MODES
@pytest.mark.parametrize("mode", SEEN)
async def test_traps_8_and_9_who_decides_by_the_whole_response_lets_nothing_else_out(
    mode: str, fail_open: bool
) -> None:
    """In STREAMED the headers may have left: then Envoy breaks the response off."""
    upstream = PlainReply(body=[b"secret"])
    edit = sending_bodies(mode, fail_open=fail_open)
    async with behind_envoy(Censor(), upstream=upstream, edit=edit) as gateway:
        reply = await gateway.send("GET", "/")

        assert b"secret" not in reply.content
        assert reply.status == 502 or (mode == "STREAMED" and not reply.complete)


@FAILURE_MODES
@pytest.mark.parametrize("mode", UNSEEN)
async def test_traps_8_and_9_who_may_not_see_the_body_refuses(mode: str, fail_open: bool) -> None:
    async with behind_envoy(Password(), edit=sending_bodies(mode, fail_open=fail_open)) as gateway:
        reply = await gateway.send("POST", "/", body=b"please")
        (entry,) = await gateway.access_log(1)

        assert (reply.status, entry["response_code_details"]) == (500, "extproc.password.error")
        assert gateway.upstream.requests == []


@FAILURE_MODES
@pytest.mark.parametrize("mode", UNSEEN)
async def test_traps_8_and_9_who_may_not_see_the_response_refuses(mode: str, fail_open: bool) -> None:
    upstream = PlainReply(body=[b"secret"])
    async with behind_envoy(Censor(), upstream=upstream, edit=sending_bodies(mode, fail_open=fail_open)) as gateway:
        reply = await gateway.send("GET", "/")
        (entry,) = await gateway.access_log(1)

        assert (reply.status, entry["response_code_details"]) == (500, "extproc.censor.error")


@pytest.mark.parametrize("mode", [*UNSEEN, *SEEN])
@pytest.mark.parametrize("body", [[], [b"hello"], [b"he", b"llo"], [b"z" * 300_000] * 2], ids=len)
async def test_trap_8_who_may_be_skipped_is_and_the_others_work_and_bodies_pass(mode: str, body: list[bytes]) -> None:
    filters: list[Filter | Use] = [Mark()]  # bodies that nobody asked for
    if mode in UNSEEN:
        filters.insert(0, Use(Password(), on_error="skip"))
    async with behind_envoy(*filters, upstream=PlainReply(body=body), edit=sending_bodies(mode)) as gateway:
        reply = await gateway.send("POST", "/", body=body)

        (request,) = gateway.upstream.requests
        assert (request.value("x-mark"), request.content) == (b"1", b"".join(body))
        assert (reply.status, reply.content) == (200, b"".join(body))


class Upper(Filter):
    """Takes pieces, and holds some back until the end."""

    def on_request_chunk(self, exchange: Exchange, chunk: bytes) -> bytes:
        exchange.state["size"] = exchange.state.get("size", 0) + len(chunk)
        return chunk.upper() or b"."

    def on_response_chunk(self, exchange: Exchange, chunk: bytes) -> bytes:
        return chunk.upper() or b"."


@pytest.mark.parametrize("mode", SEEN)
@pytest.mark.parametrize("body", [[b"hello"], [b"he", b"llo"], [b"z" * 300_000] * 2], ids=len)
async def test_traps_8_and_9_pieces_are_changed_in_every_mode(mode: str, body: list[bytes]) -> None:
    """Longer ones come out than went in: content-length would be a lie."""
    changed = b"".join(body).upper() + b"."
    async with behind_envoy(Upper(), upstream=PlainReply(body=body), edit=sending_bodies(mode)) as gateway:
        replies = await one_after_the_other(
            gateway, PlainRequest(method="POST", body=body), PlainRequest(method="POST", body=[b"".join(body)])
        )

        assert [request.content for request in gateway.upstream.requests] == [changed] * 2
        assert [(reply.status, reply.content) for reply in replies] == [(200, changed)] * 2


async def test_trap_9_pieces_and_whole_bodies_mix_and_trailers_follow() -> None:
    class Sized(Filter):
        def on_request_body(self, exchange: Exchange) -> None:
            exchange.request.headers["x-size"] = str(len(exchange.request.body))

        def on_response_body(self, exchange: Exchange) -> None:
            exchange.response.headers["x-size"] = str(len(exchange.response.body))

    upstream = PlainReply(body=[b"wor", b"ld"], trailers=SUM)
    edit = sending_bodies("FULL_DUPLEX_STREAMED")
    async with behind_envoy(Upper(), Sized(), WatchTrailers(), upstream=upstream, edit=edit) as gateway:
        reply = await gateway.send("POST", "/", body=[b"he", b"llo"], trailers=SUM)

        (request,) = gateway.upstream.requests
        assert (request.content, request.value("x-size"), request.trailers) == (b"HELLO.", b"6", SUM)
        assert (reply.content, reply.value("x-size"), reply.trailers) == (b"WORLD.", b"5", SUM)


@FAILURE_MODES
@pytest.mark.parametrize("phase", ["request", "response"])
async def test_trap_9_where_envoy_has_no_timer_ours_runs(phase: str, fail_open: bool) -> None:
    """In FULL_DUPLEX_STREAMED it would wait for ever."""

    class Hang(Filter):
        async def on_request_chunk(self, exchange: Exchange, chunk: bytes) -> None:
            if phase == "request":
                await asyncio.Event().wait()

        async def on_response_body(self, exchange: Exchange) -> None:
            await asyncio.Event().wait()

    edit = sending_bodies("FULL_DUPLEX_STREAMED", fail_open=fail_open)
    upstream = PlainReply(body=[b"world"])
    async with behind_envoy(Hang(), upstream=upstream, timeout=0.2, edit=edit) as gateway:
        reply = await gateway.send("POST", "/", body=b"hello")
        (entry,) = await gateway.access_log(1)

        assert (reply.status, entry["response_code_details"]) == (504, "extproc.hang.timeout")


@pytest.mark.parametrize("mode", ["STREAMED", "BUFFERED_PARTIAL"])
async def test_trap_8_who_needs_headers_and_was_shown_none_refuses_at_the_body(mode: str) -> None:
    def edit(_: Config, ext_proc: Config) -> None:
        ext_proc["processing_mode"] |= {"request_header_mode": "SKIP", "request_body_mode": mode}

    async with behind_envoy(Mark(), Password(), edit=edit) as gateway:
        reply = await gateway.send("POST", "/", body=b"please")
        (entry,) = await gateway.access_log(1)

        assert (reply.status, entry["response_code_details"]) == (500, "extproc.mark.error")
        assert gateway.upstream.requests == []


async def test_trap_11_a_part_of_a_body_is_not_taken_for_the_whole() -> None:
    """In BUFFERED_PARTIAL, what does not fit into Envoy's buffer passes by."""

    def edit(_: Config, ext_proc: Config) -> None:
        ext_proc["processing_mode"]["request_body_mode"] = "BUFFERED_PARTIAL"

    async with behind_envoy(Password(), options=EnvoyOptions(buffer_limit=32768), edit=edit) as gateway:
        reply = await gateway.send("POST", "/", body=[b"z" * 100_000] * 4)
        (entry,) = await gateway.access_log(1)

        assert (reply.status, entry["response_code_details"]) == (500, "extproc.password.error")
        assert gateway.upstream.requests == []


async def test_trap_13_where_envoy_skips_the_response_headers_what_was_refused_is_not_let_out() -> None:
    """The headers have left, and the refusal comes too late: all that can be done is to break off."""

    def edit(_: Config, ext_proc: Config) -> None:
        ext_proc["processing_mode"]["response_header_mode"] = "SKIP"

    async with behind_envoy(Censor(), upstream=PlainReply(body=[b"secret"]), edit=edit) as gateway:
        reply = await gateway.send("GET", "/")

        assert (reply.content, reply.complete) == (b"", False)
