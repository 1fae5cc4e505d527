"""One filter, all modes: what it decides and what becomes of the body hang neither on the mode nor on the cuts."""

from __future__ import annotations

import tracemalloc
from collections.abc import AsyncIterator, Callable, Sequence
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from extproc import BodyMode, Chain, Exchange, Filter, PhaseError, Response, Use
from extproc.machine import ExchangeMachine
from extproc.messages import Abort, Immediate, Protocol, RawHeaders
from extproc.phases import Direction, Phase
from tests.acting import acting_with
from tests.carrying import IN_ALL, Passed, Replied, carry
from tests.envoy_side import body, request
from tests.jumping_loop import LoopClock, run

LINE: dict[Direction, RawHeaders] = {
    Direction.REQUEST: [(":method", b"POST"), (":path", b"/"), (":authority", b"a"), (":scheme", b"http")],
    Direction.RESPONSE: [(":status", b"200")],
}
SUM: RawHeaders = [("x-sum", b"1")]

both_ways = pytest.mark.parametrize("direction", Direction)
in_all_modes = pytest.mark.parametrize("mode", IN_ALL, ids=lambda mode: mode.name)


def side(exchange: Exchange, direction: Direction) -> Any:
    return exchange.request if direction is Direction.REQUEST else exchange.response


Make = Callable[[Direction], Filter]


def whole(do: Callable[[Any], Response | None]) -> Make:
    """A filter that has the body whole."""
    return lambda direction: acting_with({f"on_{direction.value}_body": lambda x: do(side(x, direction))})


def pieces(do: Callable[[Exchange, bytes], bytes | Response | None]) -> Make:
    """A filter that takes the body in pieces."""
    return lambda direction: acting_with({f"on_{direction.value}_chunk": do})


def upper(message: Any) -> None:
    message.body = message.body.upper()


def twice(message: Any) -> None:
    message.body += message.body


def guard(message: Any) -> Response | None:
    return Response(403, "no") if b"evil" in message.body.lower() else None


def rot(exchange: Exchange, chunk: bytes) -> bytes:
    return bytes(255 - byte for byte in chunk)


def late(exchange: Exchange, chunk: bytes) -> bytes:
    """Holds everything back until the end."""
    exchange.state.setdefault("held", []).append(chunk)
    return b"".join(exchange.state["held"]) if not chunk else b""


def counted(exchange: Exchange, chunk: bytes) -> bytes | None:
    exchange.state["size"] = exchange.state.get("size", 0) + len(chunk)
    return b"<%d>" % exchange.state["size"] if not chunk else None


def window(exchange: Exchange, chunk: bytes) -> bytes:
    """Replaces a word wherever it was cut, by holding back as much as could be the beginning of one."""
    seen: bytes = exchange.state.pop("tail", b"") + chunk
    done: bytes = seen.replace(b"evil", b"good")
    if not chunk:
        return done
    keep = next((n for n in (3, 2, 1) if done.endswith(b"evil"[:n])), 0)
    exchange.state["tail"] = done[len(done) - keep :]
    return done[: len(done) - keep]


FILTERS: dict[str, Make] = {
    "upper": whole(upper),
    "twice": whole(twice),
    "guard": whole(guard),
    "empty": whole(lambda message: setattr(message, "body", b"")),
    "rot": pieces(rot),
    "late": pieces(late),
    "counted": pieces(counted),
    "window": pieces(window),
    "nothing": pieces(lambda exchange, chunk: b""),
}

BODIES = st.binary(max_size=40) | st.sampled_from([b"evil", b"an evil word", b"eevileviil", b"z" * 70_000])


def cut(body: bytes, places: Sequence[int]) -> list[bytes]:
    ends = sorted({place % (len(body) + 1) for place in places} | {len(body)})
    return [body[start:end] for start, end in zip([0, *ends], ends, strict=False) if end > start] or [b""]


@st.composite
def chains(draw: st.DrawFn) -> list[str]:
    names: list[str] = draw(st.lists(st.sampled_from(sorted(FILTERS)), min_size=1, max_size=4))
    return [name for number, name in enumerate(names) if name not in names[:number]]


@settings(deadline=None)
@given(names=chains(), body=BODIES, places=st.lists(st.integers(0, 10**6), max_size=6), data=st.data())
def test_neither_mode_nor_cuts_decide(names: list[str], body: bytes, places: list[int], data: st.DataObject) -> None:
    direction = data.draw(st.sampled_from(Direction))
    chain = Chain([FILTERS[name](direction) for name in names])
    wanted = carry(chain, BodyMode.BUFFERED, direction, LINE[direction], [body])
    for mode in IN_ALL:
        got = carry(chain, mode, direction, LINE[direction], cut(body, places))
        assert got == wanted


