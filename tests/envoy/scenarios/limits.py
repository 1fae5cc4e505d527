"""How many headers, how large, and how much of a body Envoy holds."""

from __future__ import annotations

from extproc.envoy.model import Close
from extproc.guard import Limits
from extproc.messages import Abort, RawHeaders
from extproc.phases import BodyMode
from tests.envoy.answers import answer_now, say
from tests.envoy.moves import ALL_PARTS, Reply, Send
from tests.envoy.scenario import (
    HEADERS,
    RQB,
    RQH,
    RQT,
    RSB,
    RSH,
    RST,
    TRAILED_POST,
    TRAILED_REPLY,
    Scenario,
    config,
    get,
    on,
    post,
    reply,
    split,
)

_OPEN = config(failure_mode_allow=True)
_SMALL = config("all", request_limits=Limits(10, 1024))
_HUNDRED = config("headers bodies", buffer_limit=100)
_HUNDRED_OPEN = config("headers bodies", buffer_limit=100, failure_mode_allow=True)
_HUNDRED_PASSING = config(buffer_limit=100)
_HUNDRED_UNSEEN = config("bodies", buffer_limit=100)
_HUNDRED_REQUEST = config("request_headers request_body", buffer_limit=100)
_KIB = 1024


def _many(count: int) -> list[tuple[str, bytes]]:
    return [(f"h{i}", b"") for i in range(count)]


def _filler(headers: RawHeaders, size: int) -> tuple[str, bytes]:
    """A header that brings names and values to `size` bytes."""
    return "big", b"v" * (size - len("big") - sum(len(name) + len(value) for name, value in headers))


_GET = get()
_OK = reply()
_TOO_LARGE = post(b"x" * 101)

