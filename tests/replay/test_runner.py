"""A replay: the same chain does the same again, and another one is caught at what it does otherwise."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import SecretStr

from extproc import CaptureError, Chain, Exchange, Filter, Use
from extproc.envoy.model import HttpMessage
from extproc.messages import Continue, Message, Protocol
from extproc.phases import BodyMode, Phase
from extproc.replay.capture import CapturedExchange, CapturedMessage, Footer, Header
from extproc.replay.codec import encode_exchange
from extproc.replay.diff import Comparison, Difference, Verdict
from extproc.replay.files import CaptureWriter
from extproc.replay.pseudonym import KEY_FILE
from tests.replay.filters import Append, Counter, Dice, Edit, Fragile, Guard, JsonBody, Peer, Stamp, Trailers, varied
from tests.replay.live import NOON, Live, get, post, record, reply, rerun


def verdicts(found: dict[str, Comparison]) -> list[Verdict]:
    return [found[name].verdict for name in sorted(found)]


SAME, DIFFERENT, NOT_CAPTURED, INCOMPLETE = Verdict


@pytest.fixture(scope="module", autouse=True)
def quiet() -> Iterator[None]:
    """Some of these filters fail all the time."""
    logger = logging.getLogger("extproc")
    logger.setLevel(logging.CRITICAL)
    yield
    logger.setLevel(logging.NOTSET)


# The same chain, the same outcome

_KEYS = st.sampled_from([b"wonderland", b"builder-of-things", b"a guess", b""])
_BODY = st.sampled_from([b"", b"{}", b'{"password": "hunter2hunter2", "a": [1]}', b"not json", b"\xff\x00"])
_HEADERS = st.lists(
    st.sampled_from(
        [
            ("x-edit", b"zero"),
            ("x-break", b"request"),
            ("x-break", b"response"),
            ("x-any", b"\xff"),
            ("x-any", b""),
            ("cookie", b"sid=abcdefghijklmnopqrst; b=1"),
            ("authorization", b"Bearer abcdefgh"),
            ("authorization", b"\xff"),
        ]
    ),
    max_size=3,
)
_TRAILERS: st.SearchStrategy[Any] = st.none() | st.just([("x-trailer", b"0"), ("x-token", b"secret-in-trailer")])
_TIMES = st.sampled_from([0.0, 0.25, 0.5, 1.0])


@st.composite
def _lives(draw: st.DrawFn) -> Live:
    headers = [("x-key", draw(_KEYS)), *draw(_HEADERS)]
    requests: st.SearchStrategy[HttpMessage] = st.one_of(
        st.sampled_from(["/", "/?access_token=wonderland", "/?access_token=stolen-token", "/a%20b?x=1"]).map(
            lambda path: get(path, *headers)
        ),
        st.just(get("/", *headers, method="HEAD")),
        st.builds(lambda body, trailers: post(body, *headers, trailers=trailers), _BODY.filter(len), _TRAILERS),
        _BODY.map(lambda body: post((body[:1], body[1:]), *headers)),
    )
    response = reply(
        draw(st.sampled_from([200, 201, 500])),
        ("set-cookie", b"id=1; Path=/"),
        body=draw(_BODY),
        trailers=draw(_TRAILERS),
    )
    pauses = draw(st.lists(_TIMES, max_size=4))
    return Live(draw(requests), response, draw(_TIMES), pauses, {"source.address": "127.0.0.1:5"})


@given(st.lists(_lives(), min_size=1, max_size=6), st.booleans())
@settings(deadline=None)
def test_the_same_chain_always_comes_to_the_same(traffic: list[Live], redact: bool) -> None:
    """Whatever filters do (count, roll dice, fail, answer) and however exchanges overlap, recorded and redacted."""
    with TemporaryDirectory() as directory:
        path = asyncio.run(record(Path(directory), Chain(varied()), traffic, redact=redact))
        found, notes = asyncio.run(rerun(path, Chain(varied())))
    assert {name: item for name, item in found.items() if item.verdict is not SAME} == {}
    assert len(found) == len(traffic)
    assert notes == []


async def test_exchanges_that_overlapped_overlap_again(tmp_path: Path) -> None:
    """The responses are numbered as they came: by message, not by exchange."""
    slow = Live(get(), reply(), 0.0, [0.0, 5.0])
    quick = Live(get(), reply(), 1.0, [0.0, 1.0])
    path = await record(tmp_path, Chain([Counter(limit=9)]), [slow, quick])
    found, _ = await rerun(path, Chain([Counter(limit=9)]))
    assert verdicts(found) == [SAME, SAME]


async def test_filters_see_the_time_of_the_recording(tmp_path: Path) -> None:
    path = await record(tmp_path, Chain([Edit()]), [Live(get(), reply(), 0.5, [0.0, 0.75])])
    found, _ = await rerun(path, Chain([Edit(), Stamp()]))
    assert [(difference.side, difference.after) for difference in found["e-0"].differences] == [
        ("request", (repr(NOON + 0.5).encode(),)),
        ("response", (repr(NOON + 1.25).encode(),)),
    ]


# What differs, and by whom

LIVES = [Live(get("/", ("x-key", b"wonderland")), reply(), number / 10) for number in range(3)]


async def differences(tmp_path: Path, before: list[Any], after: list[Any], *traffic: Live) -> list[Difference]:
    path = await record(tmp_path, Chain(before), traffic or LIVES[:1])
    found, _ = await rerun(path, Chain(after))
    return [difference for name in sorted(found) for difference in found[name].differences]


async def test_a_request_that_is_now_refused(tmp_path: Path) -> None:
    found = await differences(tmp_path, varied(), varied(counter=Counter(limit=2), late=None), *LIVES)
    assert found == []
    found = await differences(tmp_path, varied(), varied(counter=Counter(limit=1)), *LIVES)
    assert found == [Difference("decision", "", (b"forwarded",), (b"429 by counter",), "counter")]


async def test_a_request_that_is_now_let_through(tmp_path: Path) -> None:
    found = await differences(tmp_path, varied(), varied(counter=Counter(limit=3)), *LIVES)
    assert found == [Difference("decision", "", (b"429 by counter",), (b"forwarded",), "counter")]


async def test_a_request_that_another_filter_refuses(tmp_path: Path) -> None:
    stranger = Live(get("/", ("x-key", b"a guess")), reply())
    found = await differences(tmp_path, varied(), varied(guard=None, counter=Counter(limit=0)), stranger)
    assert found == [Difference("decision", "", (b"401 by guard",), (b"429 by counter",), "counter")]


async def test_a_response_that_is_now_replaced(tmp_path: Path) -> None:
    broken = Live(get("/", ("x-key", b"wonderland")), reply(500))
    found = await differences(tmp_path, varied(late=None), varied(), broken)
    assert found == [Difference("decision", "", (b"forwarded",), (b"forwarded, then 502 by late",), "late")]


Case = tuple[str, list[Any], list[Any], Live, list[Difference]]
PLAIN = Live(get(), reply(200, ("x-edit", b"zero")))
JSON = Live(post(b'{"a": 1}'), reply(body=b"yes"))
TRAILED = Live(post(b"{}", trailers=[("x-trailer", b"0")]), reply(trailers=[("x-trailer", b"0")]))
CASES: list[Case] = [
    (
        "a filter that sets another value",
        [Edit(request="one"), Dice()],
        [Edit(request="two"), Dice()],
        PLAIN,
        [Difference("request", "x-edit", (b"one",), (b"two",), "edit")],
    ),
    (
        "one occurrence of several in a response",
        [Edit(response="one")],
        [Edit(response="two")],
        PLAIN,
        [Difference("response", "x-edit", (b"zero", b"one"), (b"zero", b"two"), "edit")],
    ),
    (
        "a filter that is new",
        [Dice()],
        [Dice(), Edit(request="one")],
        PLAIN,
        [Difference("request", "x-edit", (), (b"one",), "edit")],
    ),
    (
        "a filter that is gone",
        [Edit(request="one"), Dice()],
        [Dice()],
        PLAIN,
        [Difference("request", "x-edit", (b"one",), (), "edit")],
    ),
    (
        "a filter whose edit a later one builds upon",
        [Edit(request="one"), Append()],
        [Edit(request="two"), Append()],
        PLAIN,
        [Difference("request", "x-edit", (b"one+",), (b"two+",), "edit")],
    ),
    (
        "a filter that is gone, under one that built upon it",
        [Edit(request="one"), Append()],
        [Append()],
        PLAIN,
        [Difference("request", "x-edit", (b"one+",), (b"+",), "edit")],
    ),
    (
        "a later filter, upon the same",
        [Edit(request="one"), Append()],
        [Edit(request="one"), Append(text="-")],
        PLAIN,
        [Difference("request", "x-edit", (b"one+",), (b"one-",), "append")],
    ),
    (
        "bodies, and the length that follows from them",
        [JsonBody(mark="a"), Edit()],
        [JsonBody(mark="bc"), Edit()],
        JSON,
        [
            Difference("request", "content-length", (b"30",), (b"31",), "json_body"),
            Difference(
                "request",
                "body",
                (b'{"was": {"a": 1}, "mark": "a"}',),
                (b'{"was": {"a": 1}, "mark": "bc"}',),
                "json_body",
            ),
            Difference("response", "content-length", (b"4",), (b"5",), "json_body"),
            Difference("response", "body", (b"yesa",), (b"yesbc",), "json_body"),
        ],
    ),
    (
        "trailers",
        [Trailers(mark="1")],
        [Trailers(mark="2")],
        TRAILED,
        [
            Difference("request", "trailer x-trailer", (b"1",), (b"2",), "trailers"),
            Difference("response", "trailer x-trailer", (b"1",), (b"2",), "trailers"),
        ],
    ),
    (
        "what a filter says when it refuses",
        [Guard(callers={"a": SecretStr("wonderland")})],
        [Use(Counter(limit=0), name="guard")],
        PLAIN,
        [Difference("decision", "", (b"401 by guard",), (b"429 by guard",), "guard")],
    ),
    (
        "a filter that fails and is left out",
        [Fragile(name="x-other")],
        [Fragile()],
        Live(get("/", ("x-break", b"request")), reply()),
        [
            Difference(
                "filter",
                "fragile in request_headers",
                (b"worked",),
                (b"failed: RuntimeError: broken on request",),
                "fragile",
            )
        ],
    ),
]


@pytest.mark.parametrize(
    ("before", "after", "live", "expected"), [pytest.param(*case[1:], id=case[0]) for case in CASES]
)
async def test_a_difference_is_laid_at_the_door_of_its_filter(
    tmp_path: Path, before: list[Any], after: list[Any], live: Live, expected: list[Difference]
) -> None:
    assert await differences(tmp_path, before, after, live) == expected


async def test_only_what_differs_by_more_than_ignored_headers_counts(tmp_path: Path) -> None:
    path = await record(tmp_path, Chain([Edit(request="one")]), [PLAIN])
    found, _ = await rerun(path, Chain([Edit(request="two")]), ignored=["X-Edit"])
    assert verdicts(found) == [SAME]


class Reroute(Filter):
    """Has the route chosen anew."""

    again: bool

    def on_request_headers(self, exchange: Exchange) -> None:
        exchange.request.headers["x-tag"] = "1"
        if self.again:
            exchange.clear_route_cache()


async def test_a_route_that_is_no_longer_chosen_anew_is_a_difference(tmp_path: Path) -> None:
    found = await differences(tmp_path, [Reroute(again=True)], [Reroute(again=False)], PLAIN)
    assert found == [Difference("request", "route", (b"chosen anew",), (b"kept",))]


# What cannot be told


async def test_a_response_that_nobody_knows_is_not_invented(tmp_path: Path) -> None:
    """The recorded filter answered; the new chain lets the request through, and there is no response to go on with."""
    path = await record(tmp_path, Chain([Counter(limit=0), Edit(response="x")]), [PLAIN])
    found, notes = await rerun(path, Chain([Counter(limit=1), Edit(response="x")]))
    assert found["e-0"].differences == (Difference("decision", "", (b"429 by counter",), (b"forwarded",), "counter"),)
    assert notes == []


@pytest.mark.parametrize(
    ("wanted", "reason"),
    [
        (Edit(response="x"), "the capture holds no response: nobody asked Envoy for it when this was recorded"),
        (JsonBody(), "the capture holds no request_body: nobody asked Envoy for it when this was recorded"),
    ],
)
async def test_what_the_recorded_chain_did_not_ask_for_cannot_be_replayed(
    tmp_path: Path, wanted: Filter, reason: str
) -> None:
    path = await record(tmp_path, Chain([Dice()]), [JSON])
    found, _ = await rerun(path, Chain([Dice(), wanted]))
    assert (found["e-0"].verdict, found["e-0"].reason) == (NOT_CAPTURED, reason)


async def test_a_request_without_a_body_needs_none_in_the_capture(tmp_path: Path) -> None:
    path = await record(tmp_path, Chain([Edit(response="x")]), [Live(get(), reply(body=b""))])
    found, _ = await rerun(path, Chain([Edit(response="x"), JsonBody()]))
    assert verdicts(found) == [SAME]


async def test_attributes_and_trailers_that_were_not_asked_for_are_noted(tmp_path: Path) -> None:
    path = await record(tmp_path, Chain([Edit(response="x")]), [PLAIN])
    _, notes = await rerun(path, Chain([Edit(response="x"), Peer(), Trailers()]))
    assert [note.split(": ")[1] for note in notes] == [
        "holds no attributes source.address",
        "holds no phases request_trailers, response_trailers",
    ]


# Recordings as Envoy and the weather make them


def capture(directory: Path, *messages: CapturedMessage, chain: Chain, ended: Any = "complete") -> Path:
    header = Header(1.0, "1", {link.name: link.on_error for link in chain.links}, chain.needs)
    writer = CaptureWriter(directory, header)
    writer.write(encode_exchange(CapturedExchange("e-0", messages, ended=ended)))
    writer.close(Footer(2.0, 1, 0))
    return writer.path


REQUEST = Message(Phase.REQUEST_HEADERS, get().headers, end_of_stream=True)
RESPONSE = Message(Phase.RESPONSE_HEADERS, [(":status", b"200")], end_of_stream=True)


async def test_a_recording_that_a_client_broke_off_is_told_apart(tmp_path: Path) -> None:
    chain = Chain([Edit(request="one")])
    path = capture(tmp_path, CapturedMessage(REQUEST, None, 1.0), chain=chain, ended="cancelled")
    found, _ = await rerun(path, chain)
    assert found["e-0"].verdict is INCOMPLETE
    assert found["e-0"].reason == "the recording ends at request_headers, unanswered"


async def test_an_exchange_that_envoy_answered_itself_has_a_response_only(tmp_path: Path) -> None:
    """Envoy's own replies reach the response phases without any request phase before them."""
    path = capture(
        tmp_path, CapturedMessage(RESPONSE, Continue(Phase.RESPONSE_HEADERS), 1.0), chain=Chain([Edit(response=None)])
    )
    found, _ = await rerun(path, Chain([Edit(response="new")]))
    assert found["e-0"].request == "(no request)"
    assert found["e-0"].differences == (Difference("response", "x-edit", (), (b"new",), "edit"),)


