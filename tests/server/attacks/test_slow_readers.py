"""Peers that do not take their answers off the socket."""

from __future__ import annotations

import pytest

from extproc.server.native import Http2Limits, Rate
from tests.server.attacks.bystander import bystander
from tests.server.conftest import body_message, headers_message
from tests.server.raw.frames import (
    DEFAULT_FRAME_SIZE,
    HIGHEST_WINDOW,
    Setting,
    data,
    ping,
    priority,
    settings,
    window_update,
)
from tests.server.raw.peer import greeted
from tests.server.raw.requests import call, message
from tests.server.raw.serving import serving

_ANY = Rate(burst=1_000_000_000, per_second=0)
_BODY = message(body_message(b"a" * 8_000_000).SerializeToString())
_LONG_ANSWER = b"".join(
    [
        window_update(0, HIGHEST_WINDOW >> 1),
        call(1),
        data(1, message(headers_message(end_of_stream=False).SerializeToString())),
        *(data(1, _BODY[start : start + DEFAULT_FRAME_SIZE]) for start in range(0, len(_BODY), DEFAULT_FRAME_SIZE)),
    ]
)


@pytest.mark.parametrize(
    ("limits", "asked", "over_and_over", "counter"),
    [
        (Http2Limits(pings=_ANY, control_bytes=1 << 16), b"", ping() * 1000, "limit.control_bytes"),
        (Http2Limits(settings=_ANY, control_bytes=1 << 16), b"", settings() * 1000, "limit.control_bytes"),
        (Http2Limits(priorities=_ANY, stalled=0.05, stream_window=1 << 24), _LONG_ANSWER, priority(3), "limit.stalled"),
    ],
    ids=["PING", "SETTINGS", "a long answer"],
)
async def test_unread_answers_do_not_pile_up(
    limits: Http2Limits, asked: bytes, over_and_over: bytes, counter: str
) -> None:
    """CVE-2019-9511, -9517 and others."""
    announced = (Setting.INITIAL_WINDOW_SIZE, HIGHEST_WINDOW)
    async with serving(http2=limits) as front, bystander(front.addresses[0]) as client:
        async with greeted(front.addresses[0], announced, receive_buffer=4096) as peer:
            peer.send(asked)
            await client.is_served_during(peer.sends_unread(over_and_over))
        assert front.counters[counter] == 1
