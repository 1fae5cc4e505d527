"""A processor that does not read holds up whoever sends: no more of a body is in Envoy than its buffers take.

The names are those of Envoy's own tests. The model has no windows, so only the real Envoy is asked here.
"""

from __future__ import annotations

import pytest

from extproc.envoy.model import HttpMessage
from extproc.messages import Message
from extproc.phases import BodyMode, Phase
from extproc.wire.ext_proc_pb2 import ProcessingRequest
from tests.envoy.answers import beside, stream, unchanged
from tests.envoy.moves import ALL_PARTS, Reply, Say, Send
from tests.envoy.raw_processor import Action, Widen
from tests.envoy.real import Real
from tests.envoy.scenario import (
    RQB,
    RSB,
    TRAILED_POST,
    TRAILED_REPLY,
    Scenario,
    config,
    get,
    post,
    reply,
    split,
)

WINDOW = 64 * 1024
MIB = 1024 * 1024
BODIES = {"streamed": 4 * MIB, "full duplex": 4 * MIB, "observed": 24 * MIB}
"""Where nobody waits for answers, only Envoy's window for a stream, 16 MiB, limits what it keeps for the processor."""
_STREAMED, _DUPLEX = BodyMode.STREAMED, BodyMode.FULL_DUPLEX_STREAMED


def scenario(phase: Phase, how: str, request: HttpMessage, response: HttpMessage) -> Scenario:
    """A large body, of which the processor hears the rest when it lets Envoy go on."""
    mode = _DUPLEX if how == "full duplex" else _STREAMED
    trailers = f" {phase.direction.value}_trailers" if mode is _DUPLEX else ""
    where = config(
        f"{phase.direction.value}_headers {phase.value}{trailers}",
        body=mode,
        observability_mode=how == "observed",
        buffer_limit=WINDOW,
    )
    more = Say((Widen(2 * BODIES[how]),))
    moves = (Send(ALL_PARTS), more, Reply(ALL_PARTS)) if phase is RQB else (Send(ALL_PARTS), Reply(ALL_PARTS), more)
    return Scenario("large", where, {}, request, response, moves=moves)


@pytest.mark.asyncio
@pytest.mark.parametrize("how", BODIES)
async def test_sidestream_pushback_downstream(how: str) -> None:
    large = scenario(RQB, how, split(post(b"x" * BODIES[how], chunked=True), WINDOW), reply())
    async with Real([large.setting], window=WINDOW) as real:
        seen = await real.run(large)
        paused = await real.stat("http.l0.downstream_flow_control_paused_reading_total")
        resumed = await real.stat("http.l0.downstream_flow_control_resumed_reading_total")
    stuck, *_, last = seen.moments
    assert sum(len(message.body) for message in stuck.heard) < WINDOW
    assert stuck.upstream is not None
    assert stuck.upstream.state == "under way"
    assert last.upstream is not None
    assert len(last.upstream.body) == BODIES[how]
    assert paused >= resumed > 0


@pytest.mark.asyncio
@pytest.mark.parametrize("how", BODIES)
async def test_sidestream_pushback_upstream(how: str) -> None:
    large = scenario(RSB, how, get(), split(reply(body=b"x" * BODIES[how], chunked=True), WINDOW))
    async with Real([large.setting], window=WINDOW) as real:
        seen = await real.run(large)
        paused = await real.stat("cluster.upstream.upstream_flow_control_paused_reading_total")
        resumed = await real.stat("cluster.upstream.upstream_flow_control_resumed_reading_total")
    _, stuck, *_, last = seen.moments
    assert sum(len(message.body) for message in stuck.heard) < WINDOW
    assert stuck.client.state == "under way"
    assert len(last.client.body) == BODIES[how]
    assert paused >= resumed > 0


# What the API has for it, and Envoy 1.40 does not do


def _draining(message: Message) -> list[Action]:
    """Asks in each answer that no more of a body be sent, and widens windows of which nobody has heard."""
    if message.phase in (RQB, RSB):
        answer = stream(message.phase, message.body, end=message.end_of_stream, drained=True)
    else:
        answer = unchanged(message.phase)
    return [beside(answer, drain_requests=True, drain_responses=True, drain=True, window=(1000, 1000))]


@pytest.mark.asyncio
async def test_envoy_says_nothing_of_windows_and_drains_nothing() -> None:
    where = config("all", body=_DUPLEX)
    asking = Scenario(
        "draining", where, dict.fromkeys(Phase, _draining), split(TRAILED_POST, 2), split(TRAILED_REPLY, 2)
    )
    async with Real([asking.setting]) as real:
        await real.run(asking)
        said = [ProcessingRequest.FromString(raw) for call in real.processor.calls for raw in call.raw]
    assert {message.WhichOneof("request") for message in said} == {phase.value for phase in Phase}
    assert not any(message.HasField("flow_control_init") for message in said)
    assert not any(message.HasField("client_window_update") for message in said)
    assert not any(message.request_body.drain_complete or message.response_body.drain_complete for message in said)