async def test_a_recording_in_observability_mode_had_no_answers_that_counted(tmp_path: Path) -> None:
    message = Message(Phase.REQUEST_HEADERS, get().headers, end_of_stream=True, observability=True)
    path = capture(tmp_path, CapturedMessage(message, None, 1.0), chain=Chain([Dice()]))
    found, _ = await rerun(path, Chain([Dice()]))
    assert verdicts(found) == [SAME]


async def test_a_body_that_envoy_sent_otherwise_than_asked_is_sent_so_again(tmp_path: Path) -> None:
    """A filter that wanted a body which was not sent failed then, and has to fail now."""
    path = await record(tmp_path, Chain([JsonBody()]), [Live(get(), reply())])
    message = Message(
        Phase.REQUEST_HEADERS,
        post(b"{}").headers,
        protocol=Protocol(BodyMode.NONE, BodyMode.BUFFERED),
        end_of_stream=False,
    )
    refused = (await rerun(path, Chain([JsonBody()])))[0]
    assert verdicts(refused) == [SAME]
    path = capture(tmp_path, CapturedMessage(message, Continue(Phase.REQUEST_HEADERS), 1.0), chain=Chain([JsonBody()]))
    found, _ = await rerun(path, Chain([JsonBody()]))
    assert found["e-0"].differences[0].after == (b"500 by json_body",)


