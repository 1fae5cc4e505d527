from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from examples.mask_personal_data.mask_personal_data import MaskPersonalData
from examples.mask_personal_data.record import CUSTOMER, talk, upstream
from extproc import Chain
from extproc.config import load_chain
from extproc.envoy.plain_http import PlainReply
from extproc.testing import Gateway

if TYPE_CHECKING:
    from examples.conftest import Replay

HERE = Path(__file__).parent
MASKED = b'{"id": 7, "mail": "***@shop.example", "card": "************1111", "note": "old: ************1111"}'
JSON = [(b"content-type", b"application/problem+json")]


def test_the_capture_replays_and_no_personal_data_is_in_what_clients_get(replayed: Replay) -> None:
    clients = [item.after.client for item in replayed(HERE) if item.after]

    assert [client and client.get(":status") for client in clients] == [b"200", b"200", b"502", b"200", b"200"]
    for client in clients[:2]:
        assert client is not None
        assert (client.body, client.get("content-length")) == (MASKED, str(len(MASKED)).encode())
    assert clients[2] is not None
    assert b"shop.example" not in clients[2].body


@pytest.mark.envoy
async def test_a_real_envoy_sends_the_same_and_the_length_is_right() -> None:
    async with Gateway(load_chain(HERE / "chain.yaml"), upstream=upstream) as gateway:
        replies = await talk(gateway)

    assert [reply.status for reply in replies] == [200, 200, 502, 200, 200]
    assert [reply.content for reply in replies if reply.status == 200] == [MASKED, MASKED, CUSTOMER, CUSTOMER]
    assert all(reply.value("content-length") == str(len(reply.content)).encode() for reply in replies)
    assert [reply.value("etag") for reply in replies] == [None, None, None, b'"7-1"', b'"7-1"']


@pytest.mark.envoy
async def test_masks_what_is_personal_and_nothing_else() -> None:
    table = {
        '{"a": 1.0, "b" : "x"}': '{"a": 1.0, "b" : "x"}',
        '["\\u0061nn.o\'neil+shop@shop.example, bob@x.co"]': '["***@shop.example, ***@x.co"]',
        '{"ann@shop.example": true}': '{"***@shop.example": true}',
        '"4111-1111-1111-1111 and 3782 822463 10005"': '"************1111 and ***********0005"',
        "[4111111111111111, 4111111111111112]": '["************1111", 4111111111111112]',
        "[-4111111111111111, 4111111111111111.5]": "[-4111111111111111, 4111111111111111.5]",
        "ann@shop.example": '{"error": "bad gateway"}',
        "": "",
    }
    async with Gateway(Chain([MaskPersonalData()])) as gateway:
        for body, expected in table.items():
            gateway.upstream.answer = PlainReply(headers=JSON, body=[body.encode()])
            assert (await gateway.send("GET", "/")).content.decode() == expected