@settings(deadline=None)
@given(names=chains(), body=BODIES.filter(bool), places=st.lists(st.integers(0, 10**6), max_size=6), data=st.data())
def test_trailers_change_nothing_where_the_body_can_wait_for_them(
    names: list[str], body: bytes, places: list[int], data: st.DataObject
) -> None:
    direction = data.draw(st.sampled_from(Direction))
    chain = Chain([FILTERS[name](direction) for name in names])
    wanted = carry(chain, BodyMode.BUFFERED, direction, LINE[direction], [body], SUM)
    got = carry(chain, BodyMode.FULL_DUPLEX_STREAMED, direction, LINE[direction], cut(body, places), SUM)
    assert got == wanted


@both_ways
@pytest.mark.parametrize("name", FILTERS)
@pytest.mark.parametrize("policy", ["deny", "skip"])
def test_what_is_held_back_and_cannot_go_out_before_trailers_fails_loudly(
    name: str, policy: Any, direction: Direction, caplog: pytest.LogCaptureFixture
) -> None:
    """In STREAMED mode, Envoy takes nothing of a body any more once it asks about trailers."""
    chain = Chain([Use(FILTERS[name](direction), name="holder", on_error=policy)])
    got = carry(chain, BodyMode.STREAMED, direction, LINE[direction], [b"ab", b"cd"], SUM)
    if name in ("rot", "nothing", "window", "empty"):
        assert isinstance(got, Passed)
        assert got.trailers == SUM
    else:
        assert got == Immediate(500, details="extproc.holder.error")
    assert ("trailers follow" in caplog.text) is not isinstance(got, Passed)


@both_ways
@in_all_modes
def test_no_body_is_a_body_too(mode: BodyMode, direction: Direction) -> None:
    seen: list[bytes] = []
    chunked = acting_with({f"on_{direction.value}_chunk": lambda x, chunk: seen.append(chunk)})
    chain = Chain([chunked, FILTERS["guard"](direction)])
    for chunks, trailers in (([], None), ([b""], None), ([b""], SUM)):
        got = carry(chain, mode, direction, LINE[direction], chunks, trailers)
        assert got == Passed(LINE[direction], b"", trailers)
        assert seen == [b""]
        seen.clear()


@both_ways
@in_all_modes
@pytest.mark.parametrize("last", [False, True])
def test_a_hook_for_pieces_edits_no_headers_in_any_mode(mode: BodyMode, direction: Direction, last: bool) -> None:
    """In some they have left; a filter that works in the others would break there."""
    raised: list[bytes] = []

    def edit(exchange: Exchange, chunk: bytes) -> None:
        message = side(exchange, direction)
        with pytest.raises(PhaseError, match="in pieces"):
            message.headers["x-a"] = "1"
        with pytest.raises(PhaseError):
            message.body = b""
        with pytest.raises(PhaseError):
            _ = message.body
        raised.append(chunk)

    chain = Chain([pieces(edit)(direction)])
    assert carry(chain, mode, direction, LINE[direction], [b"a", b"b"]) == Passed(LINE[direction], b"ab")
    assert raised[-1] == b""


@both_ways
@in_all_modes
def test_a_hook_for_the_whole_body_edits_headers_where_envoy_holds_them(mode: BodyMode, direction: Direction) -> None:
    def edit(message: Any) -> None:
        message.headers["x-size"] = str(len(message.body))

    got = carry(Chain([whole(edit)(direction)]), mode, direction, LINE[direction], [b"a", b"b"])
    if mode is not BodyMode.STREAMED:
        assert got == Passed([*LINE[direction], ("x-size", b"2")], b"ab")
    else:
        assert got == Immediate(500, details="extproc.acting.error")


@both_ways
@in_all_modes
def test_a_value_added_to_a_header_leaves_those_there_are_where_the_answer_waits_for_the_body(
    mode: BodyMode, direction: Direction
) -> None:
    def add(exchange: Exchange) -> None:
        side(exchange, direction).headers.add("x-a", "2")

    headers: RawHeaders = [*LINE[direction], ("x-a", b"1")]
    chain = Chain([FILTERS["guard"](direction), acting_with({f"on_{direction.value}_headers": add})])
    got = carry(chain, mode, direction, headers, [b"ab"])
    assert got == Passed([*headers, ("x-a", b"2")], b"ab")


@both_ways
@in_all_modes
@pytest.mark.parametrize("fails_at", [b"a", b"b", b""])
def test_who_may_be_skipped_and_changed_nothing_is_skipped_in_the_middle(
    mode: BodyMode, direction: Direction, fails_at: bytes
) -> None:
    def fail(exchange: Exchange, chunk: bytes) -> None:
        if chunk.endswith(fails_at):
            raise ValueError("spoilt")

    chain = Chain([Use(pieces(fail)(direction), on_error="skip"), FILTERS["counted"](direction)])
    got = carry(chain, mode, direction, LINE[direction], [b"a", b"b"])
    assert got == Passed(LINE[direction], b"ab<2>")


