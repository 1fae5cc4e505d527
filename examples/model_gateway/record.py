"""Records capture.ndjson: real requests through a real Envoy. ``python record.py``."""

from __future__ import annotations

import asyncio
import shutil
import tempfile
from pathlib import Path

from extproc.config import load_chain
from extproc.envoy.config import EnvoyOptions, Route
from extproc.envoy.plain_http import PlainReply, Upstream
from extproc.replay.recorder import Recorder
from extproc.testing import Gateway

HERE = Path(__file__).parent
SMALL = PlainReply(headers=[(b"content-type", b"application/json")], body=[b'{"choices": [], "model": "small"}'])
LARGE = PlainReply(headers=[(b"content-type", b"application/json")], body=[b'{"choices": [], "model": "large"}'])


def routes(large: Upstream) -> EnvoyOptions:
    """Envoy sends requests for the large model to an upstream of its own."""
    return EnvoyOptions(routes=(Route(name="large", upstream=large.address, headers={"x-model": "large"}),))


async def talk(gateway: Gateway) -> list[PlainReply]:
    """Two models that are allowed, one that is not, none, two at once, no JSON; a client that names one in a header."""
    ask = "/v1/chat/completions"
    claim = {"x-model": "large"}
    return [
        await gateway.send("POST", ask, body=b'{"model": "small", "messages": []}'),
        await gateway.send("POST", ask, body=b'{"model": "large", "messages": []}'),
        await gateway.send("POST", ask, body=b'{"model": "secret", "messages": []}'),
        await gateway.send("POST", ask, body=b'{"messages": []}'),
        await gateway.send("POST", ask, body=b'{"model": "small", "model": "large"}'),
        await gateway.send("POST", ask, body=b"model=small"),
        await gateway.send("POST", ask, headers=claim, body=b'{"model": "small", "messages": []}'),
    ]


async def main() -> None:
    """Records, and keeps the capture beside this file."""
    chain = load_chain(HERE / "chain.yaml")
    with tempfile.TemporaryDirectory() as directory:
        with Recorder(Path(directory), chain=chain) as recorder:
            async with (
                Upstream(LARGE) as large,
                Gateway(chain, upstream=SMALL, options=routes(large), observer=recorder) as gateway,
            ):
                await talk(gateway)
        shutil.copyfile(recorder.path, HERE / "capture.ndjson")


if __name__ == "__main__":
    asyncio.run(main())
