"""`serve`, in this process."""

from __future__ import annotations

import gc
import os
import signal

from extproc import Chain
from extproc.server import FrontOptions, serve


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
