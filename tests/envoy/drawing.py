"""Random scenarios: settings from a seed, and everything that may happen in an exchange."""

from __future__ import annotations

from collections.abc import Sequence
from random import Random
from typing import Any

from hypothesis import strategies as st

from extproc.envoy.model import (
    Close,
    ExtProcConfig,
    ForwardRules,
    HeaderMode,
    HttpMessage,
    MetadataOptions,
    ModeOverride,
    MutationRules,
    Namespaces,
    PerRoute,
    ProcessingMode,
    RouteCacheAction,
    StringMatch,
)
from extproc.messages import Abort, RawHeaders
from extproc.phases import BodyMode, Direction, Part, Phase
from extproc.wire.ext_proc_pb2 import ProcessingResponse
from tests.envoy.answers import answer_now, beside, more_time, say, stream, stream_now, unchanged
from tests.envoy.listeners import Setting
from tests.envoy.moves import ALL_PARTS, Leave, Move, Reply, Say, Send
from tests.envoy.raw_processor import Action
from tests.envoy.scenario import PATIENT, Scenario, Turns

__all__ = ["scenarios", "settings_from"]

_DUPLEX = BodyMode.FULL_DUPLEX_STREAMED
_MODES = (*BodyMode, BodyMode.STREAMED, BodyMode.BUFFERED, _DUPLEX)

# Settings, which have to be known before Envoy starts


def settings_from(seed: int, count: int) -> list[Setting]:
    """Some settings, all of which Envoy accepts."""
    random = Random(seed)
    return [Setting(_config(random), http2=random.random() < 0.5) for _ in range(count)]


def _config(random: Random) -> ExtProcConfig:
    def perhaps(chance: float) -> bool:
        return random.random() < chance

    observing = perhaps(0.08)
    overriding = perhaps(0.4)
    return ExtProcConfig(
        mode=_mode(random),
        rules=_rules(random) if perhaps(0.3) else MutationRules(),
        forward_rules=_forward_rules(random) if perhaps(0.2) else ForwardRules(),
        failure_mode_allow=perhaps(0.4),
        message_timeout=PATIENT,
        max_message_timeout=2 * PATIENT if perhaps(0.5) else 0.0,
        status_on_error=503 if perhaps(0.1) else 500,
        observability_mode=observing,
        send_body_without_waiting_for_header_response=perhaps(0.25) and not observing,
        allow_mode_override=overriding,
        allowed_override_modes=tuple(_override(random) for _ in range(2)) if overriding and perhaps(0.2) else (),
        disable_immediate_response=perhaps(0.1),
        disable_clear_route_cache=perhaps(0.05),
        route_cache_action=random.choice([RouteCacheAction.DEFAULT] * 4 + list(RouteCacheAction)),
        allow_content_length_header=perhaps(0.2),
        metadata_options=MetadataOptions(receiving=Namespaces(untyped=("told",)))
        if perhaps(0.3)
        else MetadataOptions(),
        per_route=_per_route(random) if perhaps(0.2) else (),
        buffer_limit=random.choice((1, 5, 10, 20)) if perhaps(0.2) else 1024 * 1024,
    )


def _mode(random: Random) -> ProcessingMode:
    request_body, response_body = random.choice(_MODES), random.choice(_MODES)
    return ProcessingMode(
        request_headers=random.random() < 0.85,
        response_headers=random.random() < 0.85,
        request_body=request_body,
        response_body=response_body,
        request_trailers=request_body is _DUPLEX or random.random() < 0.5,
        response_trailers=response_body is _DUPLEX or random.random() < 0.5,
    )


def _override(random: Random) -> ModeOverride:
    headers = [random.choice(list(HeaderMode)) for _ in range(4)]
    bodies = [random.choice(_MODES) for _ in range(2)]
    return ModeOverride(headers[0], headers[1], bodies[0], bodies[1], headers[2], headers[3])


def _rules(random: Random) -> MutationRules:
    flags = [random.random() < 0.3 for _ in range(5)]
    return MutationRules(
        allow_all_routing=flags[0],
        allow_envoy=flags[1],
        disallow_system=flags[2],
        disallow_all=flags[3] and flags[2],
        allow_expression="x-a|:path" if random.random() < 0.2 else "",
        disallow_expression="x-b|content-length" if random.random() < 0.2 else "",
        disallow_is_error=flags[4],
    )


def _forward_rules(random: Random) -> ForwardRules:
    matches = (StringMatch("prefix", "x-"), StringMatch("exact", "x-a"), StringMatch("suffix", "B", ignore_case=True))
    return ForwardRules(
        allowed=tuple(random.sample(matches, random.randint(0, 2))),
        disallowed=tuple(random.sample(matches, random.randint(0, 1))),
    )


