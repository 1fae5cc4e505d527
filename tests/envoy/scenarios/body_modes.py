"""Answers and body modes that do not suit each other, and bodies larger than the buffer limit that are not held."""

from __future__ import annotations

from typing import Any

from extproc.envoy.model import Close
from extproc.phases import BodyMode
from extproc.wire.ext_proc_pb2 import ProcessingResponse
from tests.envoy.answers import say, stream, unchanged
from tests.envoy.moves import ALL_PARTS, Reply, Say, Send, Wait, stepwise
from tests.envoy.scenario import RQB, RQH, RSB, Scenario, config, post, reply, split

_MODES = [mode for mode in BodyMode if mode is not BodyMode.FULL_DUPLEX_STREAMED]
_FRAMINGS = {"counted": post(b"aaa"), "chunked": post(b"aaa", chunked=True)}
_ANSWERS: dict[str, list[ProcessingResponse | Close]] = {
    "a-piece": [stream(RQB, b"new")],
    "a-last-piece": [stream(RQB, b"newer", end=True)],
    "no-change": [unchanged(RQB)],
    "a-body-as-long": [say(RQB, body=b"new")],
    "a-longer-body": [say(RQB, body=b"newer")],
    "hanging-up": [Close()],
}
_SMALL = 1024
_LARGE = split(post(b"a" * 2100, chunked=True), 700)
_LARGE_REPLY = split(reply(body=b"b" * 2100, chunked=True), 700)


def _small(mode: BodyMode) -> Any:
    return config("headers bodies", body=mode, buffer_limit=_SMALL)


def _name(mode: BodyMode) -> str:
    return mode.name.lower().replace("_", "-")


SCENARIOS = [
    *(
        Scenario(
            f"whole-body-{_name(mode)}-{framing}-answered-by-{what}", config("all", body=mode), {RQB: actions}, request
        )
        for mode in _MODES
        for framing, request in _FRAMINGS.items()
        for what, actions in _ANSWERS.items()
    ),
    *(
        Scenario(
            f"body-piece-by-piece-{_name(mode)}-{what}",
            config(phases, body=mode),
            {},
            split(post(b"aaabbb", chunked=True, trailers=[("x-t", b"1")]), 3),
            split(reply(body=b"aaabbb", trailers=[("x-t", b"1")]), 3),
            moves=stepwise(4, 4),
        )
        for mode in _MODES
        for what, phases in {
            "everything": "all",
            "no-headers": "bodies trailers",
            "no-trailers": "headers bodies",
        }.items()
    ),
    Scenario(
        "grpc-body-is-not-waited-for",
        config("all", body=BodyMode.GRPC, timeout=0.1),
        {RQB: []},
        post(),
        moves=(Send(ALL_PARTS), Wait()),
    ),
    # Bodies over the buffer limit
    *(
        Scenario(f"over-the-limit-{_name(mode)}-{how}", _small(mode), {}, _LARGE, _LARGE_REPLY, moves=moves)
        for mode in (BodyMode.NONE, BodyMode.STREAMED, BodyMode.BUFFERED_PARTIAL)
        for how, moves in {"piece-by-piece": stepwise(4, 4), "at-once": (Send(ALL_PARTS), Reply(ALL_PARTS))}.items()
    ),
    Scenario(
        "over-the-limit-the-client-is-stopped",
        _small(BodyMode.STREAMED),
        {RQB: []},
        _LARGE,
        moves=(Send(), Send(), Send(), Send(), Say((unchanged(RQB),)), Say((unchanged(RQB),)), Say((unchanged(RQB),))),
    ),
    Scenario(
        "over-the-limit-partial-changes-what-it-saw",
        _small(BodyMode.BUFFERED_PARTIAL),
        {RQB: [say(RQB, ("x-n", b"1"), body=b"new")], RSB: [say(RSB, ("x-n", b"1"), body=b"new")]},
        _LARGE,
        _LARGE_REPLY,
        moves=stepwise(4, 4),
    ),
    Scenario(
        "content-length-set-where-it-cannot-be-kept",
        config("headers bodies", body=BodyMode.STREAMED),
        {RQH: [say(RQH, ("content-length", b"3"), ("x-n", b"1"))]},
        post(),
    ),
    *(
        Scenario(
            f"content-length-kept-{_name(mode)}",
            config("headers bodies", body=mode, allow_content_length_header=True),
            {},
            post(),
            reply(body=b"hello"),
        )
        for mode in (BodyMode.STREAMED, BodyMode.BUFFERED_PARTIAL)
    ),
]
