"""Modes, routes, metadata and attributes, by the names of Envoy's own integration tests."""

from __future__ import annotations

from extproc.envoy.model import Context, HeaderMode, MetadataOptions, ModeOverride, Namespaces, PerRoute, ProcessingMode
from extproc.messages import Abort
from extproc.phases import BodyMode
from tests.envoy.answers import beside, say, stream, unchanged
from tests.envoy.listeners import GIVEN
from tests.envoy.moves import ALL_PARTS, Reply, Say, Send, stepwise
from tests.envoy.scenario import (
    ALL,
    HEADERS,
    RQB,
    RQH,
    RSB,
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

_NOTHING = ProcessingMode(request_headers=False, response_headers=False)
_REQUEST_ONLY = ProcessingMode(response_headers=False)
_BUFFERED = ProcessingMode(request_body=BodyMode.BUFFERED)
_STREAMED_REQUEST = ProcessingMode(request_body=BodyMode.STREAMED)
_SKIP_RESPONSE = ModeOverride(response_headers=HeaderMode.SKIP)
_SEND_BODIES = ModeOverride(request_body=BodyMode.BUFFERED, response_body=BodyMode.BUFFERED)
_DUPLEX = ModeOverride(
    request_headers=HeaderMode.SEND, request_body=BodyMode.FULL_DUPLEX_STREAMED, request_trailers=HeaderMode.SEND
)
_FORWARDED = MetadataOptions(forwarding=Namespaces(untyped=("given",)), receiving=Namespaces(untyped=("told",)))
_ASKED = ("request.path", "request.method", "request.scheme", "request.host")
_REQUEST_ATTRIBUTES = {"request.path": "/a", "request.method": "GET", "request.scheme": "http", "request.host": "ex"}
_ATTRIBUTED = config(request_attributes=_ASKED, response_attributes=("response.code", "response.size"))
_ERROR = on(RQH, Abort("INTERNAL", "failed"))
_TOLD = {"told": {"who": "bert"}, "other": {"who": "carl"}}


def _overriding(name: str, mode: ModeOverride, *allowed: ModeOverride, phases: str = "headers") -> Scenario:
    return Scenario(
        name,
        config(phases, allow_mode_override=True, allowed_override_modes=allowed),
        on(RQH, beside(unchanged(RQH), mode=mode)),
        post(),
        reply(body=b"hello"),
    )


SCENARIOS = [
    Scenario("PerRouteProcessingMode", config("all", per_route=(PerRoute(mode=_REQUEST_ONLY),))),
    Scenario(
        "PerRouteAndHostProcessingMode",
        config("all", per_route=(PerRoute(mode=_BUFFERED), PerRoute(mode=_REQUEST_ONLY))),
    ),
    Scenario("PerRouteDisable", config("all", per_route=(PerRoute(disabled=True),))),
    Scenario("PerHostDisable", config("all", per_route=(PerRoute(disabled=True), PerRoute()))),
    Scenario(
        "PerHostDisableAndRouteOverride", config("all", per_route=(PerRoute(disabled=True), PerRoute(mode=_BUFFERED)))
    ),
    Scenario("PerHostOverrideAndRouteDisable", config(per_route=(PerRoute(mode=_BUFFERED), PerRoute(disabled=True)))),
    Scenario("PerRouteGrpcService", config(per_route=(PerRoute(grpc_service="other-processor"),))),
    Scenario(
        "PerRouteGrpcMetadata",
        config(
            per_route=(
                PerRoute(grpc_initial_metadata=(("x-p-a", "host"), ("x-p-b", "host"))),
                PerRoute(grpc_initial_metadata=(("x-p-b", "route"), ("x-p-c", "route"))),
            )
        ),
    ),
    Scenario("PerRouteFailureModeAllow", config(per_route=(PerRoute(failure_mode_allow=True),)), _ERROR),
    Scenario(
        "PerRouteFailureModeShut",
        config(failure_mode_allow=True, per_route=(PerRoute(failure_mode_allow=False),)),
        _ERROR,
    ),
    Scenario(
        "PerRouteMetadataOptions",
        config(per_route=(PerRoute(metadata_options=_FORWARDED),)),
        on(RQH, beside(unchanged(RQH), metadata=_TOLD)),
        context=Context(metadata=GIVEN),
    ),
    _overriding("ModeOverrideAllowed", _SEND_BODIES),
    _overriding("ModeOverrideAllowed-skip-response", _SKIP_RESPONSE, phases="headers bodies"),
    Scenario("ModeOverrideDisallowed", HEADERS, on(RQH, beside(unchanged(RQH), mode=_SEND_BODIES)), post()),
    _overriding("ModeOverrideDisallowed-by-the-list", _SEND_BODIES, _SKIP_RESPONSE),
    _overriding("ModeOverrideAllowed-by-the-list", _SEND_BODIES, _SKIP_RESPONSE, _SEND_BODIES),
    _overriding(
        "RequestHeaderModeIgnoredInModeOverrideComparison",
        ModeOverride(HeaderMode.SKIP, request_body=BodyMode.BUFFERED),
        ModeOverride(HeaderMode.SEND, request_body=BodyMode.BUFFERED),
    ),
    Scenario(
        "ModeOverrideNoneToFullDuplex",
        config("request_headers", allow_mode_override=True),
        {
            RQH: [beside(unchanged(RQH), mode=_DUPLEX)],
            RQB: lambda m: [stream(RQB, m.body.upper(), end=m.end_of_stream)],
        },
        split(post(b"onetwo", chunked=True), 3),
        moves=stepwise(3, 2),
    ),
    Scenario(
        "NoneToFullDuplexMoreDataAfterModeOverride",
        config("request_headers", allow_mode_override=True),
        {RQH: [], RQB: lambda m: [stream(RQB, m.body.upper(), end=m.end_of_stream)]},
        split(post(b"onetwosix", chunked=True), 3),
        moves=(Send(), Send(), Say((beside(unchanged(RQH), mode=_DUPLEX),)), Send(), Send(), Reply(ALL_PARTS)),
    ),
    Scenario(
        "ProcessingModeResponseOnly",
        config("response_headers response_body"),
        on(RSB, say(RSB, ("content-length", b"3"), body=b"new")),
        post(),
    ),
    *(
        Scenario(
            f"ModeOverrideWhereTheRouteHasAMode-{own.name.lower()}",
            config("all", body=own, allow_mode_override=True, per_route=(PerRoute(mode=_STREAMED_REQUEST),)),
            on(RQH, beside(unchanged(RQH), mode=ModeOverride(request_body=BodyMode.BUFFERED))),
            split(post(b"onetwo", chunked=True), 3),
            moves=stepwise(3, 2),
        )
        for own in (BodyMode.FULL_DUPLEX_STREAMED, BodyMode.BUFFERED)
    ),
    Scenario(
        "ModeOverrideFromAResponseHeadersAnswer",
        config(allow_mode_override=True),
        on(RSH, beside(unchanged(RSH), mode=ModeOverride(response_body=BodyMode.BUFFERED))),
        response=reply(body=b"hello"),
    ),
    Scenario(
        "ModeOverrideFromABodyAnswer",
        config("headers bodies", allow_mode_override=True),
        on(RQB, beside(unchanged(RQB), mode=_SKIP_RESPONSE)),
        post(),
    ),
    Scenario(
        "ModeOverrideOnItsOwn",
        config(allow_mode_override=True),
        {RQH: []},
        post(),
        moves=(
            Send(ALL_PARTS),
            Say((beside(type(unchanged(RQH))(), mode=_SEND_BODIES),)),
            Say((unchanged(RQH),)),
            Reply(ALL_PARTS),
        ),
    ),
    Scenario(
        "SendAndReceiveDynamicMetadata",
        config(metadata_options=_FORWARDED),
        on(RQH, beside(unchanged(RQH), metadata=_TOLD)),
        context=Context(metadata=GIVEN),
    ),
    Scenario(
        "SendAndReceiveDynamicMetadata-on-response",
        config(metadata_options=_FORWARDED),
        {RQH: [beside(unchanged(RQH), metadata=_TOLD)], RSH: [beside(unchanged(RSH), metadata={"told": {"age": 3}})]},
        context=Context(metadata=GIVEN),
    ),
    Scenario("DynamicMetadataThatIsNotReceived", HEADERS, on(RQH, beside(unchanged(RQH), metadata=_TOLD))),
    Scenario(
        "SendAndReceiveDynamicMetadataObservabilityMode",
        config(metadata_options=_FORWARDED, observability_mode=True),
        on(RQH, beside(unchanged(RQH), metadata=_TOLD)),
        context=Context(metadata=GIVEN),
    ),
    Scenario(
        "RequestResponseAttributes",
        _ATTRIBUTED,
        context=Context(
            request_attributes=_REQUEST_ATTRIBUTES, response_attributes={"response.code": 200, "response.size": 0}
        ),
    ),
    Scenario("ProtocolConfigurationEncodingTest", ALL, {}, TRAILED_POST, TRAILED_REPLY),
    Scenario(
        "ProtocolConfigurationEncodingTest-without-waiting",
        config("all", body=BodyMode.STREAMED, send_body_without_waiting_for_header_response=True),
        {},
        TRAILED_POST,
        TRAILED_REPLY,
    ),
    Scenario("StatusOnError-GrpcStreamErrorCustomStatus", config(status_on_error=503), _ERROR),
    Scenario("StatusOnError-GrpcStreamErrorDefaultStatus", HEADERS, _ERROR),
    Scenario(
        "StatusOnError-ProcessingErrorCustomStatus",
        config(status_on_error=422),
        on(RQH, say(RQH, ("x-a", b"1\n2"))),
    ),
]

NOT_HERE = {
    "RetryOnResponseError": "retry_policy belongs to the gRPC service: see test_config for what it does",
    "RetryOnDifferentHost": "retry_policy belongs to the gRPC service: see test_config for what it does",
}