def _per_route(random: Random) -> tuple[PerRoute, ...]:
    def said() -> PerRoute:
        if random.random() < 0.2:
            return PerRoute(disabled=True)
        return PerRoute(
            mode=_mode(random) if random.random() < 0.5 else None,
            failure_mode_allow=random.choice((None, True, False)),
        )

    return tuple(said() for _ in range(random.randint(1, 2)))


# Messages

_NAMES = ("x-a", "x-b", "x-c")
_pieces = st.lists(st.binary(min_size=1, max_size=8), min_size=1, max_size=4)
_fields: st.SearchStrategy[RawHeaders] = st.lists(
    st.tuples(st.sampled_from(_NAMES), st.sampled_from((b"1", b"2"))), max_size=3
)
_trailers = st.none() | st.lists(st.tuples(st.sampled_from(_NAMES), st.just(b"t")), min_size=1, max_size=2)


def _requests() -> st.SearchStrategy[HttpMessage]:
    def build(  # noqa: PLR0917 (Hypothesis gives them by position)
        method: str, path: str, fields: RawHeaders, grpc: bool, body: list[bytes], framing: str, trailers: Any
    ) -> HttpMessage:
        line = [(":authority", b"ex"), (":path", path.encode()), (":method", method.encode()), (":scheme", b"http")]
        kind = [("content-type", b"application/grpc")] if grpc else []
        return _framed(
            [*line, *fields, *kind],
            body,
            framing if method == "POST" else "none",
            trailers,
            last=("x-forwarded-proto", b"http"),
        )

    return st.builds(
        build,
        st.sampled_from(("POST", "POST", "POST", "GET", "HEAD")),
        st.sampled_from(("/a", "/canary")),
        _fields,
        st.sampled_from((False,) * 7 + (True,)),
        _pieces,
        _framings,
        _trailers,
    )


_framings = st.sampled_from(("counted", "chunked", "chunked", "empty", "none"))


def _responses(request: HttpMessage) -> st.SearchStrategy[HttpMessage]:
    bodiless = request.get(":method") == b"HEAD"

    def build(status: int, fields: RawHeaders, body: list[bytes], framing: str, trailers: Any) -> HttpMessage:
        none = bodiless or status in (204, 304)
        headers = [(":status", b"%d" % status), *fields]
        return (
            HttpMessage(headers)
            if status in (204, 304)
            else _framed(headers, body, "none" if none else framing, trailers)
        )

    return st.builds(build, st.sampled_from((200, 200, 200, 404, 204, 304)), _fields, _pieces, _framings, _trailers)


def _framed(
    headers: RawHeaders, body: list[bytes], framing: str, trailers: RawHeaders | None, *, last: Any = None
) -> HttpMessage:
    """`empty`: a body that turns out to have nothing in it; `none`: content-length 0, or none at all."""
    end = [last] if last else []
    if framing == "counted":
        length = ("content-length", b"%d" % sum(map(len, body)))
        return HttpMessage([*headers, length, *end], tuple(body))
    if framing == "none":
        is_response = headers[0][0] == ":status"
        return HttpMessage([*headers, *([("content-length", b"0")] if is_response else []), *end])
    coding = [("transfer-encoding", b"chunked")] if headers[0][0] == ":status" else []
    return HttpMessage([*headers, *coding, *end], (b"",) if framing == "empty" else tuple(body), trailers)


# What the processor does

_LENGTHS = (("content-length", b"3"), ("content-length", b"8"))
_edits = st.tuples(st.sampled_from(_LENGTHS), st.just(False)) | st.tuples(
    st.sampled_from(
        (
            ("x-a", b"new"),
            ("x-d", b"new"),
            (":path", b"/canary/new"),
            (":status", b"201"),
            (":status", b"99"),
            (":method", b"PUT"),
            (":authority", b"other"),
            ("x-envoy-a", b"1"),
            ("x-bad", b"1\n2"),
            ("bad name", b"1"),
        )
    ),
    st.booleans(),
)


@st.composite
def _commons(draw: st.DrawFn, phase: Phase) -> ProcessingResponse:
    """An answer to a phase, that may do more than is allowed."""
    edits = draw(st.lists(_edits, max_size=2)) if draw(st.integers(0, 2)) == 0 else []
    if phase.part is Part.TRAILERS:  # no HTTP/1.1 parser takes a pseudo-header for a trailer
        edits = [edit for edit in edits if not edit[0][0].startswith(":")]
    options: dict[str, Any] = {}
    if phase.part is not Part.TRAILERS and draw(st.integers(0, 3)) == 0:
        options = draw(
            st.sampled_from(
                (
                    {"body": b"new"},
                    {"body": b"longer body"},
                    {"clear_body": True},
                    {"clear_route": True},
                    {"body": b"whole", "replace": True},
                    {"replace": True},
                )
            )
        )
    return say(
        phase,
        *[edit for edit, appends in edits if not appends],
        add=[edit for edit, appends in edits if appends],
        remove=draw(st.lists(st.sampled_from(("x-a", "x-b", "content-length", ":path")), max_size=1)) if edits else (),
        **options,
    )


