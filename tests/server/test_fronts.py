"""Both fronts: what Envoy would see on the stream, whichever it is."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Sequence
from typing import Any

import grpc
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc

from extproc import Chain, Exchange, Filter, Response
from extproc.messages import Message, Output
from extproc.trace import Event
from extproc.wire import SERVICE
from extproc.wire.ext_proc_pb2 import ProcessingRequest
from tests.server.conftest import Call, Dial, NewFront, body_message, headers_message


class Tag(Filter):
    def on_request_headers(self, exchange: Exchange) -> None:
        exchange.request.headers["x-tag"] = "on"


class Deny(Filter):
    def on_request_headers(self, exchange: Exchange) -> Response:
        return Response(403, "no")


class Secretive(Filter):
    def on_request_headers(self, exchange: Exchange) -> None:
        raise RuntimeError("password is hunter2")


class Upper(Filter):
    def on_request_body(self, exchange: Exchange) -> None:
        exchange.request.body = exchange.request.body.upper()


async def read_to_end(call: Call) -> None:
    while await call.read() is not grpc.aio.EOF:
        pass


@pytest.fixture(params=["tcp", "tcp6", "unix"])
def listen(request: pytest.FixtureRequest, tmp_path: object) -> str:
    return {"tcp": "127.0.0.1:0", "tcp6": "[::1]:0", "unix": f"unix:{tmp_path}/s"}[request.param]


async def test_a_filter_answers_over_every_kind_of_address(new_front: NewFront, listen: str, dial: Dial) -> None:
    async with new_front(Chain([Tag()]), [listen]) as front, dial(front.addresses[0]) as call:
        await call.write(headers_message())
        (option,) = (await call.read()).request_headers.response.header_mutation.set_headers
        assert (option.header.key, option.header.raw_value, option.header.value) == ("x-tag", b"on", "")


async def test_nothing_follows_an_immediate_response(new_front: NewFront, dial: Dial) -> None:
    async with new_front(Chain([Deny()])) as front, dial(front.addresses[0]) as call:
        await call.write(headers_message())
        assert (await call.read()).immediate_response.status.code == 403
        assert await call.read() is grpc.aio.EOF
        assert await call.code() is grpc.StatusCode.OK


async def test_a_failing_filter_does_not_tell_the_client_why(new_front: NewFront, dial: Dial) -> None:
    async with new_front(Chain([Secretive()])) as front, dial(front.addresses[0]) as call:
        await call.write(headers_message())
        reply = (await call.read()).immediate_response
        assert (reply.status.code, reply.details, reply.body) == (500, "extproc.secretive.error", b"")


@pytest.mark.parametrize(
    ("messages", "code", "details"),
    [
        ([b"\xff\xff"], grpc.StatusCode.INVALID_ARGUMENT, "extproc.undecodable"),
        ([b"\xfa\x01\x00"], grpc.StatusCode.UNIMPLEMENTED, "extproc.unknown_phase"),
        ([headers_message(), headers_message()], grpc.StatusCode.INVALID_ARGUMENT, "extproc.message_order"),
    ],
    ids=["garbage", "a phase of a newer Envoy", "request headers twice"],
)
async def test_a_message_that_cannot_be_answered_ends_the_stream_with_an_error(
    new_front: NewFront, messages: list[ProcessingRequest | bytes], code: grpc.StatusCode, details: str, dial: Dial
) -> None:
    """A clean end would make Envoy let the request through."""
    async with new_front(Chain([Tag()])) as front, dial(front.addresses[0]) as call:
        for message in messages:
            await call.write(message)
        with pytest.raises(grpc.aio.AioRpcError):
            await read_to_end(call)
        assert (await call.code(), await call.details()) == (code, details)


class BrokenClock:
    def time(self) -> float:
        raise RuntimeError("hunter2")

    def monotonic(self) -> float:
        return 0.0


async def test_a_failure_of_the_processor_itself_ends_the_stream_with_an_error_and_no_text(
    new_front: NewFront, dial: Dial, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.CRITICAL, "extproc.server")
    async with new_front(Chain([Tag()]), clock=BrokenClock()) as front, dial(front.addresses[0]) as call:
        await call.write(headers_message())
        with pytest.raises(grpc.aio.AioRpcError):
            await call.read()
        assert (await call.code(), await call.details()) == (grpc.StatusCode.INTERNAL, "extproc.internal")


async def test_an_observer_that_fails_costs_no_exchange(
    new_front: NewFront, dial: Dial, caplog: pytest.LogCaptureFixture
) -> None:
    class Broken:
        def begin(self, exchange_id: str) -> Broken:
            return self

        def message(self, message: Message, answers: Sequence[Output], now: float) -> None:
            raise RuntimeError("out of paper")

        def end(self, exchange: Exchange, events: list[Event]) -> None:
            pass

    async with new_front(Chain([Tag()]), observer=Broken()) as front, dial(front.addresses[0]) as call:
        await call.write(headers_message())
        assert (await call.read()).WhichOneof("response") == "request_headers"
        await call.done_writing()
        assert await call.code() is grpc.StatusCode.OK
    assert "its observer failed" in caplog.text


async def test_a_body_over_the_default_of_grpc_gets_through(new_front: NewFront, dial: Dial) -> None:
    """gRPC takes 4 MiB by default, which Envoy would turn into a 500."""
    async with new_front(Chain([Upper()])) as front, dial(front.addresses[0]) as call:
        await call.write(headers_message(end_of_stream=False))
        await call.read()
        await call.write(body_message(b"a" * (9 << 20)))
        assert (await call.read()).request_body.response.body_mutation.body == b"A" * (9 << 20)


async def test_a_client_that_goes_away_cancels_the_hook_and_completes_the_exchange(
    new_front: NewFront, dial: Dial
) -> None:
    entered, completed = asyncio.Event(), asyncio.Event()
    ended: list[str] = []

    class Patient(Filter):
        async def on_request_headers(self, exchange: Exchange) -> None:
            entered.set()
            await asyncio.Event().wait()

        def on_complete(self, exchange: Exchange) -> None:
            ended.append(exchange.ended)
            completed.set()

    async with new_front(Chain([Patient()], timeout=30)) as front, dial(front.addresses[0]) as call:
        await call.write(headers_message())
        await entered.wait()
        call.cancel()
        await completed.wait()
    assert ended == ["cancelled"]


async def test_stopping_reports_unhealthy_then_lets_an_exchange_finish(new_front: NewFront, dial: Dial) -> None:
    entered, go_on = asyncio.Event(), asyncio.Event()

    class Slow(Filter):
        async def on_request_headers(self, exchange: Exchange) -> None:
            entered.set()
            await go_on.wait()

    front = new_front(Chain([Slow()], timeout=30), grace=30)
    async with asyncio.TaskGroup() as tasks:
        await front.__aenter__()
        async with dial(front.addresses[0]) as call, grpc.aio.insecure_channel(front.addresses[0]) as channel:
            stub: Any = health_pb2_grpc.HealthStub(channel)  # its stubs know the synchronous one only
            watch = stub.Watch(health_pb2.HealthCheckRequest(service=SERVICE))
            assert (await watch.read()).status == health_pb2.HealthCheckResponse.SERVING
            await call.write(headers_message())
            await entered.wait()
            stopping = tasks.create_task(front.__aexit__(None, None, None))
            assert (await watch.read()).status == health_pb2.HealthCheckResponse.NOT_SERVING
            go_on.set()
            assert (await call.read()).WhichOneof("response") == "request_headers"
            await call.done_writing()
            watch.cancel()
            await stopping


async def test_the_chain_is_started_before_and_stopped_after(new_front: NewFront, dial: Dial) -> None:
    seen: list[str] = []

    class Owner(Filter):
        async def start(self) -> None:
            seen.append("start")

        async def stop(self) -> None:
            seen.append("stop")

    async with new_front(Chain([Owner()])):
        seen.append("serve")
    assert seen == ["start", "serve", "stop"]
