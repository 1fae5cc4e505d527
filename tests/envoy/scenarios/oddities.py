"""What a processor may say that is neither an answer nor nothing, and messages as strange clients send them."""

from __future__ import annotations

from extproc.envoy.model import MutationRules
from extproc.phases import BodyMode
from tests.envoy.answers import answer_now, say, unchanged
from tests.envoy.moves import stepwise
from tests.envoy.scenario import (
    BODIES,
    HEADERS,
    RQH,
    RSH,
    Scenario,
    config,
    get,
    on,
    post,
    reply,
)

_UNKNOWN_FIELD = b"\xaa\x06\x02ok"
"""Field 101, which no Envoy knows, and nothing else."""
_GRPC = ("content-type", b"application/grpc")
_MESSAGE = b"\0\0\0\0\5hello"
_CALL = post(_MESSAGE, _GRPC, chunked=True)
_CALLED = reply(200, _GRPC, body=_MESSAGE, trailers=[("grpc-status", b"0")])
_ROUTING = config(rules=MutationRules(allow_all_routing=True))
_TWICE = [("authorization", b"Basic a"), ("authorization", b"Basic b"), ("x-api-key", b"1"), ("x-api-key", b"2")]
_PATHS = {
    "with-a-space": b"/a b",
    "empty": b"",
    "without-a-slash": b"a",
    "with-a-fragment": b"/a#b",
    "with-dots": b"/a/../b",
    "with-two-slashes": b"//a",
    "with-an-escaped-nul": b"/a%00",
    "asterisk": b"*",
    "absolute": b"http://other/a",
}
_CONNECTION = ("connection", "keep-alive", "proxy-connection", "te", "trailer", "upgrade")

SCENARIOS = [
    Scenario("an-answer-of-a-kind-that-nobody-knows", HEADERS, on(RQH, _UNKNOWN_FIELD)),
    Scenario(
        "an-answer-with-a-field-that-nobody-knows",
        HEADERS,
        on(RQH, unchanged(RQH).SerializeToString() + _UNKNOWN_FIELD),
    ),
    Scenario("an-answer-without-a-byte", HEADERS, on(RQH, b"")),
    *(
        Scenario(
            f"a-grpc-call-{mode.name.lower()}",
            config("all", body=mode),
            {},
            _CALL,
            _CALLED,
            moves=stepwise(2, 3),
            http2=True,
        )
        for mode in BodyMode
    ),
    *(
        Scenario(f"path-{what}", _ROUTING, on(RQH, say(RQH, (":path", path))), http2=True)
        for what, path in _PATHS.items()
    ),
    *(
        Scenario(
            f"hop-by-hop-{name}",
            HEADERS,
            {RQH: [say(RQH, (name, b"x"))], RSH: [say(RSH, (name, b"x"))]},
            http2=True,
        )
        for name in _CONNECTION
    ),
    Scenario(
        "headers-that-occur-twice",
        HEADERS,
        {},
        get("/a", *_TWICE),
        reply(200, ("set-cookie", b"a"), ("set-cookie", b"b")),
    ),
    Scenario("a-name-of-8-kib", HEADERS, on(RQH, say(RQH, ("n" * 8192, b"1")))),
    Scenario("names-with-an-underscore-and-in-capitals", HEADERS, on(RQH, say(RQH, ("X_A", b"1"), ("X-B", b"2")))),
    Scenario("status-700", HEADERS, on(RSH, say(RSH, (":status", b"700")))),
    Scenario("immediate-700", HEADERS, on(RQH, answer_now(700))),
    Scenario(
        "immediate-with-a-content-length-that-is-none",
        HEADERS,
        on(RQH, answer_now(403, ("content-length", b"99"), body=b"no")),
    ),
    Scenario(
        "an-answer-that-sets-and-removes-the-same",
        BODIES,
        on(RQH, say(RQH, ("x-a", b"2"), remove=["x-a"])),
        get("/a", ("x-a", b"1")),
    ),
]
