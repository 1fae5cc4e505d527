"""Clients and upstreams that go away, before anything, in the middle, and near the end."""

from __future__ import annotations

from extproc.phases import BodyMode
from tests.envoy.moves import ALL_PARTS, Leave, Reply, Send
from tests.envoy.scenario import RQB, RQH, RSB, RSH, TRAILED_POST, TRAILED_REPLY, Scenario, config, post, split

_MODES = (
    BodyMode.NONE,
    BodyMode.STREAMED,
    BodyMode.BUFFERED,
    BodyMode.BUFFERED_PARTIAL,
    BodyMode.FULL_DUPLEX_STREAMED,
)
_POST, _REPLY = split(TRAILED_POST, 3), split(TRAILED_REPLY, 3)
_UPSTREAM = Leave(upstream=True)

_LEAVING = {
    "client-leaves-after-the-headers": (Send(), Leave()),
    "client-leaves-in-the-body": (Send(), Send(), Leave()),
    "client-leaves-before-the-response": (Send(ALL_PARTS), Leave()),
    "client-leaves-after-the-response-headers": (Send(ALL_PARTS), Reply(), Leave(), Reply(ALL_PARTS)),
    "client-leaves-in-the-response-body": (Send(ALL_PARTS), Reply(), Reply(), Leave(), Reply(ALL_PARTS)),
    "upstream-leaves-before-its-response": (Send(ALL_PARTS), _UPSTREAM),
    "upstream-leaves-after-its-headers": (Send(ALL_PARTS), Reply(), _UPSTREAM),
    "upstream-leaves-in-its-body": (Send(ALL_PARTS), Reply(), Reply(), _UPSTREAM),
    "upstream-leaves-in-the-request": (Send(), Send(), _UPSTREAM, Send(ALL_PARTS)),
    "upstream-replies-and-the-request-goes-on": (Send(), Send(), Reply(ALL_PARTS, early=True), Send(ALL_PARTS)),
    "upstream-begins-early": (Send(), Reply(2, early=True), Send(ALL_PARTS), Reply(ALL_PARTS)),
}

SCENARIOS = [
    Scenario(
        "upstream-leaves-and-the-reply-is-over-the-limit",
        config("request_headers response_body", buffer_limit=5),
        request=post(chunked=True),
        moves=(Send(ALL_PARTS), _UPSTREAM),
    ),
    *(
        Scenario(f"{what}-{mode.name.lower()}", config("all", body=mode), {}, _POST, _REPLY, moves=moves)
        for mode in _MODES
        for what, moves in _LEAVING.items()
    ),
    *(
        Scenario(f"client-leaves-while-{phase.value}-waits", config("all"), {phase: []}, _POST, _REPLY, moves=moves)
        for phase, moves in {
            RQH: (Send(ALL_PARTS), Leave()),
            RQB: (Send(ALL_PARTS), Leave()),
            RSH: (Send(ALL_PARTS), Reply(ALL_PARTS), Leave()),
            RSB: (Send(ALL_PARTS), Reply(ALL_PARTS), Leave()),
        }.items()
    ),
    *(
        Scenario(f"upstream-leaves-while-{phase.value}-waits", config("all"), {phase: []}, _POST, _REPLY, moves=moves)
        for phase, moves in {
            RQH: (Send(ALL_PARTS), _UPSTREAM),
            RSH: (Send(ALL_PARTS), Reply(2), _UPSTREAM),
            RSB: (Send(ALL_PARTS), Reply(ALL_PARTS), _UPSTREAM),
        }.items()
    ),
]