async def test_a_body_larger_than_envoy_s_default_was_possible_and_is(tmp_path: Path) -> None:
    body = b'"' + b"x" * 2_000_000 + b'"'
    messages = [
        CapturedMessage(Message(Phase.REQUEST_HEADERS, post(body).headers), Continue(Phase.REQUEST_HEADERS), 1.0),
        CapturedMessage(Message(Phase.REQUEST_BODY, body=body, end_of_stream=True), Continue(Phase.REQUEST_BODY), 1.0),
    ]
    path = capture(tmp_path, *messages, chain=Chain([Large()]))
    found, _ = await rerun(path, Chain([Large()]))
    assert verdicts(found) == [SAME]


class Large(Filter):
    """Wants the body, and leaves it."""

    def on_request_body(self, exchange: Exchange) -> None: ...


# Secrets

CALLER = Live(get("/", ("x-key", b"wonderland"), ("authorization", b"Bearer abcdefghi")), reply())


async def test_a_caller_whose_secret_the_chain_holds_is_still_admitted(tmp_path: Path) -> None:
    path = await record(tmp_path, Chain(varied()), [CALLER])
    assert b"wonderland" not in path.read_bytes()
    found, _ = await rerun(path, Chain(varied()))
    assert verdicts(found) == [SAME]


