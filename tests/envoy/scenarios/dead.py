"""A processor that is not there, or no more: nobody listens, or it is killed with an exchange under way."""

from __future__ import annotations

from collections.abc import Iterator

from extproc.envoy.model import ExtProcConfig, Lost, PerRoute
from extproc.phases import BodyMode, Part, Phase
from tests.envoy.answers import answer_now, stream
from tests.envoy.moves import ALL_PARTS, Reply, Say, Send, stepwise, whole
from tests.envoy.scenario import (
    RQB,
    RQH,
    RSB,
    TRAILED_POST,
    TRAILED_REPLY,
    Scenario,
    Script,
    Second,
    config,
    get,
    post,
    reply,
    split,
    turns,
)

_DUPLEX = BodyMode.FULL_DUPLEX_STREAMED
_MODES = (BodyMode.NONE, BodyMode.BUFFERED, BodyMode.STREAMED, BodyMode.BUFFERED_PARTIAL, _DUPLEX)
_NOBODY = PerRoute(grpc_service="nobody")
_POST, _REPLY = split(TRAILED_POST, 2), split(TRAILED_REPLY, 2)
_STEPS = stepwise(5, 5)
_HOW = {"shut": False, "open": True}


def _config(mode: BodyMode, *, allow: bool, per_route: tuple[PerRoute, ...] = ()) -> ExtProcConfig:
    return config("all", body=mode, failure_mode_allow=allow, per_route=per_route)


def _refused() -> Iterator[Scenario]:
    for mode in _MODES:
        for how, allow in _HOW.items():
            where = _config(mode, allow=allow, per_route=(_NOBODY,))
            name = f"refused-{mode.name.lower()}-{how}"
            yield Scenario(f"{name}-at-once", where, {}, _POST, _REPLY, moves=whole())
            yield Scenario(f"{name}-step-by-step", where, {}, _POST, _REPLY, moves=_STEPS)
            yield Scenario(f"{name}-get", where, {}, get(), reply())
            of_response = config(
                "response_headers response_body response_trailers",
                body=mode,
                failure_mode_allow=allow,
                per_route=(_NOBODY,),
            )
            yield Scenario(f"{name}-of-the-response", of_response, {}, get(), _REPLY, moves=stepwise(1, 5))


def _killed() -> Iterator[Scenario]:
    """In each phase: instead of an answer, after it, and, where bodies come in pieces, at a later one."""
    for mode in _MODES:
        for how, allow in _HOW.items():
            where = _config(mode, allow=allow)
            for phase in Phase:
                name = f"killed-{mode.name.lower()}-{phase.value}-{how}"
                yield Scenario(name, where, {phase: [Lost()]}, _POST, _REPLY, moves=_STEPS)
                if phase.part is Part.BODY and mode in (BodyMode.STREAMED, _DUPLEX):
                    late: Script = {phase: turns(None, [Lost()])}
                    yield Scenario(f"{name}-late", where, late, _POST, _REPLY, moves=_STEPS)
            yield Scenario(
                f"killed-{mode.name.lower()}-between-request-and-response-{how}",
                where,
                {},
                _POST,
                _REPLY,
                moves=(Send(ALL_PARTS), Say((Lost(),)), Reply(ALL_PARTS)),
            )


_LATE_POST = split(post(b"onetwosix", chunked=True), 3)

SCENARIOS = [
    *_refused(),
    *_killed(),
    *(
        Scenario(
            f"killed-full_duplex_streamed-{what}-{how}",
            _config(_DUPLEX, allow=allow),
            script,
            _LATE_POST,
            moves=(*[Send()] * sends, Say((Lost(),)), Send(ALL_PARTS), Reply(ALL_PARTS)),
        )
        for how, allow in _HOW.items()
        for what, script, sends in (
            ("headers-unanswered", {RQH: []}, 1),
            ("headers-unanswered-and-told-of-the-body", {RQH: [], RQB: []}, 2),
            ("before-the-body", {}, 1),
            ("pieces-unanswered", {RQB: []}, 3),
            ("some-pieces-out", {RQB: turns(None, [])}, 3),
            ("its-own-end-out", {RQB: turns([stream(RQB, b"all", end=True)], [], [])}, 4),
        )
    ),
    Scenario("killed-after-an-immediate-response", script={RQH: [answer_now(403)]}, moves=(Send(), Say((Lost(),)))),
    Scenario(
        "killed-when-it-has-nothing-more-to-say",
        response=_REPLY,
        moves=(Send(), Reply(), Say((Lost(),)), Reply(ALL_PARTS)),
    ),
    Scenario(
        "killed-observed",
        config("all", body=BodyMode.STREAMED, observability_mode=True),
        {RQB: [Lost()]},
        _POST,
        _REPLY,
        moves=_STEPS,
    ),
    *(
        Scenario(
            f"killed-the-{who}-of-two-{how}",
            _config(BodyMode.STREAMED, allow=allow),
            {RQB: [Lost()]} if who == "first" else {},
            _POST,
            _REPLY,
            moves=_STEPS,
            second=Second(_config(_DUPLEX, allow=allow), {RSB: [Lost()]} if who == "second" else {}),
        )
        for who in ("first", "second")
        for how, allow in _HOW.items()
    ),
]
