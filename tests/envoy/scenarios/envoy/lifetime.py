"""How a stream to the processor ends, by the names of Envoy's own integration tests."""

from __future__ import annotations

from extproc.envoy.model import Close, PerRoute
from extproc.messages import Abort
from extproc.phases import BodyMode
from tests.envoy.answers import unchanged
from tests.envoy.moves import Reply, Say, Send, stepwise
from tests.envoy.scenario import HEADERS, RQB, RQH, RSH, Scenario, config, on, post, split

_FAILURE = Abort("INTERNAL", "failed")
_REQUEST = config("request_headers")
_STREAMED = config("request_headers request_body", body=BodyMode.STREAMED)
_NOBODY = PerRoute(grpc_service="nobody")

SCENARIOS = [
    Scenario("GetAndCloseStream", HEADERS, on(RQH, Close())),
    Scenario("GetAndCloseStreamOnResponse", HEADERS, on(RSH, Close())),
    Scenario("GetAndFailStream", HEADERS, on(RQH, _FAILURE)),
    Scenario("GetAndFailStreamOnResponse", HEADERS, on(RSH, _FAILURE)),
    Scenario("GetAndFailStreamOutOfLine", HEADERS, moves=(Send(), Say((_FAILURE,)), Reply(2))),
    Scenario("GetAndFailStreamOutOfLineLater", HEADERS, moves=(Send(), Reply(), Say((_FAILURE,)), Reply())),
    Scenario("GetAndFailStreamWithInvalidServer", config(per_route=(_NOBODY,))),
    Scenario("GetAndFailStreamWithInvalidServerOnResponse", config("response_headers", per_route=(_NOBODY,))),
    Scenario(
        "GetAndFailStreamWithInvalidServer-open", config(per_route=(_NOBODY,), failure_mode_allow=True), request=post()
    ),
    Scenario("OnlyRequestHeadersResetOnServerMessage", _REQUEST),
    Scenario("OnlyRequestHeadersServerHalfClosesFirst", _REQUEST, on(RQH, unchanged(RQH), Close())),
    Scenario(
        "ServerHalfClosesAfterHeaders",
        _STREAMED,
        on(RQH, unchanged(RQH), Close()),
        post(b"one", chunked=True),
        moves=stepwise(2, 2),
    ),
    Scenario(
        "ServerHalfClosesDuringBody",
        _STREAMED,
        on(RQB, unchanged(RQB), Close()),
        split(post(b"onetwosix", chunked=True), 3),
        moves=stepwise(4, 2),
    ),
]

NOT_HERE = {
    "GetAndCloseStreamWithTracing": "spans go to a tracer; the exchange is GetAndCloseStream",
    "GetAndFailStreamWithTracing": "spans go to a tracer; the exchange is GetAndFailStream",
    "GetAndFailStreamWithLogging": "what it checks is a test filter's log; the exchange is GetAndFailStream",
    "GetAndFailStreamWithUpstreamResetLogging": "a test filter's log; the exchange is GetAndFailStream",
    "OnlyRequestHeadersGracefulClose": "a runtime guard that is off by default",
}
