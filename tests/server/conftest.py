"""A gRPC client that speaks to a front as Envoy does, one message at a time."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Any, TypeAlias

import grpc
import grpc.aio
import pytest

from extproc import Chain
from extproc.server import fronts
from extproc.server.fronts import Front, FrontOptions
from extproc.wire import PROCESS, SERVICE
from extproc.wire.ext_proc_pb2 import ProcessingRequest, ProcessingResponse

METHOD = f"/{SERVICE}/{PROCESS}"

Call: TypeAlias = Any
NewFront: TypeAlias = Callable[..., Front]
Dial: TypeAlias = Callable[[str], AbstractAsyncContextManager[Call]]


@pytest.fixture(params=["native", "grpcio"])
def new_front(request: pytest.FixtureRequest) -> NewFront:
    """Makes a front, of each kind in turn: whatever the one does, the other must do."""

    def made(chain: Chain, listen: Sequence[str] = ("127.0.0.1:0",), **options: Any) -> Front:
        return fronts.new_front(chain, listen, FrontOptions(**options), front=request.param)

    return made


@pytest.fixture
def dial() -> Dial:
    """Opens a Process stream to an address."""

    @asynccontextmanager
    async def opened(address: str) -> AsyncIterator[Call]:
        options = [("grpc.max_receive_message_length", -1), ("grpc.max_send_message_length", -1)]
        async with grpc.aio.insecure_channel(address, options=options) as channel:
            rpc = channel.stream_stream(
                METHOD,
                request_serializer=_serialized,
                response_deserializer=ProcessingResponse.FromString,
            )
            yield rpc(wait_for_ready=True, timeout=20)

    return opened


def _serialized(message: ProcessingRequest | bytes) -> bytes:
    return message if isinstance(message, bytes) else message.SerializeToString()


def headers_message(*, end_of_stream: bool = True, **headers: str) -> ProcessingRequest:
    """Request headers as Envoy sends them: raw values only."""
    message = ProcessingRequest()
    message.request_headers.end_of_stream = end_of_stream
    for name, value in {":method": "GET", ":path": "/", **headers}.items():
        message.request_headers.headers.headers.add(key=name, raw_value=value.encode())
    return message


def body_message(body: bytes) -> ProcessingRequest:
    """A whole request body."""
    message = ProcessingRequest()
    message.request_body.body = body
    message.request_body.end_of_stream = True
    return message