async def test_a_caller_whose_secret_was_changed_is_refused(tmp_path: Path) -> None:
    path = await record(tmp_path, Chain(varied()), [CALLER])
    other = Guard(callers={"alice": SecretStr("another-secret")})
    found, _ = await rerun(path, Chain(varied(guard=other)))
    assert found["e-0"].differences == (Difference("decision", "", (b"forwarded",), (b"401 by guard",), "guard"),)


async def test_differences_show_pseudonyms_only(tmp_path: Path) -> None:
    """The answer of `guard` names the secret that it was given."""
    stranger = Live(get("/", ("x-key", b"wonderland")), reply())
    path = await record(tmp_path, Chain([Guard(callers={})]), [stranger])
    found, _ = await rerun(path, Chain([Use(Edit(), name="idle"), Guard(callers={"a": SecretStr("wonderland")})]))
    assert "wonderland" not in repr(found)
    assert found["e-0"].differences[0].after == (b"forwarded",)


async def test_without_the_key_it_says_how_many_exchanges_are_affected(tmp_path: Path) -> None:
    path = await record(tmp_path, Chain(varied()), [CALLER, Live(get(), reply())])
    key = (tmp_path / KEY_FILE).rename(tmp_path / "elsewhere")
    found, notes = await rerun(path, Chain(varied()))
    assert verdicts(found) == [DIFFERENT, SAME]
    (note,) = notes
    assert note.startswith(f"{tmp_path / KEY_FILE}: there is no redaction key beside the capture: 1 exchanges hold")
    assert note.endswith("give the key with --redaction-key")
    found, notes = await rerun(path, Chain(varied()), key=key)
    assert verdicts(found) == [SAME, SAME]
    assert notes == []


async def test_without_the_key_what_needs_no_secret_is_compared_all_the_same(tmp_path: Path) -> None:
    lives = [Live(get("/?token=abcdefgh", ("cookie", b"a=b")), reply(200, ("set-cookie", b"c=d")))]
    chain = [Edit(response="c=d", name="set-cookie")]
    path = await record(tmp_path, Chain(chain), lives)
    (tmp_path / KEY_FILE).unlink()
    found, _ = await rerun(path, Chain(chain))
    assert verdicts(found) == [SAME]


async def test_another_key_is_not_taken_for_the_right_one(tmp_path: Path) -> None:
    path = await record(tmp_path, Chain(varied()), [CALLER])
    (tmp_path / KEY_FILE).write_bytes(b"x" * 32)
    _, notes = await rerun(path, Chain(varied()))
    assert "is not the key that the capture was redacted with: 1 exchanges" in notes[0]
    with pytest.raises(CaptureError, match=r"is not the key that .* was redacted with"):
        await rerun(path, Chain(varied()), key=tmp_path / KEY_FILE)
