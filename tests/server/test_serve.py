"""`serve`, in this process."""

from __future__ import annotations

import gc
import os
import resource
import signal

import pytest

from extproc import Chain
from extproc.server import FrontOptions, Http2Limits, serve


@pytest.mark.parametrize(("connections", "files"), [(200, 456), (10, 300)])
async def test_as_many_files_may_be_open_as_connections_need(connections: int, files: int) -> None:
    before = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (300, before[1]))
    found: list[int] = []

    def ready(_: list[str]) -> None:
        found.append(resource.getrlimit(resource.RLIMIT_NOFILE)[0])
        os.kill(os.getpid(), signal.SIGTERM)

    options = FrontOptions(grace=0, http2=Http2Limits(connections=connections))
    try:
        await serve(Chain([]), ["127.0.0.1:0"], options, on_ready=ready)
    finally:
        gc.unfreeze()
        resource.setrlimit(resource.RLIMIT_NOFILE, before)

    assert found == [files]


async def test_what_was_made_at_the_start_is_left_out_of_garbage_collections() -> None:
    frozen: list[int] = []

    def ready(_: list[str]) -> None:
        frozen.append(gc.get_freeze_count())
        os.kill(os.getpid(), signal.SIGTERM)

    try:
        await serve(Chain([]), ["127.0.0.1:0"], FrontOptions(grace=0), on_ready=ready)
    finally:
        gc.unfreeze()

    assert frozen[0] > 0