_overrides = st.builds(
    ModeOverride, *[st.sampled_from(HeaderMode)] * 2, *[st.sampled_from(_MODES)] * 2, *[st.sampled_from(HeaderMode)] * 2
)
_PIECES: tuple[Action, ...] = (
    stream_now([(":status", b"200"), ("x-n", b"1")]),
    stream_now([(":status", b"403")], end=True),
    stream_now(b"piece"),
    stream_now(b"last", end=True),
    stream_now([("x-t", b"1")], trailers=True),
)
_ILLEGAL: tuple[Action, ...] = (
    ProcessingResponse(),
    Close(),
    Abort("INTERNAL", "failed"),
    answer_now(403, ("x-n", b"1"), body=b"no", details="because of this"),
    answer_now(None),
)


@st.composite
def _actions(draw: st.DrawFn, phase: Phase, config: ExtProcConfig) -> Action:
    mode = config.mode.request_body if phase.direction is Direction.REQUEST else config.mode.response_body
    kind = draw(st.integers(0, 19))
    if kind >= 18:
        return draw(st.sampled_from(_ILLEGAL))
    if kind == 17:
        pieces = st.sampled_from(_PIECES) if _may_reply_in_pieces(config) else st.just(more_time(1.0))
        return draw(st.sampled_from(Phase).map(unchanged) | pieces | st.just(more_time(1.0)))
    if phase.part is Part.BODY and (mode is _DUPLEX) == (kind < 15):
        return stream(phase, draw(st.sampled_from((b"", b"piece", b"P"))), end=draw(st.booleans()))
    answer = draw(_commons(phase))
    if kind in (13, 14):
        return beside(answer, mode=draw(_overrides))
    if kind == 12:
        return beside(answer, metadata={"told": {"k": "v"}})
    if kind == 11:
        return beside(answer, drain_requests=draw(st.booleans()), drain_responses=draw(st.booleans()))
    return answer


def _may_reply_in_pieces(config: ExtProcConfig) -> bool:
    """In full duplex Envoy 1.40 then sends an unfinished request on, and its response after the one it has begun."""
    return config.mode.request_body is not _DUPLEX and not config.allow_mode_override and not config.per_route


def _doings(phase: Phase, config: ExtProcConfig) -> st.SearchStrategy[Turns]:
    turn = st.lists(_actions(phase, config), min_size=1, max_size=1) | st.lists(_actions(phase, config), max_size=2)
    return st.lists(turn, min_size=1, max_size=3).map(lambda turns: Turns(tuple(turns)))


# Exchanges


@st.composite
def _moves(draw: st.DrawFn, config: ExtProcConfig) -> tuple[Move, ...]:
    if draw(st.booleans()):
        return (Send(ALL_PARTS), Reply(ALL_PARTS))
    phase = draw(st.sampled_from(Phase))
    says = st.builds(lambda action: Say((action,)), _actions(phase, config))
    steps: st.SearchStrategy[list[Move]] = st.lists(
        st.one_of(
            st.builds(Send, st.integers(1, 2)),
            st.builds(Send, st.integers(1, 2)),
            st.builds(Reply, st.integers(1, 2), st.booleans()),
            says,
            st.builds(Leave, st.just(True)) if draw(st.integers(0, 9)) == 0 else says,
        ),
        max_size=8,
    )
    end: tuple[Move, ...] = (Leave(),) if draw(st.integers(0, 11)) == 0 else (Send(ALL_PARTS), Reply(ALL_PARTS))
    return (Send(), *draw(steps), *end)


@st.composite
def scenarios(draw: st.DrawFn, settings: Sequence[Setting]) -> Scenario:
    """An exchange at one of the listeners."""
    setting = draw(st.sampled_from(settings))
    request = draw(_requests())
    phases = draw(st.lists(st.sampled_from(Phase), unique=True, max_size=3))
    return Scenario(
        "found",
        setting.config,
        {phase: draw(_doings(phase, setting.config)) for phase in phases},
        request,
        draw(_responses(request)),
        moves=draw(_moves(setting.config)),
        http2=setting.http2,
    )
