"""grpcio's clients against the native front, beyond what both fronts are tried with in `test_fronts`."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import grpc
import grpc.aio
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc
from pydantic import PrivateAttr

from extproc import Exchange, Filter
from extproc.wire import SERVICE
from extproc.wire.ext_proc_pb2 import ProcessingResponse
from tests.server.conftest import METHOD, body_message, headers_message
from tests.server.raw.serving import Tag, Upper, serving

_OPTIONS = [("grpc.max_receive_message_length", -1), ("grpc.max_send_message_length", -1)]


class Patient(Filter):
    """Never answers."""

    _entered: asyncio.Event = PrivateAttr(default_factory=asyncio.Event)
    _left: asyncio.Event = PrivateAttr(default_factory=asyncio.Event)

    async def on_request_headers(self, exchange: Exchange) -> None:
        self._entered.set()
        await asyncio.Event().wait()

    def on_complete(self, exchange: Exchange) -> None:
        assert exchange.ended == "cancelled"
        self._left.set()


@asynccontextmanager
async def channel(*filters: Filter, **options: Any) -> AsyncIterator[grpc.aio.Channel]:
    async with (
        serving(*filters, clients_leave=False) as front,  # a channel lives as long as one of its calls is remembered
        grpc.aio.insecure_channel(front.addresses[0], options=_OPTIONS, **options) as opened,
    ):
        yield opened


def health(opened: grpc.aio.Channel) -> Any:
    """Its stubs know the synchronous one only."""
    return health_pb2_grpc.HealthStub(opened)


def process(opened: grpc.aio.Channel, **options: Any) -> Any:
    """A Process stream."""
    method: Any = opened.stream_stream(
        METHOD,
        request_serializer=lambda message: message.SerializeToString(),
        response_deserializer=ProcessingResponse.FromString,
    )
    return method(**options)


async def test_a_unary_call() -> None:
    async with channel() as opened:
        for service in ("", SERVICE):
            reply = await health(opened).Check(health_pb2.HealthCheckRequest(service=service))
            assert reply.status == health_pb2.HealthCheckResponse.SERVING


async def test_an_error() -> None:
    async with channel() as opened:
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await health(opened).Check(health_pb2.HealthCheckRequest(service="no such"))
        assert caught.value.code() is grpc.StatusCode.NOT_FOUND


async def test_a_method_there_is_not() -> None:
    async with channel() as opened:
        nothing: Any = opened.unary_unary(f"/{SERVICE}/Nothing")
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await nothing(b"")
        assert caught.value.code() is grpc.StatusCode.UNIMPLEMENTED


async def test_a_stream_from_the_server() -> None:
    async with channel() as opened:
        watch = health(opened).Watch(health_pb2.HealthCheckRequest())
        assert (await watch.read()).status == health_pb2.HealthCheckResponse.SERVING
        watch.cancel()


async def test_a_stream_both_ways() -> None:
    async with channel() as opened:
        call = process(opened)
        await call.write(headers_message(end_of_stream=False))
        assert (await call.read()).WhichOneof("response") == "request_headers"
        await call.write(body_message(b"hello"))
        assert (await call.read()).request_body.response.body_mutation.body == b"HELLO"
        await call.done_writing()
        assert await call.read() is grpc.aio.EOF
        assert await call.code() is grpc.StatusCode.OK


async def test_a_message_over_the_limit() -> None:
    async with (
        serving(max_message_bytes=1000, clients_leave=False) as front,
        grpc.aio.insecure_channel(front.addresses[0]) as opened,
    ):
        call = process(opened)
        await call.write(body_message(b"a" * 1000))
        with pytest.raises(grpc.aio.AioRpcError):
            await call.read()
        assert await call.code() is grpc.StatusCode.RESOURCE_EXHAUSTED


async def test_a_deadline_of_the_client_reaches_the_hook() -> None:
    patient = Patient()
    async with channel(patient) as opened:
        call = process(opened, timeout=0.1)
        await call.write(headers_message())
        with pytest.raises(grpc.aio.AioRpcError):
            await call.read()
        assert await call.code() is grpc.StatusCode.DEADLINE_EXCEEDED
        await patient._left.wait()


async def test_compression_is_refused() -> None:
    async with channel(compression=grpc.Compression.Gzip) as opened:
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await health(opened).Check(health_pb2.HealthCheckRequest(service="a" * 1000))
        assert caught.value.code() is grpc.StatusCode.UNIMPLEMENTED


async def test_much_metadata_is_taken_and_too_much_is_not() -> None:
    async with channel() as opened:
        await health(opened).Check(health_pb2.HealthCheckRequest(), metadata=[("x-much", "a" * 12_000)])
        with pytest.raises(grpc.aio.AioRpcError):
            await health(opened).Check(health_pb2.HealthCheckRequest(), metadata=[("x-too-much", "a" * 100_000)])


async def test_many_streams_at_once() -> None:
    async with channel() as opened:
        calls = [process(opened) for _ in range(300)]
        for call in calls:
            await call.write(headers_message())
        for call in reversed(calls):
            assert (await call.read()).WhichOneof("response") == "request_headers"
            call.cancel()


async def test_calls_that_are_given_up_at_random() -> None:
    """Before, amid and after their answer; `serving` sees that nothing is left."""
    async with channel(Tag(), Upper()) as opened:
        calls = [process(opened) for _ in range(200)]
        for number, call in enumerate(calls):
            if number % 4:
                await call.write(headers_message(end_of_stream=False))
            if number % 4 > 1:
                await call.read()
            if number % 4 > 2:
                await call.write(body_message(b"a" * 10_000))
            call.cancel()
