"""Observability mode, by the names of Envoy's own integration tests."""

from __future__ import annotations

from typing import Any

from extproc.envoy.model import Close, ExtProcConfig, PerRoute
from extproc.messages import Abort
from extproc.phases import BodyMode
from tests.envoy.answers import answer_now, say
from tests.envoy.moves import stepwise
from tests.envoy.scenario import (
    RQB,
    RQH,
    RSH,
    TRAILED_POST,
    TRAILED_REPLY,
    Scenario,
    config,
    on,
    post,
    reply,
)

_ERROR = Abort("INTERNAL", "failed")


def _observing(phases: str, body: BodyMode = BodyMode.STREAMED, **settings: Any) -> ExtProcConfig:
    return config(phases, body=body, observability_mode=True, **settings)


_ALL = _observing("all")
_NOBODY = PerRoute(grpc_service="nobody")

SCENARIOS = [
    Scenario("ObservabilityModeWithHeader", _observing("headers"), on(RQH, say(RQH, ("x-n", b"1")))),
    Scenario("ObservabilityModeWithBody", _observing("bodies"), {RQB: [say(RQB, body=b"new")]}, post(), reply()),
    *(
        Scenario(
            f"ObservabilityModeWithWrongBodyMode-{mode.name.lower()}", _observing("bodies", mode), {}, post(), reply()
        )
        for mode in (BodyMode.BUFFERED, BodyMode.BUFFERED_PARTIAL)
    ),
    Scenario("ObservabilityModeWithTrailer", _observing("trailers"), {}, TRAILED_POST, TRAILED_REPLY),
    Scenario("ObservabilityModeWithFullRequest", _ALL, {}, TRAILED_POST),
    Scenario("ObservabilityModeWithFullRequest-stepwise", _ALL, {}, TRAILED_POST, moves=stepwise(3, 2)),
    Scenario("ObservabilityModeWithFullResponse", _ALL, {}, response=TRAILED_REPLY, moves=stepwise(1, 3)),
    Scenario(
        "ObservabilityModeWithFullRequestAndTimeout",
        _observing("all", timeout=0.05),
        {phase: [] for phase in (RQH, RQB, RSH)},
        TRAILED_POST,
        moves=stepwise(3, 2),
    ),
    Scenario("ObservabilityModeWithLogging", _ALL),
    Scenario("ObservabilityModeWithLoggingFailStream", _ALL, on(RQH, _ERROR), post(), moves=stepwise(2, 2)),
    Scenario(
        "ObservabilityModeWithLoggingFailStream-open",
        _observing("all", failure_mode_allow=True),
        on(RQH, _ERROR),
        post(),
        moves=stepwise(2, 2),
    ),
    Scenario("ObservabilityModeFailsOnResponse", _ALL, on(RSH, _ERROR), moves=stepwise(1, 2)),
    Scenario("ObservabilityModeWithLoggingCloseStream", _ALL, on(RQH, Close()), post(), moves=stepwise(2, 2)),
    Scenario("ObservabilityModeImmediate", _ALL, on(RQH, answer_now(403, body=b"no")), post(), moves=stepwise(2, 2)),
    Scenario(
        "InvalidServerOnResponseInObservabilityMode",
        _observing("response_headers", per_route=(_NOBODY,)),
    ),
    Scenario("InvalidServerInObservabilityMode", _observing("request_headers", per_route=(_NOBODY,))),
    Scenario(
        "InvalidServerInObservabilityMode-open",
        _observing("request_headers", per_route=(_NOBODY,), failure_mode_allow=True),
    ),
]

NOT_HERE: dict[str, str] = {}
