"""Which order of messages Envoy takes, by the names of its own unit tests."""

from __future__ import annotations

from typing import Any

from extproc.envoy.model import Close, ExtProcConfig, PerRoute
from extproc.messages import Abort
from extproc.phases import BodyMode
from extproc.wire.ext_proc_pb2 import ProcessingResponse
from tests.envoy.answers import answer_now, unchanged
from tests.envoy.moves import ALL_PARTS, Reply, Say, Send, Wait, stepwise
from tests.envoy.scenario import (
    ALL,
    BODIES,
    HEADERS,
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
    split,
)

_FAILURE = Abort("INTERNAL", "failed")
_CHUNKS = split(reply(body=b"onetwosix", chunked=True), 3)
_NOBODY = PerRoute(grpc_service="nobody")
_STREAMED, _PARTIAL = BodyMode.STREAMED, BodyMode.BUFFERED_PARTIAL
_STARTS: dict[str, tuple[str, BodyMode]] = {
    "RequestHeaders": ("request_headers", _STREAMED),
    "RequestBody": ("request_body", BodyMode.BUFFERED),
    "RequestBodyBufferedPartial": ("request_body", _PARTIAL),
    "RequestBodyStreaming": ("request_body", _STREAMED),
    "ResponseHeaders": ("response_headers", _STREAMED),
    "ResponseBody": ("response_body", BodyMode.BUFFERED),
    "ResponseBodyBufferedPartial": ("response_body", _PARTIAL),
    "ResponseBodyStreaming": ("response_body", _STREAMED),
    "ResponseTrailers": ("response_trailers", _STREAMED),
}


def _unreachable(phases: str, body: BodyMode, **settings: Any) -> ExtProcConfig:
    return config(phases, body=body, per_route=(_NOBODY,), **settings)


SCENARIOS = [
    Scenario("TotallyInvalidResponse", HEADERS, on(RQH, ProcessingResponse())),
    Scenario("DefaultOrderingGet", HEADERS, moves=stepwise(1, 2)),
    Scenario("DefaultOrderingHeadersBody", BODIES, {}, post(), moves=stepwise(2, 2)),
    Scenario("DefaultOrderingEverything", ALL, {}, TRAILED_POST, TRAILED_REPLY, moves=stepwise(3, 3)),
    Scenario(
        "DefaultOrderingAllCallbacksInterleaved",
        config("all", body=_STREAMED),
        {},
        TRAILED_POST,
        TRAILED_REPLY,
        moves=(Send(), Reply(1, early=True), Send(), Reply(1, early=True), Send(), Reply()),
    ),
    Scenario(
        "DefaultOrderingAllCallbacksInterleaved-unanswered",
        config("all", body=_STREAMED),
        {RQB: [], RSH: []},
        TRAILED_POST,
        TRAILED_REPLY,
        moves=(
            Send(),
            Send(),
            Reply(1, early=True),
            Say((unchanged(RSH),)),
            Reply(1, early=True),
            Say((unchanged(RQB),)),
            Send(),
            Reply(),
        ),
    ),
    Scenario(
        "ResponseAllDataComesFast",
        BODIES,
        {RSH: []},
        response=_CHUNKS,
        moves=(Send(), Reply(4), Say((unchanged(RSH),))),
    ),
    Scenario(
        "ResponseSomeDataComesFast",
        BODIES,
        {RSH: []},
        response=_CHUNKS,
        moves=(Send(), Reply(2), Say((unchanged(RSH),)), Reply(), Reply()),
    ),
    Scenario(
        "ProcessingModeRequestTrailers", config("headers request_trailers"), {}, TRAILED_POST, moves=stepwise(3, 2)
    ),
    Scenario("ImmediateResponseOnRequest", HEADERS, on(RQH, answer_now(500))),
    Scenario("ImmediateResponseOnResponse", HEADERS, on(RSH, answer_now(500))),
    Scenario("IncorrectRequestHeadersReply", HEADERS, on(RQH, unchanged(RSH))),
    Scenario("IncorrectRequestHeadersReply2", HEADERS, on(RQH, unchanged(RQB))),
    Scenario("IncorrectRequestBodyReply", BODIES, on(RQB, unchanged(RQH)), post()),
    Scenario("IncorrectResponseHeadersReply", HEADERS, on(RSH, unchanged(RQH))),
    Scenario("ExtraReply", HEADERS, on(RQH, unchanged(RQH), unchanged(RQH))),
    Scenario("ExtraReply-later", HEADERS, moves=(Send(), Say((unchanged(RQH),)), Reply(ALL_PARTS))),
    Scenario("ExtraAfterImmediateResponse", HEADERS, on(RQH, answer_now(500), unchanged(RQH))),
    Scenario("GrpcErrorInline", HEADERS, on(RQH, _FAILURE)),
    Scenario("GrpcErrorInlineIgnored", config(failure_mode_allow=True), on(RQH, _FAILURE)),
    Scenario("GrpcErrorOutOfLine", HEADERS, moves=(Send(), Say((_FAILURE,)), Reply(ALL_PARTS))),
    Scenario("GrpcCloseAfter", HEADERS, moves=(Send(), Say((Close(),)), Reply(ALL_PARTS))),
    Scenario(
        "GrpcErrorAfterTimeout",
        config(timeout=0.05),
        {RQH: []},
        moves=(Send(), Wait(), Say((_FAILURE,)), Reply(ALL_PARTS)),
    ),
    *(
        Scenario(
            f"FastFail-GrpcErrorOnStart{name}{how}{seen}",
            _unreachable(phases, body, **open_, **observing),
            {},
            TRAILED_POST,
            TRAILED_REPLY,
        )
        for name, (phases, body) in _STARTS.items()
        for how, open_ in {"": {}, "-ignored": {"failure_mode_allow": True}}.items()
        for seen, observing in {"": {}, "-observability": {"observability_mode": True}}.items()
        if not seen or (body is _STREAMED and (how or phases.startswith("response")))
    ),
]

NOT_HERE = {
    "DefaultOrderingGetWithTimer": "its timer does not fire; the exchange is DefaultOrderingGet",
}
