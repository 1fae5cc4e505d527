"""What one would write by hand with ``grpc.aio`` and no SDK: the base of every ratio."""

from __future__ import annotations

from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any, TypeAlias

import grpc
import grpc.aio

from extproc.wire import PROCESS, SERVICE
from extproc.wire.ext_proc_pb2 import ProcessingRequest, ProcessingResponse

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, AsyncIterator, Callable

__all__ = ["BARE", "serve_bare"]

_Servicer: TypeAlias = "Callable[[AsyncIterator[ProcessingRequest], Any], AsyncIterator[ProcessingResponse]]"


async def headers(requests: AsyncIterator[ProcessingRequest], _: object) -> AsyncIterator[ProcessingResponse]:
    """Sets one header of the request, and lets a response through as it is."""
    async for request in requests:
        response = ProcessingResponse()
        if request.WhichOneof("request") == "request_headers":
            option = response.request_headers.response.header_mutation.set_headers.add()
            option.header.key = "x-bench"
            option.header.raw_value = b"1"
        else:
            response.response_headers.SetInParent()
        yield response


async def streamed(requests: AsyncIterator[ProcessingRequest], _: object) -> AsyncIterator[ProcessingResponse]:
    """Body mode STREAMED: gives every chunk back, its first byte changed."""
    async for request in requests:
        response = ProcessingResponse()
        if request.WhichOneof("request") == "request_headers":
            response.request_headers.SetInParent()
        else:
            response.request_body.response.body_mutation.body = _changed(request.request_body.body)
        yield response


async def full_duplex(requests: AsyncIterator[ProcessingRequest], _: object) -> AsyncIterator[ProcessingResponse]:
    """Body mode FULL_DUPLEX_STREAMED: the same."""
    async for request in requests:
        response = ProcessingResponse()
        if request.WhichOneof("request") == "request_headers":
            response.request_headers.SetInParent()
        else:
            chunk = response.request_body.response.body_mutation.streamed_response
            chunk.body = _changed(request.request_body.body)
            chunk.end_of_stream = request.request_body.end_of_stream
        yield response


def _changed(chunk: bytes) -> bytes:
    return b"#" + chunk[1:] if chunk else b""


BARE: dict[str, _Servicer] = {"echo": headers, "streamed": streamed, "full-duplex": full_duplex}


@asynccontextmanager
async def serve_bare(name: str, listen: str) -> AsyncGenerator[str]:
    """Serves one of `BARE`; yields its address."""
    server = grpc.aio.server(options=[("grpc.max_receive_message_length", -1)])
    handler = grpc.stream_stream_rpc_method_handler(
        BARE[name],
        request_deserializer=ProcessingRequest.FromString,
        response_serializer=ProcessingResponse.SerializeToString,
    )
    server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler(SERVICE, {PROCESS: handler}),))
    port = server.add_insecure_port(listen)
    await server.start()
    yield listen if listen.startswith("unix:") else f"127.0.0.1:{port}"
    await server.stop(0)
