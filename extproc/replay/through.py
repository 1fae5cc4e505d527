"""Replays a capture through the real Envoy: what its upstream and its client really get, against the recorded outcome.

One exchange after the other: the recorded request goes to a real Envoy, which asks a processor that runs the chain at
the recorded time, and a stand-in for the upstream answers with the recorded response. Expected is what the model makes
of the recorded answers, as it would stand on the wire.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractAsyncContextManager, AsyncExitStack
from dataclasses import replace
from typing import TYPE_CHECKING, TypeAlias

from extproc.envoy.binary import RunningEnvoy
from extproc.envoy.config import EnvoyOptions, bootstrap
from extproc.envoy.model import HttpMessage, Outcome, over_http1
from extproc.envoy.plain_http import Connection, PlainReply, Upstream
from extproc.messages import HeaderEdit, Immediate, Message
from extproc.phases import Phase
from extproc.replay.capture import CapturedExchange, CapturedMessage
from extproc.replay.desk import Desk
from extproc.replay.lacks import asks_response, lacking, not_captured, unanswered
from extproc.replay.on_the_wire import filled, read_reply, read_request, sent_reply, sent_request, without_envoys_own
from extproc.replay.play import BrokenOffError, config_for, outcome_of, recorded_chain
from extproc.replay.runner import Replayed
from extproc.replay.traffic import Traffic, traffic_of

if TYPE_CHECKING:
    from extproc.chain import Chain
    from extproc.clock import Clock
    from extproc.observe import Observer
    from extproc.replay.files import CaptureReader
    from extproc.replay.veil import Veil

__all__ = ["StartProcessor", "replay_through_envoy"]

StartProcessor: TypeAlias = Callable[
    ["Chain", "Observer", "Clock", Iterator[str]], AbstractAsyncContextManager[Sequence[str]]
]
"""Starts a processor on a chain, which it starts and stops, and gives the addresses at which it listens."""

_REQUEST = (Phase.REQUEST_HEADERS, Phase.REQUEST_BODY, Phase.REQUEST_TRAILERS)
_RESPONSE = (Phase.RESPONSE_HEADERS, Phase.RESPONSE_BODY, Phase.RESPONSE_TRAILERS)

_ANY_PORT = "127.0.0.1:0"
_BUFFER = 32 * 1024 * 1024
"""Bytes of a body that Envoy may hold: whatever was recorded was within the limit there was."""


async def replay_through_envoy(
    reader: CaptureReader,
    chain: Chain,
    veil: Veil,
    tell: Callable[[Replayed], None],
    *,
    start: StartProcessor,
) -> list[str]:
    """Runs a capture through a real Envoy with a processor that runs a chain.

    Args:
        reader: the capture.
        chain: a fresh one, that has counted nothing yet.
        veil: takes care of the secrets.
        tell: is told of each exchange as it ends.
        start: starts the processor.

    Returns:
        What makes the result less than certain, one sentence each.

    Raises:
        CaptureError: the capture is broken.
        EnvoyError: Envoy is not installed, or does not start.
    """
    async with AsyncExitStack() as exits:
        desk = Desk()
        upstream = await exits.enter_async_context(Upstream(desk.answer))
        processors = await exits.enter_async_context(start(chain, desk, desk, desk.ids()))
        options = EnvoyOptions(
            listen=_ANY_PORT,
            admin=_ANY_PORT,
            upstream=upstream.address,
            processors=tuple(processors),
            buffer_limit=_BUFFER,
            edge=False,
            trailers=True,
        )
        envoy = await exits.enter_async_context(RunningEnvoy(bootstrap(chain, options)))
        client = await exits.enter_async_context(Connection(f"127.0.0.1:{envoy.port('ingress')}"))
        run = _Run(reader, chain, veil, desk, client)
        for exchange in reader.by_start():
            tell(await run.one(exchange))
    return [*reader.notes, *veil.notes(), *lacking(reader, chain.needs), *_not_replayed(chain)]


def _not_replayed(chain: Chain) -> list[str]:
    attributes = chain.needs.request_attributes | chain.needs.response_attributes
    if not attributes:
        return []
    names = ", ".join(sorted(attributes))
    return [
        f"filters that read attributes ({names}) were given those of this Envoy and its client, not the recorded ones"
    ]


class _Run:
    """Exchanges of one capture, one at a time."""

    def __init__(self, reader: CaptureReader, chain: Chain, veil: Veil, desk: Desk, client: Connection) -> None:
        self._needs = reader.header.needs
        self._recorded = recorded_chain(reader.header)
        self._chain = chain
        self._veil = veil
        self._desk = desk
        self._client = client

    async def one(self, exchange: CapturedExchange) -> Replayed:
        """Then and now; what cannot be sent, or was not captured, says so."""
        self._veil.look_at(exchange)
        recorded = self._veil.redacted(exchange)
        try:
            expected = _filled(traffic_of(recorded))
            before = outcome_of(expected, recorded, config_for(self._recorded, expected, self._needs))
            real = _filled(traffic_of(self._veil.restored(exchange)))
            reply = await self._send(exchange, real)
        except BrokenOffError as error:
            return Replayed(recorded, recorded, None, None, unanswered(error))
        except ValueError as error:
            return Replayed(recorded, recorded, None, None, f"it cannot be sent: {error}")
        desk = self._desk
        replayed = replace(exchange, messages=desk.messages, events=tuple(desk.events), ended=desk.ended)
        replayed = self._veil.redacted(replayed)
        expected_on_wire = _on_the_wire(before, expected.request)
        made_up = {item.message.phase for item in replayed.messages} & real.unknown
        if Phase.REQUEST_BODY in made_up:
            return Replayed(recorded, replayed, expected_on_wire, None, not_captured(Phase.REQUEST_BODY.value))
        after = self._seen(reply, real, replayed)
        if Phase.RESPONSE_BODY in made_up:
            after = replace(after, client=None)
        return Replayed(recorded, replayed, expected_on_wire, after, self._lacks(real, made_up))

    async def _send(self, exchange: CapturedExchange, traffic: Traffic) -> PlainReply | None:
        """Sends the request; None: no response came back."""
        request = sent_request(traffic.request)
        self._desk.lay_out(exchange, PlainReply() if traffic.response is None else sent_reply(traffic.response))
        try:
            return await self._client.send(request)
        except ConnectionError:
            return None
        finally:
            await self._desk.cleared()

    def _lacks(self, traffic: Traffic, made_up: set[Phase]) -> str:
        """What the chain asked for that the capture does not hold, as a sentence."""
        if made_up:
            return not_captured(made_up.pop().value)
        wants_more = asks_response(self._chain.needs) and not asks_response(self._needs)
        return not_captured("response") if self._is_made_up(traffic) and wants_more else ""

    def _is_made_up(self, traffic: Traffic) -> bool:
        """The upstream was asked, and nobody knows what it would have answered."""
        return traffic.response is None and bool(self._desk.requests)

    def _seen(self, reply: PlainReply | None, traffic: Traffic, replayed: CapturedExchange) -> Outcome:
        """What the upstream and the client really got."""
        upstream = read_request(self._desk.requests[0]) if self._desk.requests else None
        client = HttpMessage([]) if reply is None else read_reply(reply)
        answered = any(isinstance(item.answer, Immediate) for item in replayed.messages)
        client = _redacted_reply(self._veil, client) if answered else _redacted(self._veil, client, _RESPONSE)
        try:  # what cannot be seen from outside follows from the answers
            model = outcome_of(traffic, replayed, config_for(self._chain, traffic, self._needs))
        except BrokenOffError:
            model = Outcome(None, None, "")
        return replace(
            model,
            upstream=None if upstream is None else without_envoys_own(_redacted(self._veil, upstream, _REQUEST)),
            client=None if self._is_made_up(traffic) else without_envoys_own(client),
            reset=reply is None or not reply.complete,
        )


def _filled(traffic: Traffic) -> Traffic:
    """With made-up bodies where there were some that nobody asked for. Raises ValueError as `filled` does."""
    request, response = traffic.request, traffic.response
    if Phase.REQUEST_BODY in traffic.unknown:
        request = filled(request)
    if Phase.RESPONSE_BODY in traffic.unknown and response is not None:
        response = filled(response)
    return replace(traffic, request=request, response=response)


def _on_the_wire(outcome: Outcome, request: HttpMessage) -> Outcome:
    upstream, client = outcome.upstream, outcome.client
    return replace(
        outcome,
        upstream=None if upstream is None else without_envoys_own(over_http1(upstream)),
        client=None if client is None else without_envoys_own(over_http1(client, request)),
    )


def _redacted(veil: Veil, message: HttpMessage, phases: tuple[Phase, Phase, Phase]) -> HttpMessage:
    """What was received, as it may be shown."""
    parts = (
        Message(phases[0], message.headers),
        Message(phases[1], body=message.body),
        Message(phases[2], message.trailers or []),
    )
    done = veil.redacted(CapturedExchange("", tuple(CapturedMessage(part, None, 0.0) for part in parts)))
    headers, body, trailers = (item.message for item in done.messages)
    return HttpMessage(headers.headers, (body.body,), trailers.headers or None)


def _redacted_reply(veil: Veil, message: HttpMessage) -> HttpMessage:
    """What was received in place of the upstream's response: redacted as the recorded answer was."""
    edits = tuple(HeaderEdit(name, value) for name, value in message.headers)
    item = CapturedMessage(Message(Phase.REQUEST_HEADERS), Immediate(0, set_headers=edits, body=message.body), 0.0)
    answer = veil.redacted(CapturedExchange("", (item,))).messages[0].answer
    assert isinstance(answer, Immediate)  # noqa: S101 (redaction changes no kinds)
    return HttpMessage([(edit.name, edit.value) for edit in answer.set_headers], (answer.body,))
