"""Immediate responses, by the names of Envoy's own integration tests."""

from __future__ import annotations

from extproc.envoy.model import MutationRules
from extproc.phases import BodyMode
from tests.envoy.answers import answer_now
from tests.envoy.moves import stepwise
from tests.envoy.scenario import (
    BODIES,
    HEADERS,
    RQB,
    RQH,
    RSB,
    RSH,
    Scenario,
    config,
    get,
    on,
    post,
    reply,
    split,
)

_DENIED = answer_now(401, ("x-failure-reason", b"testing"), body=b'{"reason": "Not authorized"}', details="Failed")
_STREAMED = config("headers bodies", body=BodyMode.STREAMED)
_PARTIAL = config("headers bodies", body=BodyMode.BUFFERED_PARTIAL)
_CHUNKS = split(reply(body=b"onetwosix", chunked=True), 3)
_POST = split(post(b"onetwosix", chunked=True), 3)

SCENARIOS = [
    Scenario("GetAndRespondImmediately", HEADERS, on(RQH, _DENIED), get()),
    Scenario(
        "GetAndRespondImmediatelyWithInvalidCharacter",
        HEADERS,
        on(RQH, answer_now(401, ("x-failure-reason\n", b"testing"), body=b"denied")),
    ),
    Scenario("GetAndRespondImmediatelyOnResponse", HEADERS, on(RSH, _DENIED)),
    Scenario(
        "GetAndRespondImmediatelyOnStreamedRequestBody",
        _STREAMED,
        on(RQB, answer_now(400, body=b"bad")),
        _POST,
        moves=stepwise(4, 2),
    ),
    Scenario(
        "GetAndRespondImmediatelyOnStreamedResponseBody",
        _STREAMED,
        on(RSB, answer_now(400, body=b"bad")),
        response=_CHUNKS,
        moves=stepwise(1, 4),
    ),
    Scenario("GetAndRespondImmediatelyOnRequestBody", BODIES, on(RQB, _DENIED), post()),
    Scenario("GetAndRespondImmediatelyOnResponseBody", BODIES, on(RSB, _DENIED), response=reply(body=b"hello")),
    Scenario(
        "GetAndRespondImmediatelyOnResponseBodyBufferedPartial",
        _PARTIAL,
        on(RSB, _DENIED),
        response=reply(body=b"hello"),
    ),
    Scenario(
        "GetAndRespondImmediatelyOnChunkedResponseBody",
        BODIES,
        on(RSB, _DENIED),
        response=_CHUNKS,
        moves=stepwise(1, 4),
    ),
    Scenario(
        "GetAndRespondImmediatelyOnChunkedResponseBodyBufferedPartial",
        _PARTIAL,
        on(RSB, _DENIED),
        response=_CHUNKS,
        moves=stepwise(1, 4),
    ),
    Scenario("GetAndRespondImmediatelyWithBadStatus", HEADERS, on(RQH, answer_now(100, body=b"Continue"))),
    Scenario(
        "GetAndRespondImmediatelyWithSystemHeaderMutation",
        HEADERS,
        on(RQH, answer_now(401, (":foo", b"1"), ("x-a", b"1"))),
    ),
    Scenario(
        "GetAndRespondImmediatelyWithEnvoyHeaderMutation", HEADERS, on(RQH, answer_now(401, ("x-envoy-foo", b"bar")))
    ),
    Scenario(
        "GetAndImmediateRespondMutationAllowEnvoy",
        config(rules=MutationRules(allow_envoy=True)),
        on(RQH, answer_now(401, ("x-envoy-foo", b"bar"), ("host", b"a"))),
    ),
]

NOT_HERE = {
    "GetAndRespondImmediatelyGracefulClose": "a runtime guard that is off by default",
    "GetAndRespondImmediatelyGracefulCloseNoServerTrailers": "a runtime guard that is off by default",
    "GetAndRespondImmediatelyWithLogging": "what it checks is a test filter's log; see GetAndRespondImmediately",
}
