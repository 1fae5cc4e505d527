"""Records capture.ndjson: real requests through a real Envoy. ``python record.py``."""

from __future__ import annotations

import asyncio
import gzip
import shutil
import tempfile
from pathlib import Path

from extproc.config import load_chain
from extproc.envoy.plain_http import PlainReply, PlainRequest
from extproc.replay.recorder import Recorder
from extproc.testing import Gateway

HERE = Path(__file__).parent
CUSTOMER = b'{"id": 7, "mail": "ann@shop.example", "card": "4111 1111 1111 1111", "note": "old: 4111111111111111"}'
ETAG = (b"etag", b'"7-1"')


def upstream(request: PlainRequest) -> PlainReply:
    """A service that answers with personal data, and compresses it when it is told not to or may."""
    kind = b"text/plain" if request.target.endswith(".txt") else b"application/json; charset=utf-8"
    headers = [(b"content-type", kind), ETAG]
    if request.target.endswith("/stubborn") or b"gzip" in (request.value("accept-encoding") or b""):
        return PlainReply(headers=[*headers, (b"content-encoding", b"gzip")], body=[gzip.compress(CUSTOMER, mtime=0)])
    return PlainReply(headers=headers, body=[CUSTOMER])


async def talk(gateway: Gateway) -> list[PlainReply]:
    """A customer; the same where the client takes gzip; compressed against all asking; no JSON; nothing to mask."""
    return [
        await gateway.send("GET", "/customers/7"),
        await gateway.send("GET", "/customers/7", headers={"accept-encoding": "gzip"}),
        await gateway.send("GET", "/customers/stubborn"),
        await gateway.send("GET", "/customers/7.txt"),
        await gateway.send("GET", "/health"),
    ]


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
