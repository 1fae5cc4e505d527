from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from examples.hide_keys.hide_keys import HideKeys
from examples.hide_keys.record import KEY, talk, upstream
from extproc import Chain
from extproc.config import load_chain
from extproc.envoy.plain_http import PlainReply
from extproc.testing import Gateway

if TYPE_CHECKING:
    from examples.conftest import Replay

HERE = Path(__file__).parent
EVENTS = b"data: your key is shop_key_***\n\ndata: keep it\n\n"
LOG = b"line\n" * 100 + b"shop_key_***"


def test_the_capture_replays_and_no_key_is_in_what_clients_get(replayed: Replay) -> None:
    clients = [item.after.client for item in replayed(HERE) if item.after]

    assert [client and client.get(":status") for client in clients] == [b"200", b"200", b"502"]
    assert [client and client.body for client in clients[:2]] == [EVENTS, LOG]


@pytest.mark.envoy
async def test_a_real_envoy_sends_the_same() -> None:
    async with Gateway(load_chain(HERE / "chain.yaml"), upstream=upstream) as gateway:
        replies = await talk(gateway)

    assert [reply.status for reply in replies] == [200, 200, 502]
    assert [reply.content for reply in replies[:2]] == [EVENTS, LOG]


@pytest.mark.envoy
async def test_a_key_is_found_wherever_it_is_cut_and_what_is_none_stays() -> None:
    text, hidden = b"shop_key_no key: " + KEY + b" shop_k", b"shop_key_no key: shop_key_*** shop_k"
    async with Gateway(Chain([HideKeys()])) as gateway:
        for at in range(1, len(text)):
            gateway.upstream.answer = PlainReply(body=[text[:at], text[at:]])
            assert (await gateway.send("GET", "/")).content == hidden, at
