"""The processors that are measured, each in a process of its own: ``python -m benchmarks.processors NAME``.

Writes the address it listens on to standard output, then answers each line on standard input with the CPU seconds it
has used, user and system together, all threads; ends with its standard input.
"""

from __future__ import annotations

import asyncio
import resource
import sys
from typing import TYPE_CHECKING

import grpc
import grpc.aio

from extproc import Chain, Exchange, Filter
from extproc.server import GrpcioFront
from extproc.wire import PROCESS, SERVICE
from extproc.wire.ext_proc_pb2 import ProcessingRequest, ProcessingResponse

if TYPE_CHECKING:
    from collections.abc import AsyncIterator


class SetOneHeader(Filter):
    """The same work as the bare servicer's."""

    def on_request_headers(self, exchange: Exchange) -> None:
        """Sets one header."""
        exchange.request.headers["x-bench"] = "1"


async def bare(
    requests: AsyncIterator[ProcessingRequest], _: grpc.aio.ServicerContext[ProcessingRequest, ProcessingResponse]
) -> AsyncIterator[ProcessingResponse]:
    """What one would write by hand with grpc.aio and no SDK: sets one request header."""
    async for request in requests:
        response = ProcessingResponse()
        if request.WhichOneof("request") == "request_headers":
            option = response.request_headers.response.header_mutation.set_headers.add()
            option.header.key = "x-bench"
            option.header.raw_value = b"1"
        yield response


async def serve_bare() -> None:
    """The bare echo servicer."""
    server = grpc.aio.server()
    handler = grpc.stream_stream_rpc_method_handler(
        bare,
        request_deserializer=ProcessingRequest.FromString,
        response_serializer=ProcessingResponse.SerializeToString,
    )
    server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler(SERVICE, {PROCESS: handler}),))
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    await report_cpu(f"127.0.0.1:{port}")
    await server.stop(0)


async def serve_chain(chain: Chain) -> None:
    """A chain on the grpcio front."""
    async with GrpcioFront(chain, grace=0) as front:
        await report_cpu(front.addresses[0])


def one_filter() -> Chain:
    """The work of the bare servicer, through the SDK."""
    return Chain([SetOneHeader()])


def four_filters() -> Chain:
    """The chain of the demo: authentication, headers, rate limit, A/B tag."""
    from extproc_filters import AbTag, ApiKey, EditHeaders, RateLimit  # noqa: PLC0415 (not for the bare one)

    return Chain(
        [
            ApiKey.model_validate({"callers": {"bench": "bench-key"}}),
            EditHeaders.model_validate({"request": {"set": {"x-edge": "bench"}}}),
            RateLimit.model_validate({"limit": "1000000/second", "key": "header:x-caller"}),
            AbTag.model_validate(
                {"salt": "bench", "unit": "header:x-user", "cookie": None, "variants": {"stable": 80, "canary": 20}}
            ),
        ]
    )


CHAINS = {"grpcio-1-filter": one_filter, "grpcio-4-filters": four_filters}


async def report_cpu(address: str) -> None:
    """Says where it listens, then answers each line on standard input with the CPU seconds used so far."""
    loop = asyncio.get_running_loop()
    sys.stdout.write(f"{address}\n")
    sys.stdout.flush()
    while await loop.run_in_executor(None, sys.stdin.readline):
        usage = resource.getrusage(resource.RUSAGE_SELF)
        sys.stdout.write(f"{usage.ru_utime + usage.ru_stime}\n")
        sys.stdout.flush()


def main(name: str) -> None:
    """Serves the processor called `name`."""
    asyncio.run(serve_bare() if name == "bare-grpc-aio" else serve_chain(CHAINS[name]()))


if __name__ == "__main__":
    main(*sys.argv[1:])
