from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from extproc.envoy.plain_http import Connection, PlainReply, PlainRequest, Upstream, send, split_address
from extproc.errors import EnvoyError

Serve = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]
Pairs = list[tuple[bytes, bytes]]

names = st.from_regex(rb"[Xx]-[A-Za-z0-9]{1,8}", fullmatch=True)
values = st.from_regex(rb"(?:[!-~\x80-\xff](?:[ -~\t\x80-\xff]{0,10}[!-~\x80-\xff])?)?", fullmatch=True)
pairs = st.lists(st.tuples(names, values), max_size=6)
chunks = st.lists(st.binary(min_size=1, max_size=50), max_size=4)

HOST = (b"Host", b"example.test")
CHUNKED = (b"Transfer-Encoding", b"chunked")


def over_the_wire(request: PlainRequest, reply: PlainReply | None = None) -> tuple[PlainRequest, PlainReply]:
    """What the server sees of a request, and the client of the reply."""

    async def run() -> tuple[PlainRequest, PlainReply]:
        async with Upstream(reply) as upstream:
            received = await send(upstream.address, request)
            return upstream.requests[0], received

    return asyncio.run(run())


@settings(deadline=None, max_examples=40)
@given(pairs, chunks, pairs)
def test_a_request_arrives_as_it_was_sent(headers: Pairs, body: list[bytes], trailers: Pairs) -> None:
    request = PlainRequest(
        method="POST", target="/a%20b?c", headers=[HOST, *headers, CHUNKED], body=body, trailers=trailers
    )

    assert over_the_wire(request)[0] == request


@settings(deadline=None, max_examples=40)
@given(st.sampled_from([200, 201, 404, 503]), pairs, chunks, pairs)
def test_a_reply_arrives_as_it_was_sent(status: int, headers: Pairs, body: list[bytes], trailers: Pairs) -> None:
    reply = PlainReply(status=status, headers=[*headers, CHUNKED], body=body, trailers=trailers)

    assert over_the_wire(PlainRequest(), reply)[1] == reply


@pytest.mark.parametrize(
    ("body", "trailers", "framing"),
    [
        ([], [], []),
        ([b"one"], [], [(b"content-length", b"3")]),
        ([b"one", b"two"], [], [(b"transfer-encoding", b"chunked")]),
        ([b"one"], [(b"x-t", b"1")], [(b"transfer-encoding", b"chunked")]),
    ],
)
def test_a_request_without_framing_is_framed_by_its_body(body: list[bytes], trailers: Pairs, framing: Pairs) -> None:
    arrived, _ = over_the_wire(PlainRequest(method="POST", headers=[HOST], body=body, trailers=trailers))

    assert (arrived.headers, arrived.body, arrived.trailers) == ([HOST, *framing], body, trailers)


def test_host_is_added_where_there_is_none() -> None:
    arrived, _ = over_the_wire(PlainRequest())

    assert [name for name, _ in arrived.headers] == [b"host"]


@pytest.mark.parametrize(("method", "status"), [("HEAD", 200), ("GET", 204), ("GET", 304)])
def test_a_reply_without_content_by_definition_has_none(method: str, status: int) -> None:
    _, reply = over_the_wire(PlainRequest(method=method), PlainReply(status=status, body=[b"ignored"]))

    assert (reply.status, reply.body, reply.complete) == (status, [], True)


def test_a_header_is_found_in_any_case_and_refuses_to_hide_a_second_one() -> None:
    request = PlainRequest(headers=[(b"X-Key", b"1"), (b"x-key", b"2"), (b"X-One", b"3")])

    assert request.values("x-KEY") == [b"1", b"2"]
    assert request.value("x-one") == b"3"
    assert request.value("x-none") is None
    with pytest.raises(ValueError, match="x-key occurs 2 times"):
        request.value("x-key")


async def test_an_upstream_may_take_its_time() -> None:
    ready = asyncio.Event()

    async def answer(request: PlainRequest) -> PlainReply:
        await ready.wait()
        return PlainReply(body=[request.content])

    async with Upstream(answer) as upstream, asyncio.TaskGroup() as tasks:
        pending = tasks.create_task(send(upstream.address, PlainRequest(method="POST", body=[b"hello"])))
        while not upstream.requests:
            await asyncio.sleep(0)
        assert not pending.done()
        ready.set()
    assert pending.result().content == b"hello"


