"""Two ext_proc filters in a row, each with a processor of its own: a request meets the first one first.

What the model has not: a filter that observes BUFFERED bodies, which alone is told nothing of them, behind another one.
There Envoy tells it of an empty body when trailers come, and waits for ever.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from extproc.envoy.model import Close, HeaderMode, ModeOverride, PerRoute
from extproc.messages import Abort, Message
from extproc.phases import BodyMode, Direction, Part, Phase
from extproc.wire.ext_proc_pb2 import ProcessingResponse
from tests.envoy.answers import answer_now, beside, say, stream, stream_now, unchanged
from tests.envoy.moves import ALL_PARTS, Move, Reply, Say, Send, Wait, stepwise, whole
from tests.envoy.raw_processor import Action
from tests.envoy.scenario import (
    ALL,
    HEADERS,
    RQB,
    RQH,
    RSB,
    RSH,
    RST,
    TRAILED_POST,
    TRAILED_REPLY,
    Scenario,
    Script,
    Second,
    config,
    on,
    post,
    reply,
    split,
    turns,
)

_DUPLEX = BodyMode.FULL_DUPLEX_STREAMED
_OFF = PerRoute(disabled=True)
_MODES = (BodyMode.BUFFERED, BodyMode.STREAMED, BodyMode.BUFFERED_PARTIAL, _DUPLEX)
_POST, _REPLY = split(post(b"onetwosix", chunked=True), 3), split(reply(body=b"onetwosix", chunked=True), 3)
_TRAILED, _TRAILED_REPLY = split(TRAILED_POST, 2), split(TRAILED_REPLY, 2)
_MOVES: dict[str, tuple[Move, ...]] = {"at-once": whole(), "step-by-step": stepwise(5, 5)}


def _edits(who: bytes, mode: BodyMode) -> Script:
    """Edits everything: headers get a line, bodies a letter, trailers another line."""

    def headers(message: Message) -> list[Action]:
        return [say(message.phase, add=[("x-by", who)])]

    def body(message: Message) -> list[Action]:
        new = message.body + who if message.body else b""
        if mode is _DUPLEX:
            return [stream(message.phase, new, end=message.end_of_stream)]
        sets = [("content-length", b"%d" % len(new))] if mode is BodyMode.BUFFERED else []
        return [say(message.phase, *sets, body=new)]

    return {phase: body if phase.part is Part.BODY else headers for phase in Phase}


def _both_edit() -> Iterator[Scenario]:
    for one in _MODES:
        for other in _MODES:
            for how, moves in _MOVES.items():
                yield Scenario(
                    f"TwoExtProcFilters-{one.name.lower()}-{other.name.lower()}-{how}",
                    config("all", body=one),
                    _edits(b"A", one),
                    _TRAILED,
                    _TRAILED_REPLY,
                    moves=moves,
                    second=Second(config("all", body=other), _edits(b"B", other)),
                )


_FAULTS: dict[str, tuple[Action, ...]] = {
    "immediate": (answer_now(403, ("x-n", b"1"), body=b"no", details="because"),),
    "aborted": (Abort("INTERNAL", "failed"),),
    "closed": (Close(),),
    "empty": (ProcessingResponse(),),
}


def _faults() -> Iterator[Scenario]:
    """Something goes wrong with one of them: what does the other one hear?"""
    for phase in Phase:
        faults = {**_FAULTS, "illegal": (say(phase, ("x-a", b"1\n2")),)}
        for what, actions in faults.items():
            for allow in (False, True):
                where = config("all", failure_mode_allow=allow)
                end = "open" if allow else "shut"
                name = f"two-filters-{phase.value}-{what}-{end}"
                yield Scenario(
                    f"{name}-first", where, {phase: actions}, TRAILED_POST, TRAILED_REPLY, second=Second(ALL)
                )
                yield Scenario(
                    f"{name}-second", ALL, {}, TRAILED_POST, TRAILED_REPLY, second=Second(where, {phase: actions})
                )


def _silent() -> Iterator[Scenario]:
    hasty = config("headers", timeout=0.3)
    for phase in (RQH, RSH):
        request = (Send(ALL_PARTS), Wait())
        moves = request if phase.direction is Direction.REQUEST else (Send(ALL_PARTS), Reply(ALL_PARTS), Wait())
        yield Scenario(
            f"two-filters-{phase.value}-silent-first", hasty, {phase: []}, moves=moves, second=Second(HEADERS)
        )
        yield Scenario(
            f"two-filters-{phase.value}-silent-second", HEADERS, {}, moves=moves, second=Second(hasty, {phase: []})
        )


_PIECES_BOTH = config("headers response_body request_trailers response_trailers")
_PIECE: Script = {RQH: [stream_now([(":status", b"403")], end=True)]}
_PIECES_TRAILED: Script = {
    RQH: [stream_now([(":status", b"200")]), stream_now(b"piece"), stream_now([("x-t", b"1")], trailers=True)]
}
_PIECES: Script = {RQH: [stream_now([(":status", b"200")]), stream_now(b"piece"), stream_now(b"last", end=True)]}
_BUFFERED_REQUEST = config("request_headers request_body")
_DUPLEX_REQUEST = config("request_headers request_body request_trailers", body=_DUPLEX)
_DUPLEX_RESPONSE = config("response_headers response_body response_trailers", body=_DUPLEX)
_OVERRIDING = config("headers", allow_mode_override=True)
_TO_BUFFERED = ModeOverride(
    request_body=BodyMode.BUFFERED, response_body=BodyMode.BUFFERED, response_headers=HeaderMode.SKIP
)


def _held_by_the_second() -> Iterator[Scenario]:
    """The second wants the body, not the headers, which go on to the first: what becomes of what the second holds?

    Both processors are asked at once, so it has to be said which of them answers first.
    """
    new = say(RSB, ("content-length", b"3"), body=b"new")
    for mode in (BodyMode.NONE, BodyMode.BUFFERED, BodyMode.STREAMED, _DUPLEX):
        where = config("response_headers response_body response_trailers", body=mode)
        name = f"two-filters-what-the-second-holds-{mode.name.lower()}"
        first, second = Say((unchanged(RSH),)), Say((new,), second=True)
        for how, answers in {"late": (first, second), "early": (second, first)}.items():
            yield Scenario(
                f"{name}-{how}",
                where,
                {RSH: []},
                response=reply(body=b"old"),
                moves=(Send(ALL_PARTS), Reply(ALL_PARTS), *answers),
                second=Second(_BODY_ONLY, {RSB: []}),
            )
        if mode is not _DUPLEX:
            yield Scenario(
                f"{name}-trailers",
                where,
                {RSH: []},
                response=TRAILED_REPLY,
                moves=(Send(ALL_PARTS), Reply(ALL_PARTS), Say((unchanged(RSH),)), Say((unchanged(RST),), second=True)),
                second=Second(config("response_trailers"), {RST: []}),
            )


_BODY_ONLY = config("response_body")
_OBSERVING = config("all", body=BodyMode.STREAMED, observability_mode=True)

SCENARIOS = [
    *_held_by_the_second(),
    *(
        Scenario(
            f"two-filters-the-second-observes-{mode.name.lower()}",
            config("all", body=mode),
            {},
            TRAILED_POST,
            TRAILED_REPLY,
            second=Second(_OBSERVING),
        )
        for mode in (BodyMode.BUFFERED, BodyMode.STREAMED, BodyMode.BUFFERED_PARTIAL)
    ),
    *(
        Scenario(
            name,
            where,
            _edits(b"A", _DUPLEX),
            _POST,
            _REPLY,
            moves=stepwise(4, 4),
            second=Second(where, _edits(b"B", _DUPLEX)),
        )
        for name, where in (
            ("TwoExtProcFiltersInRequestProcessing", _DUPLEX_REQUEST),
            ("TwoExtProcFiltersInResponseProcessing", _DUPLEX_RESPONSE),
            ("TwoExtProcFiltersBothDuplexInBothDirection", config("all", body=_DUPLEX)),
        )
    ),
    *_both_edit(),
    *_faults(),
    *_silent(),
    Scenario(
        "two-filters-the-second-has-heard-of-the-response-only",
        _BUFFERED_REQUEST,
        {RQH: []},
        post(),
        moves=(Send(1), Say((unchanged(RSH),))),
        second=Second(HEADERS, {RSH: [unchanged(RQH)]}),
    ),
    Scenario("two-filters-noop", ALL, {}, TRAILED_POST, TRAILED_REPLY, second=Second(ALL)),
    Scenario(
        "two-filters-the-second-is-asked-when-the-first-has-answered",
        HEADERS,
        {RQH: [], RSH: []},
        moves=(
            Send(ALL_PARTS),
            Say((say(RQH, ("x-a", b"1")),)),
            Say((say(RQH, ("x-b", b"1")),), second=True),
            Reply(ALL_PARTS),
            Say((say(RSH, ("x-b", b"1")),), second=True),
            Say((say(RSH, ("x-a", b"1")),)),
        ),
        second=Second(HEADERS, {RQH: [], RSH: []}),
    ),
    Scenario(
        "two-filters-the-first-changes-the-route",
        HEADERS,
        {RQH: [say(RQH, (":path", b"/canary"), clear_route=True)]},
        second=Second(HEADERS, {RQH: [say(RQH, (":path", b"/other"))]}),
    ),
    Scenario(
        "two-filters-the-second-changes-the-route",
        HEADERS,
        {RQH: [say(RQH, (":path", b"/other"))]},
        second=Second(HEADERS, {RQH: [say(RQH, (":path", b"/canary"), clear_route=True)]}),
    ),
    Scenario(
        "two-filters-an-override-is-of-one-of-them",
        _OVERRIDING,
        {RQH: [beside(unchanged(RQH), mode=_TO_BUFFERED)]},
        post(),
        reply(),
        second=Second(HEADERS),
    ),
    *(
        Scenario(
            f"two-filters-the-{who}-replies-in-pieces{how}",
            where,
            pieces if who == "first" else {},
            post(),
            reply(),
            second=Second(where, pieces if who == "second" else {}),
        )
        for who in ("first", "second")
        for how, where, pieces in (
            ("", _PIECES_BOTH, _PIECES),
            ("-headers-only", config("all", body=BodyMode.STREAMED), _PIECE),
            ("-trailers-too", _PIECES_BOTH, _PIECES_TRAILED),
            ("-in-full-duplex", config("all", body=_DUPLEX), _PIECES),
        )
    ),
    *(
        Scenario(
            f"two-filters-an-empty-body-with-trailers-{one.name.lower()}-{other.name.lower()}-{how}",
            config("all", body=one),
            {},
            replace(TRAILED_POST, chunks=(b"",)),
            replace(TRAILED_REPLY, chunks=(b"",)),
            moves=moves,
            second=Second(
                config("all", body=other, send_body_without_waiting_for_header_response=other is BodyMode.STREAMED)
            ),
        )
        for one in (BodyMode.NONE, *_MODES[:-1])
        for other in _MODES[:-1]
        for how, moves in _MOVES.items()
    ),
    *(
        Scenario(
            f"two-filters-the-second-ends-a-body-that-has-trailers-{mode.name.lower()}",
            config("all", body=mode),
            {},
            response=TRAILED_REPLY,
            second=Second(config("all", body=_DUPLEX), {RSB: turns([stream(RSB, end=True)])}),
        )
        for mode in _MODES
    ),
    *(
        Scenario(
            f"two-filters-the-second-ends-a-body-that-has-trailers-the-first-has-{what}",
            where,
            script,
            response=TRAILED_REPLY,
            second=Second(config("all", body=_DUPLEX), {RSB: turns([stream(RSB, end=True)])}),
        )
        for what, (where, script) in {
            "left": (config("request_headers", failure_mode_allow=True), on(RQH, Close())),
            "nothing-to-do": (config(""), {}),
            "nothing-to-do-with-the-body": (config("response_headers"), {}),
            "the-trailers-only": (config("response_trailers"), {}),
        }.items()
    ),
    *(
        Scenario(
            f"two-filters-the-second-ends-a-request-whose-trailers-wait-at-the-first-{mode.name.lower()}",
            config("headers request_body request_trailers", body=mode),
            {},
            TRAILED_POST,
            moves=(Send(), Send(ALL_PARTS), Reply(ALL_PARTS)),
            second=Second(
                config("headers request_body request_trailers", body=_DUPLEX), {RQB: turns([stream(RQB, end=True)])}
            ),
        )
        for mode in (BodyMode.NONE, *_MODES)
    ),
    *(
        Scenario(
            f"two-filters-a-route-{what}",
            config("all", per_route=first),
            _edits(b"A", BodyMode.BUFFERED),
            TRAILED_POST,
            TRAILED_REPLY,
            second=Second(config("all", per_route=second), _edits(b"B", BodyMode.BUFFERED)),
        )
        for what, (first, second) in {
            "passes-the-first": ((_OFF,), ()),
            "passes-the-second": ((), (_OFF,)),
            "passes-both": ((_OFF,), (_OFF,)),
            "asks-less-of-the-second": ((), (PerRoute(mode=HEADERS.mode),)),
            "asks-less-of-the-second-than-the-host": ((), (_OFF, PerRoute(mode=HEADERS.mode))),
            "asks-less-of-each": (
                (PerRoute(mode=ALL.mode), PerRoute(mode=HEADERS.mode)),
                (PerRoute(mode=HEADERS.mode),),
            ),
        }.items()
    ),
    *(
        Scenario(
            f"two-filters-trailers-behind-a-body-that-went-through-{mode.name.lower()}",
            config("headers response_trailers"),
            {},
            post(),
            TRAILED_REPLY,
            moves=(Send(ALL_PARTS), Reply(2), Reply()),
            second=Second(config("all", body=mode)),
        )
        for mode in (BodyMode.NONE, *_MODES)
    ),
    *(
        Scenario(
            f"two-filters-the-end-is-told-once-{one.name.lower()}",
            config("headers bodies", body=one),
            {},
            post(),
            reply(chunked=True),
            second=Second(config("all", body=_DUPLEX)),
        )
        for one in (BodyMode.NONE, *_MODES[:-1])
    ),
    *(
        Scenario(
            f"two-filters-the-second-promises-a-body-for-the-{what}-of-the-first-{when}",
            HEADERS,
            {RQH: [does]},
            post(chunked=True),
            moves=(Send(parts),),
            second=Second(HEADERS, {RSH: [say(RSH, ("content-length", b"3"))]}),
        )
        for what, does in (("error", unchanged(RSH)), ("immediate-response", answer_now(403)))
        for when, parts in (("before-the-request-has-ended", 1), ("after-it", ALL_PARTS))
    ),
    *(
        Scenario(
            f"two-filters-a-body-over-the-limit-of-the-{who}",
            config("headers bodies", body=one, buffer_limit=10),
            {},
            post(b"x" * 11, chunked=True),
            reply(body=b"x" * 11, chunked=True),
            second=Second(config("headers bodies", body=other)),
        )
        for who, one, other in (
            ("first", BodyMode.BUFFERED, BodyMode.NONE),
            ("second", BodyMode.STREAMED, BodyMode.BUFFERED),
        )
    ),
]
