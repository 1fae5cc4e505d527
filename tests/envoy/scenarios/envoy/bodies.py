"""Bodies, by the names of Envoy's own integration tests."""

from __future__ import annotations

from extproc.envoy.model import ModeOverride
from extproc.phases import BodyMode
from tests.envoy.answers import beside, say, unchanged
from tests.envoy.moves import stepwise
from tests.envoy.scenario import (
    BODIES,
    HEADERS,
    RQB,
    RQH,
    RSB,
    RSH,
    RST,
    TRAILED_REPLY,
    Scenario,
    config,
    get,
    on,
    post,
    reply,
    split,
)

_PARTIAL = config("headers bodies", body=BodyMode.BUFFERED_PARTIAL)
_STREAMED = config("headers bodies", body=BodyMode.STREAMED)
_OVERRIDING = config(allow_mode_override=True)
_MODES = {"": BodyMode.BUFFERED, "Streamed": BodyMode.STREAMED, "BufferedPartial": BodyMode.BUFFERED_PARTIAL}
_BIG = reply(body=b"0123456789" * 20_000)
_HELLO = reply(body=b"Hello, World!")
_REPLACE = say(RQH, (":method", b"POST"), ("content-type", b"text/plain"), body=b"Hello, Server!", replace=True)


def _body(mode: BodyMode) -> ModeOverride:
    return ModeOverride(request_body=mode, response_body=mode)


SCENARIOS = [
    Scenario("GetBufferedButNoBodies", BODIES, {}, get(), reply(body=b"")),
    *(
        Scenario(
            f"BufferBodyOverride{what}{name}",
            _OVERRIDING,
            on(RQH, beside(unchanged(RQH), mode=_body(mode))),
            request,
            response,
        )
        for name, mode in _MODES.items()
        for what, request, response in (
            ("GetRequestNoBody", get(), reply(body=b"")),
            ("PostWithEmptyBody", post(b"", chunked=True), reply(body=b"")),
            ("GetWithEmptyResponseBody", get(), reply(body=b"", chunked=True)),
            ("GetWithNoResponseBody", get(), reply(body=b"")),
            ("PostWithRequestBody", post(b"Testing"), reply(body=b"ok")),
        )
    ),
    Scenario(
        "BufferEmptyBodyNotSendingHeader",
        config("request_body", allow_mode_override=True),
        request=post(b"", chunked=True),
    ),
    Scenario(
        "GetAndSetBodyOnResponse", BODIES, on(RSB, say(RSB, ("content-length", b"3"), body=b"new")), response=_HELLO
    ),
    Scenario(
        "GetAndSetBodyAndHeadersOnResponse",
        BODIES,
        {RSH: [say(RSH, ("content-length", b"13"))], RSB: [say(RSB, ("x-b", b"1"), body=b"Hello, World!")]},
        response=reply(body=b"a" * 100),
    ),
    Scenario(
        "GetAndSetBodyAndHeadersOnResponsePartialBuffered",
        _PARTIAL,
        on(RSB, say(RSB, ("x-b", b"1"), body=b"Hello, World!")),
        response=reply(body=b"a" * 100),
    ),
    Scenario(
        "GetAndSetBodyAndHeadersAndTrailersOnResponse",
        config("all"),
        {RSB: [say(RSB, ("x-b", b"1"), body=b"new")], RST: [say(RST, ("x-t2", b"1"))]},
        response=TRAILED_REPLY,
    ),
    Scenario(
        "GetAndSetBodyAndHeadersOnBigResponse",
        BODIES,
        on(RSB, say(RSB, ("content-length", b"13"), body=b"Hello, World!")),
        response=_BIG,
    ),
    Scenario(
        "GetAndSetBodyOnBoth",
        BODIES,
        {
            RQB: [say(RQB, remove=["content-length"], body=b"new request")],
            RSB: [say(RSB, ("content-length", b"3"), body=b"123")],
        },
        post(),
        _HELLO,
    ),
    Scenario(
        "GetAndSetBodyOnBothWithClearRouteCache",
        BODIES,
        {
            RQB: [say(RQB, ("x-canary", b"1"), remove=["content-length"], body=b"new request", clear_route=True)],
            RSB: [say(RSB, ("content-length", b"3"), body=b"123", clear_route=True)],
        },
        post(),
        _HELLO,
    ),
    *(
        Scenario(
            f"RemoveRequestContentLengthIn{name}Mode", config("request_headers request_body", body=mode), {}, post()
        )
        for name, mode in {
            "Streamed": BodyMode.STREAMED,
            "Buffered": BodyMode.BUFFERED,
            "BufferedPartial": BodyMode.BUFFERED_PARTIAL,
        }.items()
    ),
    *(
        Scenario(
            f"RemoveRequestContentLengthAfter{name}Processing",
            config("request_headers request_body", body=mode),
            on(RQB, say(RQB, body=b"longer body")),
            post(),
        )
        for name, mode in {"Streamed": BodyMode.STREAMED, "BufferedPartial": BodyMode.BUFFERED_PARTIAL}.items()
    ),
    Scenario("RemoveResponseContentLength", config("response_headers response_body", body=BodyMode.STREAMED)),
    Scenario(
        "RemoveResponseContentLengthAfterBodyProcessing",
        config("response_headers response_body", body=BodyMode.STREAMED),
        on(RSB, say(RSB, body=b"longer body")),
    ),
    Scenario("MismatchedContentLengthAndBodyLength", BODIES, on(RQB, say(RQB, body=b"longer body")), post()),
    Scenario(
        "MismatchedContentLengthAndBodyLength-set-with-the-headers",
        BODIES,
        {RSH: [say(RSH, ("content-length", b"13"))], RSB: [say(RSB, body=b"Hello, World! And more")]},
    ),
    Scenario(
        "BufferedModeOverSizeRequestLocalReply",
        config("request_headers request_body", buffer_limit=100),
        {},
        post(b"x" * 1000, chunked=True),
    ),
    Scenario("ConvertGetToPost", config("request_headers"), on(RQH, _REPLACE), get()),
    Scenario("ReplaceCompleteRequest", HEADERS, on(RQH, say(RQH, ("x-n", b"1"), body=b"Hello", replace=True)), post()),
    Scenario(
        "ReplaceCompleteRequestBuffered",
        BODIES,
        on(RQH, say(RQH, ("x-n", b"1"), body=b"Hello", replace=True)),
        split(post(b"onetwosix", chunked=True), 3),
        moves=stepwise(4, 2),
    ),
]

NOT_HERE = {
    "ResponseFromExtProcServerTooLarge": "max_receive_message_length is a setting of the gRPC client, not of ext_proc",
}
