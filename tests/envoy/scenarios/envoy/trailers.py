"""Trailers, by the names of Envoy's own integration tests."""

from __future__ import annotations

from extproc.envoy.model import HeaderMode, ModeOverride
from extproc.phases import BodyMode
from tests.envoy.answers import beside, say, unchanged
from tests.envoy.moves import stepwise
from tests.envoy.scenario import (
    RQH,
    RQT,
    RST,
    TRAILED_POST,
    TRAILED_REPLY,
    Scenario,
    config,
    on,
    post,
    reply,
)

_ALL = config("all", allow_mode_override=True)
_HEADERS = config(allow_mode_override=True)
_NONE = ModeOverride(request_trailers=HeaderMode.SKIP, response_trailers=HeaderMode.SKIP)
_TRAILERS = ModeOverride(request_trailers=HeaderMode.SEND, response_trailers=HeaderMode.SEND)

SCENARIOS = [
    Scenario("NoTrailersOnResponseWithModeSendHeaderTrailer", config("headers trailers"), {}, post(), reply()),
    Scenario(
        "NoTrailersOnResponseWithModeSendBodyTrailer", config("bodies trailers"), {}, post(), reply(body=b"hello")
    ),
    Scenario("SkipHeaderSendTrailerInBufferedMode", config("bodies trailers"), {}, TRAILED_POST, TRAILED_REPLY),
    Scenario(
        "ClientSendHeaderTrailerFilterConfigedSendAll",
        config("all"),
        on(RQT, say(RQT, ("x-added", b"1"))),
        post(b"", trailers=[("x-t", b"1")]),
    ),
    Scenario(
        "ClientNoTrailerProcessingModeSendTrailer",
        config("request_headers request_trailers", body=BodyMode.STREAMED),
        {},
        post(),
    ),
    Scenario(
        "SkipHeaderTrailerSendBodyClientSendAll",
        config("bodies", body=BodyMode.STREAMED),
        {},
        TRAILED_POST,
        TRAILED_REPLY,
    ),
    Scenario(
        "SendBodyBufferedPartialWithTrailer",
        config("all", body=BodyMode.BUFFERED_PARTIAL),
        {RQT: [say(RQT, ("x-a", b"1"))], RST: [say(RST, ("x-a", b"1"))]},
        TRAILED_POST,
        TRAILED_REPLY,
    ),
    Scenario(
        "SendBodyBufferedPartialWithTrailer-stepwise",
        config("all", body=BodyMode.BUFFERED_PARTIAL),
        {},
        TRAILED_POST,
        TRAILED_REPLY,
        moves=stepwise(3, 3),
    ),
    Scenario("TrailersSwitchedOff", _ALL, on(RQH, beside(unchanged(RQH), mode=_NONE)), TRAILED_POST, TRAILED_REPLY),
    Scenario(
        "TrailersSwitchedOn", _HEADERS, on(RQH, beside(unchanged(RQH), mode=_TRAILERS)), TRAILED_POST, TRAILED_REPLY
    ),
]

NOT_HERE: dict[str, str] = {}