@pytest.mark.parametrize("last", [b"connection: close\r\n", b""], ids=["announced", "silent"])
async def test_requests_follow_each_other_until_the_other_end_closes(last: bytes) -> None:
    connections = 0

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal connections
        connections += 1
        for head in (b"", last):
            await reader.readuntil(b"\r\n\r\n")
            writer.write(b"HTTP/1.1 200 OK\r\n" + head + b"content-length: 2\r\n\r\nok")
        writer.close()
        await writer.wait_closed()

    async with RawServer(serve) as address, Connection(address) as connection:
        for number in range(1, 5):
            assert (await connection.send(PlainRequest())).content == b"ok"
            while number % 2 == 0 and connection._link and not connection._link.reader.at_eof():
                await asyncio.sleep(0)
    assert connections == 2


@pytest.mark.parametrize(
    ("head", "body"),
    [
        (b"content-length: 10\r\n", [b"half"]),
        (b"transfer-encoding: chunked\r\n", [b"half"]),
    ],
)
async def test_a_reply_that_breaks_off_is_kept_and_called_incomplete(head: bytes, body: list[bytes]) -> None:
    framed = b"half" if b"length" in head else b"4\r\nhalf\r\n"

    async with RawServer(answering(b"HTTP/1.1 200 OK\r\n" + head + b"\r\n" + framed)) as address:
        reply = await send(address, PlainRequest())

    assert (reply.status, reply.body, reply.complete) == (200, body, False)


@pytest.mark.parametrize("nonsense", [b"", b"SMTP ready\r\n\r\n", b"HTTP/1.1 200 OK\r\ncontent-length: x\r\n\r\n"])
async def test_no_reply_at_all_is_a_connection_error(nonsense: bytes) -> None:
    async with RawServer(answering(nonsense)) as address:
        with pytest.raises(ConnectionError):
            await send(address, PlainRequest())


async def test_an_informational_reply_is_not_the_reply() -> None:
    both = b"HTTP/1.1 103 Early Hints\r\nlink: </a>\r\n\r\nHTTP/1.1 201 Created\r\ncontent-length: 0\r\n\r\n"

    async with RawServer(answering(both)) as address:
        assert (await send(address, PlainRequest())).status == 201


async def test_a_reply_that_does_not_come_is_a_timeout() -> None:
    async def never(request: PlainRequest) -> PlainReply:
        await asyncio.Event().wait()
        raise AssertionError

    async with Upstream(never) as upstream:
        with pytest.raises(TimeoutError):
            await send(upstream.address, PlainRequest(), timeout=0.05)


async def test_a_request_that_contradicts_its_own_length_is_not_sent() -> None:
    request = PlainRequest(method="POST", headers=[(b"content-length", b"3")], body=[b"four"])

    async with Upstream() as upstream:
        with pytest.raises(ValueError, match="cannot be sent"):
            await send(upstream.address, request)


async def test_an_upstream_tells_of_what_was_no_http() -> None:
    async with Upstream() as upstream:
        reader, writer = await asyncio.open_connection(*split_address(upstream.address))
        writer.write(b"POST / HTTP/1.1\r\nhost: a\r\ncontent-length: 3\r\n\r\nabcdefg\r\n\r\n")
        replies = await reader.read()
        writer.close()
        await writer.wait_closed()

    assert [request.content for request in upstream.requests] == [b"abc"]
    assert len(upstream.errors) == 1
    assert b"400 Bad Request" in replies


@pytest.mark.parametrize("address", ["nowhere", "host:", "::1:80", "http://host:1", "host:99999", "a b:1"])
def test_a_malformed_address_is_refused_with_what_one_looks_like(address: str) -> None:
    with pytest.raises(EnvoyError, match=r"use HOST:PORT or \[IPV6\]:PORT"):
        split_address(address)


def test_an_ipv6_address_loses_its_brackets() -> None:
    assert split_address("[::1]:80") == ("::1", 80)


class RawServer:
    """A TCP server on any port; its address is what entering it gives."""

    def __init__(self, serve: Serve) -> None:
        self._serve = serve

    async def __aenter__(self) -> str:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        return f"127.0.0.1:{self._server.sockets[0].getsockname()[1]}"

    async def __aexit__(self, *_: object) -> None:
        self._server.close()
        await self._server.wait_closed()


def answering(reply: bytes) -> Serve:
    """A server that answers one request with these bytes, and closes."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(reply)
        writer.close()
        await writer.wait_closed()

    return serve
