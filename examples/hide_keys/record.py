"""Records capture.ndjson: real requests through a real Envoy. ``python record.py``."""

from __future__ import annotations

import asyncio
import shutil
import tempfile
from pathlib import Path

from extproc.config import load_chain
from extproc.envoy.plain_http import PlainReply, PlainRequest
from extproc.replay.recorder import Recorder
from extproc.testing import Gateway

HERE = Path(__file__).parent
KEY = b"shop_key_" + b"A1b2C3d4E5f6G7h8I9j0K1l2"
EVENTS = [b"data: your key is shop_", KEY[5:20], KEY[20:] + b"\n\n", b"data: keep it\n\n"]


def upstream(request: PlainRequest) -> PlainReply:
    """A service that gives keys away: in a stream of events, in which a key is cut; and at the end of a log."""
    if request.target == "/events":
        return PlainReply(headers=[(b"content-type", b"text/event-stream")], body=EVENTS)
    if request.target == "/log":
        return PlainReply(headers=[(b"content-type", b"text/plain")], body=[b"line\n" * 100 + KEY])
    return PlainReply(headers=[(b"content-encoding", b"br")], body=[b"?"])


async def talk(gateway: Gateway) -> list[PlainReply]:
    """Both, and one that is compressed against all asking."""
    return [await gateway.send("GET", target) for target in ("/events", "/log", "/compressed")]


async def main() -> None:
    """Records, and keeps the capture beside this file."""
    chain = load_chain(HERE / "chain.yaml")
    with tempfile.TemporaryDirectory() as directory:
        with Recorder(Path(directory), chain=chain) as recorder:
            async with Gateway(chain, upstream=upstream, observer=recorder) as gateway:
                await talk(gateway)
        shutil.copyfile(recorder.path, HERE / "capture.ndjson")


if __name__ == "__main__":
    asyncio.run(main())
