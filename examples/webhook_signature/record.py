"""Records capture.ndjson: real requests through a real Envoy. ``python record.py``."""

from __future__ import annotations

import asyncio
import base64
import hashlib
import hmac
import os
import shutil
import tempfile
import time
from pathlib import Path

from extproc.config import load_chain
from extproc.envoy.plain_http import PlainReply
from extproc.replay.recorder import Recorder
from extproc.testing import Gateway

HERE = Path(__file__).parent
SECRET = "whsec_c2VjcmV0IG9mIHRoZSBzaG9wIGZvciB0ZXN0cw=="  # noqa: S105 (for this example alone)
EVENT = b'{"type": "order.paid", "data": {"order": 4711, "amount": "12.50"}}'
UPSTREAM = PlainReply(status=204)


def signed(body: bytes, *, at: float, event: str = "msg_1", secret: str = SECRET) -> dict[str, str]:
    """The headers that a sender adds, at a time in Unix seconds."""
    key = base64.b64decode(secret.removeprefix("whsec_"))
    digest = hmac.digest(key, f"{event}.{int(at)}.".encode() + body, hashlib.sha256)
    signature = "v1," + base64.b64encode(digest).decode()
    return {"webhook-id": event, "webhook-timestamp": str(int(at)), "webhook-signature": signature}


async def talk(gateway: Gateway) -> list[PlainReply]:
    """A good webhook; the same with another body, an hour late, unsigned, and without its body; one elsewhere."""
    now = time.time()
    good, late = signed(EVENT, at=now), signed(EVENT, at=now - 3600)
    return [
        await gateway.send("POST", "/webhooks/shop", headers=good, body=EVENT),
        await gateway.send("POST", "/webhooks/shop", headers=good, body=EVENT.replace(b"12.50", b"99.99")),
        await gateway.send("POST", "/webhooks/shop", headers=late, body=EVENT),
        await gateway.send("POST", "/webhooks/shop", body=EVENT),
        await gateway.send("POST", "/webhooks/shop", headers=good),
        await gateway.send("GET", "/orders"),
    ]


async def main() -> None:
    """Records, and keeps the capture beside this file."""
    os.environ["WEBHOOK_SECRET"] = SECRET
    chain = load_chain(HERE / "chain.yaml")
    with tempfile.TemporaryDirectory() as directory:
        with Recorder(Path(directory), chain=chain) as recorder:
            async with Gateway(chain, upstream=UPSTREAM, observer=recorder) as gateway:
                await talk(gateway)
        shutil.copyfile(recorder.path, HERE / "capture.ndjson")


if __name__ == "__main__":
    asyncio.run(main())
