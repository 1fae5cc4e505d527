"""``--through envoy``: traffic of a real Envoy, replayed through another, is the same, and differs where it must."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from extproc import Chain
from extproc.cli import main
from extproc.cli.replay import through_envoy
from extproc.envoy.plain_http import PlainReply
from extproc.messages import Continue, Message
from extproc.phases import Phase
from extproc.replay.capture import CapturedExchange, CapturedMessage, Header
from extproc.replay.captures import Way
from extproc.replay.codec import encode_exchange
from extproc.replay.diff import Comparison, Difference, Verdict, compare
from extproc.replay.files import CaptureReader, CaptureWriter
from extproc.replay.recorder import Recorder
from extproc.replay.runner import replay as through_model
from extproc.replay.veil import Veil
from extproc.testing import Gateway
from tests.replay.filters import Counter, Dice, Edit, JsonBody, Peer, varied


@pytest.fixture(scope="module", autouse=True)
def quiet() -> Iterator[None]:
    """Some of these filters fail all the time."""
    logger = logging.getLogger("extproc")
    logger.setLevel(logging.CRITICAL)
    yield
    logger.setLevel(logging.NOTSET)


KEY = {"x-key": "wonderland"}
CHUNKED = PlainReply(
    status=200,
    headers=[(b"transfer-encoding", b"chunked"), (b"set-cookie", b"a=1"), (b"set-cookie", b"b=2; Path=/")],
    body=[b"in ", b"pieces"],
    trailers=[(b"x-trailer", b"0"), (b"x-more", b"1")],
)
COUNTED = PlainReply(status=200, headers=[(b"date", b"yesterday"), (b"content-type", b"text/plain")], body=[b"ok"])

Call = dict[str, Any]
CALLS: list[tuple[PlainReply, Call]] = [
    (COUNTED, {"method": "GET", "target": "/?q=%20", "headers": KEY}),
    (COUNTED, {"method": "GET", "target": "/?access_token=builder-of-things", "headers": {}}),
    (COUNTED, {"method": "GET", "target": "/", "headers": {"x-key": "a wild guess", "cookie": "sid=1; b=2"}}),
    (COUNTED, {"method": "HEAD", "target": "/", "headers": KEY}),
    (CHUNKED, {"method": "GET", "target": "/", "headers": KEY}),
    (replace(COUNTED, status=204, body=[]), {"method": "DELETE", "target": "/", "headers": KEY}),
    (replace(COUNTED, status=304, body=[]), {"method": "GET", "target": "/", "headers": KEY}),
    (replace(COUNTED, status=500), {"method": "GET", "target": "/", "headers": KEY}),
    (COUNTED, {"method": "POST", "target": "/", "headers": KEY, "body": b'{"password": "hunter2hunter2"}'}),
    (COUNTED, {"method": "POST", "target": "/", "headers": KEY, "body": b"not json"}),
    (COUNTED, {"method": "POST", "target": "/", "headers": KEY, "body": [b"{", b"}"]}),
    (COUNTED, {"method": "POST", "target": "/", "headers": KEY, "body": []}),
    (CHUNKED, {"method": "POST", "target": "/", "headers": KEY, "body": [b"{}"], "trailers": [(b"x-trailer", b"9")]}),
    (
        COUNTED,
        {"method": "GET", "target": "/", "headers": {**KEY, "x-break": "request", "authorization": "Bearer abcdefgh"}},
    ),
    (
        COUNTED,
        {"method": "GET", "target": "/", "headers": {**KEY, "x-break": "response", "x-forwarded-for": "1.2.3.4"}},
    ),
]


async def record(directory: Path, chain: Chain, calls: Sequence[tuple[PlainReply, Call]] = CALLS) -> Path:
    """Sends calls through a real Envoy, as a stranger to it, and records them."""
    with Recorder(directory, chain=chain) as recorder:
        async with Gateway(chain, observer=recorder) as gateway:
            for reply, call in calls:
                gateway.upstream.answer = reply
                await gateway.send(**call)
    assert recorder.recorded == len(calls)
    return recorder.path


async def rerun(path: Path, chain: Chain, way: Way | None = None) -> tuple[list[Comparison], list[str]]:
    found: list[Comparison] = []
    with CaptureReader(path) as reader:
        notes = await (way or through_envoy())(
            reader, chain, Veil(reader, chain), lambda done: found.append(compare(done))
        )
    return sorted(found, key=lambda item: int(item.id.rpartition("-")[2])), notes


def filters(**changes: Any) -> list[Any]:
    """All kinds, but for those that look at the connection."""
    return varied(peer=None, **{"counter": Counter(limit=1000), **changes})


async def test_the_same_chain_comes_to_the_same_through_envoy_and_through_the_model(tmp_path: Path) -> None:
    path = await record(tmp_path, Chain(filters()))
    assert b"wonderland" not in path.read_bytes()
    for way in (None, through_model):
        found, notes = await rerun(path, Chain(filters()), way)
        assert [item for item in found if item.verdict is not Verdict.SAME] == []
        assert len(found) == len(CALLS)
        assert notes == []


@pytest.mark.parametrize(
    "changes",
    [
        {"guard": None, "counter": None},
        {"late": None},
        {"edit": Edit(request="other", response="other")},
        {"json_body": JsonBody(mark="x")},
        {"trailers": None},
        {"counter": Counter(limit=0)},
    ],
    ids=lambda changes: next(iter(changes)),
)
async def test_envoy_and_the_model_see_the_same_differences(tmp_path: Path, changes: dict[str, Any]) -> None:
    """Filters see an answer that was made up for the upstream, so the counter of responses goes with the guard."""
    path = await record(tmp_path, Chain(filters()))
    real, _ = await rerun(path, Chain(filters(**changes)))
    modelled, _ = await rerun(path, Chain(filters(**changes)), through_model)
    assert Verdict.DIFFERENT in {item.verdict for item in real}
    assert [_core(item) for item in real] == [_core(item) for item in modelled]


def _core(comparison: Comparison) -> Comparison:
    """Without what only HTTP/1.1 has, or only the model knows: how a message is framed."""
    differences = [item for item in comparison.differences if item.what not in ("content-length", "transfer-encoding")]
    return replace(comparison, differences=tuple(differences))


async def test_a_body_that_was_not_captured_is_made_up_and_makes_no_difference(tmp_path: Path) -> None:
    calls = [CALLS[8], CALLS[10], CALLS[12]]
    path = await record(tmp_path, Chain([Edit(request="1", response="2")]), calls)
    found, _ = await rerun(path, Chain([Edit(request="1", response="2")]))
    assert [item.verdict for item in found] == [Verdict.SAME] * 3
    found, _ = await rerun(path, Chain([Edit(request="1", response="2"), JsonBody()]))
    assert {item.reason for item in found} == {
        "the capture holds no request_body: nobody asked Envoy for it when this was recorded"
    }


async def test_a_response_that_nobody_knows_is_not_taken_for_one(tmp_path: Path) -> None:
    path = await record(tmp_path, Chain([Counter(limit=0)]), CALLS[:1])
    found, _ = await rerun(path, Chain([Counter(limit=9)]))
    assert found[0].differences == (Difference("decision", "", (b"429 by counter",), (b"forwarded",), "counter"),)
    path = await record(tmp_path, Chain([Dice()]), CALLS[:1])
    found, _ = await rerun(path, Chain([Dice(), Edit(response="x")]))
    assert found[0].reason == "the capture holds no response: nobody asked Envoy for it when this was recorded"


async def test_what_cannot_be_sent_is_told_apart(tmp_path: Path) -> None:
    """A CONNECT, a request that is only a response, and one that was broken off."""
    chain = Chain([Edit(request="1")])
    connect = Message(Phase.REQUEST_HEADERS, [(":method", b"CONNECT"), (":authority", b"x")], end_of_stream=True)
    local = Message(Phase.RESPONSE_HEADERS, [(":status", b"400")], end_of_stream=True)
    get = Message(Phase.REQUEST_HEADERS, [(":method", b"GET"), (":path", b"/")], end_of_stream=True)
    writer = CaptureWriter(tmp_path, Header(1.0, "1", {"edit": "deny"}, chain.needs))
    for number, (message, answered) in enumerate([(connect, True), (local, True), (get, False)]):
        item = CapturedMessage(message, Continue(message.phase) if answered else None, float(number))
        writer.write(encode_exchange(CapturedExchange(f"e-{number}", (item,))))
    writer.close(None)
    found, _ = await rerun(writer.path, chain)
    assert [(item.verdict, item.reason) for item in found] == [
        (Verdict.INCOMPLETE, "it cannot be sent: it is no request that can be sent over HTTP/1.1"),
        (Verdict.INCOMPLETE, "it cannot be sent: it is no request that can be sent over HTTP/1.1"),
        (Verdict.INCOMPLETE, "the recording ends at request_headers, unanswered"),
    ]


async def test_attributes_are_those_of_this_connection_and_it_is_said(tmp_path: Path) -> None:
    path = await record(tmp_path, Chain([Peer()]), CALLS[:1])
    _, notes = await rerun(path, Chain([Peer()]))
    assert notes == [
        (
            "filters that read attributes (source.address) were given those of this Envoy and its client, "
            "not the recorded ones"
        )
    ]


CHAIN = """
filters:
  - use: api_key
    with: {callers: {shop: wonderland}, sources: "header:x-key"}
  - use: headers
    with: {response: {set: {x-served-by: us}}}
"""


def test_the_command_line_exits_0_and_1(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    from extproc.config import load_chain

    same, other = tmp_path / "same.yaml", tmp_path / "other.yaml"
    same.write_text(CHAIN)
    other.write_text(CHAIN.replace("us}", "them}"))
    path = asyncio.run(record(tmp_path / "captures", load_chain(same), CALLS[:3]))
    assert main(["replay", str(path), "--chain", str(same), "--through", "envoy"]) == 0
    assert main(["replay", str(path), "--chain", str(other), "--through", "envoy"]) == 1
    assert "   response x-served-by: us → them  by headers\n" in capsys.readouterr().out
