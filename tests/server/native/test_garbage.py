"""An exchange whose hooks do not suspend is gone when it is over: the garbage collector has nothing to do with it."""

from __future__ import annotations

import gc
from typing import Any

import pytest

from benchmarks.chains import CHAINS, HEADERS
from benchmarks.peer import grpc_message
from extproc.server.native.frames import rst_stream
from extproc.server.native.streams import ServerStream
from extproc.server.session import Service
from extproc.wire.ext_proc_pb2 import ProcessingMode, ProcessingRequest
from tests.server.native.peer import Peer, data, message


class Server(Peer):
    """A peer whose streams are exchanges."""

    def __init__(self, service: Service) -> None:
        self._service = service
        super().__init__()

    def _open(self, stream: ServerStream) -> Any:
        return self._service.open(stream)


def pieces() -> bytes:
    """A body that comes in pieces, and its headers, in the frames that gRPC gives them."""
    headers, piece = ProcessingRequest(), ProcessingRequest()
    headers.request_headers.SetInParent()
    headers.protocol_config.request_body_mode = ProcessingMode.STREAMED
    piece.request_body.body = bytes(2000)
    return message(headers.SerializeToString()) + 3 * message(piece.SerializeToString())


@pytest.mark.parametrize("name", ["empty", "1-filter", "4-filters", "demo-chain", "chunks"])
async def test_it_leaves_no_garbage(name: str) -> None:
    chain = CHAINS[name]()
    await chain.start()
    peer = Server(Service(chain))
    said = pieces() if name == "chunks" else grpc_message(HEADERS)

    def exchange(stream_id: int) -> None:
        peer.send(peer.headers(stream_id), data(stream_id, said))
        if stream_id in peer.connection.streams:
            peer.send(rst_stream(stream_id, 0))

    exchange(1)
    gc.collect()
    gc.disable()
    try:
        for stream_id in range(3, 203, 2):
            exchange(stream_id)
        assert not peer.connection.streams
        assert gc.collect() == 0
    finally:
        gc.enable()
    await chain.stop()
