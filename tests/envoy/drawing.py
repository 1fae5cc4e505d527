"""Random scenarios: everything that may happen in an exchange."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from hypothesis import strategies as st

from extproc.envoy.model import Context, ExtProcConfig, HttpMessage
from extproc.messages import RawHeaders
from extproc.phases import Phase
from tests.envoy.drawn_answers import actions, doings
from tests.envoy.drawn_settings import SHORT
from tests.envoy.listeners import GIVEN, Setting
from tests.envoy.moves import ALL_PARTS, Leave, Move, Pass, Reply, Say, Send
from tests.envoy.scenario import Doing, Scenario, Second

__all__ = ["scenarios"]

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


# Another protocol

_UPGRADES_ONE_IN = 15
_MOST_AHEAD = 1024
"""Bytes: more than a request has."""
_UPGRADE = [("connection", b"Upgrade"), ("upgrade", b"websocket")]


def _may_upgrade(setting: Setting) -> bool:
    """Over HTTP/2 it would be a CONNECT. Bytes ahead of the agreement fill a small buffer, which the model has not."""
    return not setting.http2 and setting.config.buffer_limit > _MOST_AHEAD


def _handshakes() -> st.SearchStrategy[HttpMessage]:
    """What is asked for by way of a GET; the bytes that follow are none of HTTP's bodies."""
    line = [(":authority", b"ex"), (":path", b"/a"), (":method", b"GET"), (":scheme", b"http")]
    return st.builds(
        lambda fields, pieces: HttpMessage([*line, *_UPGRADE, *fields, ("x-forwarded-proto", b"http")], tuple(pieces)),
        _fields,
        _pieces,
    )


def _agreements() -> st.SearchStrategy[HttpMessage]:
    """No refusal: Envoy's codec takes the body of a 200 away, and the client's h11 has views of its own on others."""
    return st.builds(lambda pieces: HttpMessage([(":status", b"101"), *_UPGRADE], tuple(pieces)), _pieces)


# Exchanges


@st.composite
def _moves(draw: st.DrawFn, setting: Setting) -> tuple[Move, ...]:
    if draw(st.booleans()):
        return (Send(ALL_PARTS), Reply(ALL_PARTS))
    phase = draw(st.sampled_from(Phase))
    says = st.builds(lambda action: Say((action,)), actions(phase, setting.config))
    if setting.second is not None:
        says |= st.builds(lambda action: Say((action,), second=True), actions(phase, setting.second))
    steps: st.SearchStrategy[list[Move]] = st.lists(
        st.one_of(
            st.builds(Send, st.integers(1, 2)),
            st.builds(Send, st.integers(1, 2)),
            st.builds(Reply, st.integers(1, 2), st.booleans()),
            says,
            st.builds(Leave, st.just(True)) if draw(st.integers(0, 9)) == 0 else says,
            *([st.just(Pass(2 * SHORT))] if setting.hurries(SHORT) else []),
        ),
        max_size=8,
    )
    end: tuple[Move, ...] = (Leave(),) if draw(st.integers(0, 11)) == 0 else (Send(ALL_PARTS), Reply(ALL_PARTS))
    return (Send(), *draw(steps), *end)


@st.composite
def _talk(draw: st.DrawFn, setting: Setting) -> tuple[Move, ...]:
    """A request whose end nobody waits for."""
    phase = draw(st.sampled_from(Phase))
    says = st.builds(lambda action: Say((action,)), actions(phase, setting.config))
    steps: st.SearchStrategy[list[Move]] = st.lists(
        st.one_of(st.just(Send()), st.just(Reply(1, early=True)), st.just(Reply(1, early=True)), says), max_size=8
    )
    return (Send(), *draw(steps), Reply(ALL_PARTS, early=True), Send(ALL_PARTS))


@st.composite
def _scripts(draw: st.DrawFn, config: ExtProcConfig) -> dict[Phase, Doing]:
    phases = draw(st.lists(st.sampled_from(Phase), unique=True, max_size=3))
    return {phase: draw(doings(phase, config)) for phase in phases}


@st.composite
def scenarios(draw: st.DrawFn, settings: Sequence[Setting]) -> Scenario:
    """An exchange at one of the listeners."""
    setting = draw(st.sampled_from(settings))
    upgrades = _may_upgrade(setting) and draw(st.integers(1, _UPGRADES_ONE_IN)) == _UPGRADES_ONE_IN
    request = draw(_handshakes() if upgrades else _requests())
    second = setting.second
    return Scenario(
        "found",
        setting.config,
        draw(_scripts(setting.config)),
        request,
        draw(_agreements() if upgrades else _responses(request)),
        moves=draw(_talk(setting) if upgrades else _moves(setting)),
        http2=setting.http2,
        context=Context(metadata=GIVEN),
        second=None if second is None else Second(second, draw(_scripts(second))),
    )
