"""What the model makes of a scenario."""

from __future__ import annotations

from dataclasses import replace

from extproc.envoy.model import EnvoyModel, HttpMessage, Outcome, Replies, over_http1
from extproc.messages import Message
from tests.envoy.as_read import as_read
from tests.envoy.observed import Moment, Observed
from tests.envoy.received import COMPLETE, RESET, Received
from tests.envoy.scenario import Scenario

__all__ = ["modelled"]


async def modelled(scenario: Scenario) -> Observed:
    """What the model makes of a scenario: its last moment, in which it has heard everything."""
    heard: list[Message] = []
    behave = scenario.behaviour()

    async def processor(message: Message) -> Replies:
        heard.append(message)
        return [as_read(action) for action in await behave(message)]

    outcome = await EnvoyModel(scenario.config).run(scenario.request, scenario.response, processor)
    assert outcome.client is not None
    client = over_http1(outcome.client, scenario.request)
    upstream = None if outcome.upstream is None else _sorted(over_http1(outcome.upstream))
    whole = not outcome.reset and not _short(client)
    moment = Moment(
        move="",
        heard=heard,
        upstream=None if upstream is None else _received(upstream, whole=not _short(upstream)),
        client=_received(client, whole=whole),
        hung_up=True,
    )
    return Observed([moment], outcome.details, _route(scenario, outcome), outcome.counters)


def _received(message: HttpMessage, *, whole: bool) -> Received:
    return Received(message.headers, message.body, message.trailers, COMPLETE if whole else RESET)


def _route(scenario: Scenario, outcome: Outcome) -> str:
    """Where the listeners' routes send it."""
    chosen = outcome.upstream if outcome.route_cleared and outcome.upstream else scenario.request
    path = chosen.get(":path") or b""
    return "canary" if path.startswith(b"/canary") or chosen.get("x-canary") is not None else "upstream"


def _short(message: HttpMessage) -> bool:
    length = message.get("content-length") or b"0"
    return message.get(":status") not in (b"204", b"304") and bool(message.chunks) and int(length) > len(message.body)


def _sorted(message: HttpMessage) -> HttpMessage:
    """With pseudo-headers by name, since HTTP/1.1 has no order for them."""
    line = sorted(item for item in message.headers if item[0].startswith(":"))
    return replace(message, headers=[*line, *(item for item in message.headers if not item[0].startswith(":"))])
