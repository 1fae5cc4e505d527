"""Timers, by the names of Envoy's own integration tests."""

from __future__ import annotations

from extproc.phases import BodyMode
from tests.envoy.answers import beside, more_time, say, unchanged
from tests.envoy.moves import ALL_PARTS, Leave, Move, Pass, Reply, Say, Send, Wait, waiting
from tests.envoy.scenario import RQB, RQH, RSB, RSH, Scenario, config, post, reply, turns

_SOON = 0.1
_LATER = 0.2
_SHUT = config(timeout=_SOON)
_OPEN = config(timeout=_SOON, failure_mode_allow=True)
_EXTENDABLE = config(timeout=_SOON, max_message_timeout=10.0)
_BODIES = config("headers bodies", timeout=_SOON)


def _asking(seconds: float, *then: Move) -> tuple[Move, ...]:
    """The processor asks for time, and then there is time."""
    return (Send(), Say((more_time(seconds),)), *then, Reply(ALL_PARTS))


SCENARIOS = [
    Scenario("RequestMessageTimeout", _SHUT, {RQH: []}, moves=waiting()),
    Scenario("ResponseMessageTimeout", _SHUT, {RSH: []}, moves=waiting(for_response=True)),
    Scenario("RequestMessageTimeoutIgnoreError", _OPEN, {RQH: []}, moves=waiting()),
    Scenario("ResponseMessageTimeoutIgnoreError", _OPEN, {RSH: []}, moves=waiting(for_response=True)),
    Scenario("ResponseMessageTimeoutDownstreamDisconnect", config(), {RSH: []}, moves=(Send(), Reply(), Leave())),
    Scenario("RequestMessageDownstreamDisconnect", config(), {RQH: []}, moves=(Send(), Leave())),
    Scenario(
        "RequestAndResponseMessageNewTimeoutWithHeaderMutation",
        _EXTENDABLE,
        {RQH: [], RSH: []},
        moves=(
            Send(),
            Say((more_time(5.0),)),
            Pass(_LATER),
            Say((say(RQH, ("x-n", b"1")),)),
            Reply(ALL_PARTS),
            Say((more_time(5.0),)),
            Pass(_LATER),
            Say((say(RSH, ("x-n", b"1")),)),
        ),
    ),
    Scenario(
        "RequestMessageNewTimeoutNoMutation",
        _EXTENDABLE,
        {RQH: []},
        moves=_asking(5.0, Pass(_LATER), Say((unchanged(RQH),))),
    ),
    Scenario(
        "RequestMessageNoMutationMultipleNewTimeout",
        _EXTENDABLE,
        {RQH: []},
        moves=_asking(_LATER, Say((more_time(5.0),)), Wait()),
    ),
    Scenario(
        "RequestMessageNewTimeoutNegativeTestTimeoutTooSmall",
        _EXTENDABLE,
        {RQH: []},
        moves=_asking(0.0005, Wait()),
    ),
    Scenario(
        "RequestMessageNewTimeoutNegativeTestTooBigWithSmallMax",
        config(timeout=_SOON, max_message_timeout=1.0),
        {RQH: []},
        moves=_asking(5.0, Wait()),
    ),
    Scenario(
        "RequestMessageNewTimeoutNegativeTestTimeoutNotAcceptedDefaultMax",
        _SHUT,
        {RQH: []},
        moves=_asking(5.0, Wait()),
    ),
    Scenario("RequestMessageNewTimeoutOutOfBounds", _EXTENDABLE, {RQH: []}, moves=_asking(1e11, Wait())),
    Scenario(
        "NewTimeoutTogetherWithAnAnswer",
        _EXTENDABLE,
        {RQH: [beside(say(RQH, ("x-n", b"1")), timeout=5.0)]},
        moves=(Send(), Pass(_LATER), Say((unchanged(RQH),)), Reply(ALL_PARTS)),
    ),
    Scenario(
        "NewTimeoutForEachMessage",
        config("headers bodies", timeout=_SOON, max_message_timeout=10.0),
        {RQH: turns([more_time(5.0), unchanged(RQH)]), RQB: []},
        post(),
        moves=(Send(ALL_PARTS), Say((more_time(5.0),)), Pass(_LATER), Say((unchanged(RQB),)), Reply(ALL_PARTS)),
    ),
    Scenario(
        "ServerWaitTooLongBeforeSendRespDuplexStreamed",
        config("all", body=BodyMode.FULL_DUPLEX_STREAMED, timeout=_SOON, stream_idle_timeout=0.3),
        {RQB: []},
        post(),
        moves=waiting(),
    ),
    *(
        Scenario(
            f"idle-with-an-early-response-unanswered-and-the-request-{what}",
            config("all", body=BodyMode.FULL_DUPLEX_STREAMED, stream_idle_timeout=0.3),
            {RSH: []},
            post(chunked=True),
            reply(body=b""),
            moves=(Send(), Reply(early=True), *ends, Wait()),
        )
        for what, ends in {"here": (Send(ALL_PARTS),), "unfinished": ()}.items()
    ),
    Scenario("TimeoutOnRequestBody", _BODIES, {RQB: []}, post(), moves=waiting()),
    Scenario(
        "TimeoutOnResponseBody", _BODIES, {RSB: []}, response=reply(body=b"hello"), moves=waiting(for_response=True)
    ),
    Scenario(
        "StatusOnError-MessageTimeoutReturnsGatewayTimeout",
        config(timeout=_SOON, status_on_error=503),
        {RQH: []},
        moves=waiting(),
    ),
]

NOT_HERE = {
    "RequestMessageTimeoutWithTracing": "spans go to a tracer; the exchange is RequestMessageTimeout",
    "RequestMessageTimeoutWithLogging": "what it checks is a test filter's log; see RequestMessageTimeout",
    "ResponseMessageTimeoutWithLogging": "what it checks is a test filter's log; see ResponseMessageTimeout",
}