SCENARIOS = [
    *(
        Scenario(
            f"a-response-held-over-a-limit-of-{limit}-{mode.name.lower()}",
            config("headers response_body", body=mode, buffer_limit=limit),
            response=split(reply(body=b"abc"), 2),
            moves=(Send(), Reply(2), Reply(ALL_PARTS)),
        )
        for mode in (BodyMode.NONE, BodyMode.GRPC, BodyMode.STREAMED)
        for limit in (1, 2, 3)
    ),
    # Counts: the request has :authority, :path, :method, :scheme and x-forwarded-proto
    *(Scenario(f"request-headers-{5 + count}", HEADERS, on(RQH, say(RQH, *_many(count)))) for count in (95, 96)),
    *(Scenario(f"response-headers-{2 + count}", HEADERS, on(RSH, say(RSH, *_many(count)))) for count in (98, 99)),
    *(
        Scenario(f"{count}-sets-of-one-header", HEADERS, on(RQH, say(RQH, *[("same", b"1")] * count)))
        for count in (100, 101)
    ),
    *(
        Scenario(f"{count}-removes", HEADERS, on(RQH, say(RQH, ("x", b"1"), remove=["not-there"] * count)))
        for count in (100, 101)
    ),
    Scenario("60-sets-and-60-removes", HEADERS, on(RQH, say(RQH, *[("same", b"1")] * 60, remove=["not-there"] * 60))),
    Scenario("too-many-fails-even-when-open", _OPEN, on(RQH, say(RQH, *_many(96)))),
    Scenario("too-many-operations-fail-even-when-open", _OPEN, on(RSH, say(RSH, *_many(101)))),
    # Sizes
    *(
        Scenario(
            f"request-headers-60-kib-and-{more}", HEADERS, on(RQH, say(RQH, _filler(_GET.headers, 60 * _KIB + more)))
        )
        for more in (0, 1)
    ),
    *(
        Scenario(
            f"response-headers-80-kib-and-{more}", HEADERS, on(RSH, say(RSH, _filler(_OK.headers, 80 * _KIB + more)))
        )
        for more in (0, 1)
    ),
    # Limits of the connection manager: for the request, not for the response
    *(Scenario(f"small-request-headers-{5 + count}", _SMALL, on(RQH, say(RQH, *_many(count)))) for count in (5, 6, 11)),
    *(
        Scenario(
            f"small-request-headers-1-kib-and-{more}", _SMALL, on(RQH, say(RQH, _filler(_GET.headers, _KIB + more)))
        )
        for more in (0, 1)
    ),
    *(
        Scenario(
            f"small-request-headers-in-a-body-answer-{5 + 1 + count}",
            _SMALL,
            on(RQB, say(RQB, *_many(count))),
            TRAILED_POST,
        )
        for count in (5, 6)
    ),
    *(
        Scenario(f"small-request-trailers-{1 + count}", _SMALL, on(RQT, say(RQT, *_many(count))), TRAILED_POST)
        for count in (9, 10, 11)
    ),
    Scenario("small-response-headers-12", _SMALL, on(RSH, say(RSH, *_many(10), ("big", b"v" * 2000)))),
    Scenario("small-response-trailers-12", _SMALL, on(RST, say(RST, *_many(11))), TRAILED_POST, TRAILED_REPLY),
    Scenario("too-many-already-unedited", _SMALL, request=get("/a", *_many(8))),
    Scenario(
        "too-many-already-fails-on-any-edit", _SMALL, on(RQH, say(RQH, remove=["not-there"])), get("/a", *_many(8))
    ),
    Scenario("too-many-already-cured", _SMALL, on(RQH, say(RQH, remove=["h0", "h1", "h2"])), get("/a", *_many(8))),
    # How much of a body is held
    *(
        Scenario(f"request-body-of-{size}-{framing}", where, {}, request)
        for size in (100, 101)
        for framing, request in {"counted": post(b"x" * size), "chunked": post(b"x" * size, chunked=True)}.items()
        for where in (_HUNDRED,)
    ),
    *(
        Scenario(f"response-body-of-{size}-{framing}", _HUNDRED, {}, response=response)
        for size in (100, 101)
        for framing, response in {
            "counted": reply(body=b"x" * size),
            "chunked": reply(body=b"x" * size, chunked=True),
        }.items()
    ),
    Scenario("request-body-too-large-even-when-open", _HUNDRED_OPEN, {}, _TOO_LARGE),
    Scenario("request-body-too-large-for-a-chain-without-response-phases", _HUNDRED_REQUEST, {}, _TOO_LARGE),
    Scenario("request-body-too-large-headers-unseen", _HUNDRED_UNSEEN, {}, _TOO_LARGE),
    Scenario("request-body-large-but-not-held", _HUNDRED_PASSING, {}, _TOO_LARGE, reply(body=b"x" * 101)),
    Scenario(
        "request-body-too-large-then-edited",
        _HUNDRED,
        {
            RQH: [say(RQH, ("x-n", b"1"))],
            RSH: [say(RSH, (":status", b"499"), ("x-n", b"1"))],
            RSB: [say(RSB, ("content-length", b"3"), body=b"abc")],
        },
        _TOO_LARGE,
    ),
    Scenario(
        "request-body-too-large-and-an-immediate-response", _HUNDRED, on(RQH, answer_now(403, body=b"no")), _TOO_LARGE
    ),
    Scenario(
        "request-body-too-large-and-an-immediate-response-to-the-413",
        _HUNDRED,
        on(RSH, answer_now(403, body=b"no")),
        _TOO_LARGE,
    ),
    Scenario("request-body-too-large-and-an-abort", _HUNDRED, on(RQH, Abort("INTERNAL", "boom")), _TOO_LARGE),
    Scenario("request-body-too-large-and-a-close", _HUNDRED, on(RQH, Close()), _TOO_LARGE),
    Scenario("request-body-too-large-and-silence", _HUNDRED, {RQH: []}, _TOO_LARGE),
    Scenario("request-body-too-large-and-an-illegal-edit", _HUNDRED, on(RQH, say(RQH, ("x n", b"1"))), _TOO_LARGE),
    Scenario(
        "request-body-too-large-and-replaced", _HUNDRED, on(RQH, say(RQH, body=b"small", replace=True)), _TOO_LARGE
    ),
    Scenario("request-body-too-large-to-head", _HUNDRED, {}, _TOO_LARGE),
    Scenario(
        "response-body-too-large-and-an-immediate-response",
        _HUNDRED,
        on(RSH, answer_now(403, body=b"no")),
        response=reply(body=b"x" * 101),
    ),
    Scenario(
        "response-body-too-large-and-replaced",
        _HUNDRED,
        on(RSH, say(RSH, body=b"small", replace=True)),
        response=reply(body=b"x" * 101),
    ),
    Scenario("response-body-too-large-headers-unseen", _HUNDRED_UNSEEN, {}, response=reply(body=b"x" * 101)),
    # What the processor puts in its place
    *(
        Scenario(
            f"request-body-answer-of-{size}",
            _HUNDRED,
            on(RQB, say(RQB, body=b"y" * size, remove=["content-length"])),
            post(),
        )
        for size in (100, 101)
    ),
    *(
        Scenario(
            f"response-body-answer-of-{size}", _HUNDRED, on(RSB, say(RSB, body=b"y" * size, remove=["content-length"]))
        )
        for size in (100, 101)
    ),
    *(
        Scenario(
            f"replace-request-{what}-with-{size}-{how}",
            where,
            on(RQH, say(RQH, body=b"y" * size, replace=True)),
            request,
        )
        for size in (100, 101)
        for how, where in {"held": _HUNDRED, "passing": _HUNDRED_PASSING}.items()
        for what, request in {"get": get(), "post": post()}.items()
    ),
    *(
        Scenario(
            f"replace-response-{what}-with-{size}-{how}",
            where,
            on(RSH, say(RSH, body=b"y" * size, replace=True)),
            response=response,
        )
        for size in (100, 101)
        for how, where in {"held": _HUNDRED, "passing": _HUNDRED_PASSING}.items()
        for what, response in {"empty": reply(body=b""), "full": reply()}.items()
    ),
]