@in_all_modes
def test_who_has_changed_the_beginning_cannot_be_left_out_of_the_rest(mode: BodyMode) -> None:
    def half(exchange: Exchange, chunk: bytes) -> bytes:
        if not chunk:
            raise ValueError("spoilt")
        return chunk.upper()

    chain = Chain([Use(pieces(half)(Direction.REQUEST), name="half", on_error="skip")])
    got = carry(chain, mode, Direction.REQUEST, LINE[Direction.REQUEST], [b"a", b"b"])
    assert got == Immediate(500, details="extproc.half.error")


@both_ways
@pytest.mark.parametrize("mode", IN_ALL, ids=lambda mode: mode.name)
@pytest.mark.parametrize("policy", ["deny", "skip"])
def test_a_body_over_the_limit_fails_who_wants_it_whole(
    mode: BodyMode, policy: Any, direction: Direction, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tests.carrying.MAX_BODY", 3)
    guarding = Use(FILTERS["guard"](direction), name="guard", on_error=policy)
    chain = Chain([guarding, FILTERS["counted"](direction)])
    got = carry(chain, mode, direction, LINE[direction], [b"ab", b"cd"])
    if policy == "skip":
        assert got == Passed(LINE[direction], b"abcd<4>")
    elif direction is Direction.REQUEST:
        assert got == Immediate(413, details="extproc.guard.error")
    else:
        assert got == Immediate(500, details="extproc.guard.error")


@both_ways
@pytest.mark.parametrize("mode", [BodyMode.NONE, BodyMode.GRPC])
@pytest.mark.parametrize("name", ["guard", "rot"])
@pytest.mark.parametrize("policy", ["deny", "skip"])
def test_who_is_not_shown_the_body_fails(
    mode: BodyMode, name: str, policy: Any, direction: Direction, caplog: pytest.LogCaptureFixture
) -> None:
    """Else a misconfigured Envoy would walk requests past it; mode GRPC does not do in Envoy what its name says."""
    chain = Chain([Use(FILTERS[name](direction), name="blind", on_error=policy)])
    got = carry(chain, mode, direction, LINE[direction], [b"ab"])
    if policy == "skip":
        assert isinstance(got, Passed)
    else:
        assert got == Immediate(500, details="extproc.blind.error")
    assert f"set {direction.value}_body_mode to BUFFERED" in caplog.text


@both_ways
@pytest.mark.parametrize("name", ["guard", "rot"])
@pytest.mark.parametrize("length", [None, b"1", b"3"])
def test_a_part_of_a_body_is_not_taken_for_the_whole(
    length: bytes | None, name: str, direction: Direction, caplog: pytest.LogCaptureFixture
) -> None:
    """In BUFFERED_PARTIAL, Envoy lets the rest of a large body pass; it says the same of a whole one with trailers."""
    chain = Chain([Use(FILTERS[name](direction), name="blind")])
    headers = LINE[direction] + ([] if length is None else [("content-length", length)])
    got = carry(chain, BodyMode.BUFFERED_PARTIAL, direction, headers, [b"a", b"b"], SUM)
    assert got == Immediate(500, details="extproc.blind.error")
    assert "set the body mode to BUFFERED or FULL_DUPLEX_STREAMED" in caplog.text


@both_ways
def test_it_is_the_whole_where_content_length_says_so(direction: Direction) -> None:
    """Envoy holds a message to its content-length."""
    headers: RawHeaders = [*LINE[direction], ("content-length", b"2")]
    chain = Chain([FILTERS["upper"](direction)])
    got = carry(chain, BodyMode.BUFFERED_PARTIAL, direction, headers, [b"a", b"b"], SUM)
    assert got == Passed(headers, b"AB", SUM)


@both_ways
@in_all_modes
def test_a_filter_may_say_that_it_does_not_want_the_body(mode: BodyMode, direction: Direction) -> None:
    def seen(*_: Any) -> None:
        raise AssertionError

    bored = acting_with({f"on_{direction.value}_headers": lambda x: x.skip_body(), f"on_{direction.value}_body": seen})
    got = carry(Chain([bored, FILTERS["rot"](direction)]), mode, direction, LINE[direction], [b"a", b"b"])
    assert got == Passed(LINE[direction], b"\x9e\x9d")


@both_ways
@in_all_modes
@pytest.mark.parametrize("trailers", [None, SUM])
def test_a_body_replaced_with_the_headers_takes_the_place_of_what_comes(
    mode: BodyMode, direction: Direction, trailers: RawHeaders | None
) -> None:
    early = acting_with({f"on_{direction.value}_headers": lambda x: setattr(side(x, direction), "body", b"new")})
    chain = Chain(
        [early, FILTERS["rot"](direction)] if direction is Direction.REQUEST else [FILTERS["rot"](direction), early]
    )
    got = carry(chain, mode, direction, LINE[direction], [b"old", b"er"], trailers)
    assert isinstance(got, Passed)
    assert got.body == rot(None, b"new")  # type: ignore[arg-type]


# A response in pieces


async def three(fail: bool = False) -> AsyncIterator[bytes]:
    yield b"one "
    yield b""
    yield b"two "
    if fail:
        raise ValueError("spoilt")
    yield b"three"


STREAMS_REPLIES = (BodyMode.NONE, BodyMode.FULL_DUPLEX_STREAMED)


@pytest.mark.parametrize("mode", BodyMode)
@pytest.mark.parametrize("chunks", [[], [b"body"]])
def test_a_response_may_come_in_pieces(mode: BodyMode, chunks: list[bytes]) -> None:
    def serve(exchange: Exchange) -> Response:
        return Response(202, three(), {"x-a": "1"})

    tag = acting_with({"on_response_headers": lambda x: x.response.headers.add("x-b", "2")})
    shout = acting_with({"on_response_chunk": lambda x, chunk: chunk.upper()})
    chain = Chain([tag, shout, acting_with({"on_request_headers": serve})])
    got = carry(chain, mode, Direction.REQUEST, LINE[Direction.REQUEST], chunks)
    if mode in STREAMS_REPLIES:
        assert got == Replied(
            [(":status", b"202"), ("x-a", b"1"), ("x-b", b"2")], [b"ONE ", b"TWO ", b"THREE", b""], ended=True
        )
    else:
        assert isinstance(got, Immediate)
        assert (got.status, got.body) == (202, b"ONE TWO THREE")


def test_one_that_a_filter_before_it_wants_whole_is_gathered() -> None:
    chain = Chain(
        [whole(upper)(Direction.RESPONSE), acting_with({"on_request_headers": lambda x: Response(200, three())})]
    )
    got = carry(chain, BodyMode.NONE, Direction.REQUEST, LINE[Direction.REQUEST], [])
    assert isinstance(got, Immediate)
    assert got.body == b"ONE TWO THREE"


@pytest.mark.parametrize(("mode", "status"), [(BodyMode.NONE, None), (BodyMode.BUFFERED, 500)])
def test_one_that_breaks_off_breaks_the_clients_off(mode: BodyMode, status: int | None) -> None:
    chain = Chain([Use(acting_with({"on_request_headers": lambda x: Response(200, three(fail=True))}), name="half")])
    got = carry(chain, mode, Direction.REQUEST, LINE[Direction.REQUEST], [])
    if status is None:
        assert got == Abort("INTERNAL", "extproc.half.error")
    else:
        assert got == Immediate(status, details="extproc.half.error")


def test_to_head_none_of_it_goes_out() -> None:
    closed: list[bool] = []

    async def never() -> AsyncIterator[bytes]:
        try:
            yield b"x"
        finally:
            closed.append(True)

    chain = Chain([acting_with({"on_request_headers": lambda x: Response(200, never())})])
    got = carry(chain, BodyMode.NONE, Direction.REQUEST, [(":method", b"HEAD"), *LINE[Direction.REQUEST][1:]], [])
    assert got == Immediate(200, details="extproc.acting")


# Memory


@pytest.mark.parametrize("size", [1, 2, 700])
def test_what_is_held_of_a_body_in_small_pieces_takes_no_more_memory_than_it_counts(size: int) -> None:
    """Else a client that sends a byte at a time would have many times what the limit allows it."""
    chain = Chain([FILTERS["guard"](Direction.REQUEST)])
    streamed = Protocol(BodyMode.STREAMED, BodyMode.STREAMED)

    async def scene() -> tuple[int, int]:
        machine = ExchangeMachine(chain, "x-1", clock=LoopClock())
        await machine.receive(request(method="POST", end=False, protocol=streamed))
        tracemalloc.start()
        try:
            for number in range(10_000 // size):
                await machine.receive(body(Phase.REQUEST_BODY, bytes([number % 256]) * size, end=False))
            taken = tracemalloc.get_traced_memory()[0]
        finally:
            tracemalloc.stop()
        budget = machine.exchange._budget
        await machine.close()
        assert budget is not None
        return taken, budget.peak

    taken, counted = run(scene())
    assert taken < 3 * counted  # small pieces by themselves would take twenty times as much
