"""A scenario played on the model."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from extproc.envoy.model import Close, Exchange, HttpMessage, Lost, PerRoute, over_http1
from extproc.envoy.model.http1 import switches
from extproc.envoy.model.http2 import over_http2
from extproc.messages import Abort, Message, RawHeaders
from extproc.phases import Direction
from tests.envoy.as_read import as_read
from tests.envoy.codec import arriving
from tests.envoy.listeners import NOBODY, TOLD
from tests.envoy.observed import Moment, Observed
from tests.envoy.play import play
from tests.envoy.raw_processor import Action, Behaviour, Widen
from tests.envoy.received import COMPLETE, RESET, UNDER_WAY, Head, Part, Received, Trailers
from tests.envoy.scenario import Scenario

__all__ = ["modelled"]

_BODILESS = (b"204", b"304")


async def modelled(scenario: Scenario) -> Observed:
    """What the model makes of a scenario."""
    stage = _ModelStage(scenario)
    moments = await play(scenario, stage)
    stage.exchange.client_left()  # if Envoy still has something for it
    outcome = stage.exchange.outcome()
    return Observed(
        moments=moments,
        details=stage.exchange.details,
        cluster=_route(stage.exchange.rerouted or scenario.request),
        counters=outcome.counters,
        counters_second=stage.counters_second,
        metadata=_left(outcome.metadata),
        calls=[_call(scenario.config.per_route)] if stage.reached else [],
    )


class _ModelStage:
    """One exchange."""

    def __init__(self, scenario: Scenario) -> None:
        self.exchange = Exchange(scenario.setting.effective, scenario.context)
        self._http2 = scenario.http2
        self._request = scenario.request
        behaviours = [scenario.behaviour(), scenario.second_behaviour()]
        self._processors = list(map(_Processor, behaviours[: len(self.exchange.filters)]))
        self._unread: dict[Direction, list[Part]] = {direction: [] for direction in Direction}
        services = [said.grpc_service for said in scenario.config.per_route if said.grpc_service is not None]
        self._unreachable = services[-1:] == [NOBODY]
        self._left = False
        self._unreached = False
        """The request was broken off in the go that sent it on, before there was a connection to the upstream."""

    @property
    def reached(self) -> bool:
        """Whether the processor has been told anything."""
        return bool(self.exchange.filters[0].stream.counters["streams_started"]) and not self._unreachable

    @property
    def counters_second(self) -> dict[str, int]:
        """Those of the second filter, if there is one."""
        return dict(self.exchange.filters[1].stream.counters) if len(self.exchange.filters) > 1 else {}

    @property
    def client(self) -> Received:
        exchange = self.exchange
        gone = exchange.reset or self._left or (exchange.ends_early and not self._http2)
        message, state = exchange.response.sent.message(), RESET if gone else UNDER_WAY
        if message is None:
            return Received(state=state)
        message = over_http2(message) if self._http2 else over_http1(message, self._request)
        to_head = self._request.get(":method") == b"HEAD"
        ended = exchange.response.sent.ended
        return _received(message, COMPLETE if self._is_complete(message, ended=ended, empty=to_head) else state)

    @property
    def upstream(self) -> Received | None:
        message = self.exchange.request.sent.message()
        if message is None or self._unreached:
            return None
        message = over_http2(message) if self._http2 else _sorted(over_http1(message))
        if self._waits_for_agreement:
            message = replace(message, chunks=())
        if self._is_complete(message, ended=self.exchange.request.sent.ended):
            return _received(message, COMPLETE)
        return _received(message, RESET if self.exchange.request.closed or self.exchange.over else UNDER_WAY)

    @property
    def _waits_for_agreement(self) -> bool:
        """Whether another protocol is asked for, whose bytes Envoy keeps until the upstream has agreed to it."""
        response = self.exchange.arriving(Direction.RESPONSE).headers
        agreed = response is not None and response.get(":status") == b"101"
        return self._request.get("upgrade") is not None and not agreed

    def _is_complete(self, message: HttpMessage, *, ended: bool, empty: bool = False) -> bool:
        """Whether the other end takes the message for complete: in HTTP/1.1 it counts, where there is a length.

        What speaks another protocol ends with its connection only.
        """
        if not self._http2 and switches(message):
            return False
        length = message.get("content-length") or b""
        if self._http2 or empty or not length.isdigit() or message.get(":status") in _BODILESS:
            return ended
        return len(message.body) >= int(length) and (ended or int(length) > 0)

    async def send(self, parts: Sequence[Part]) -> None:
        await self._come(Direction.REQUEST, parts)

    async def reply(self, parts: Sequence[Part]) -> None:
        await self._come(Direction.RESPONSE, parts)

    async def say(self, actions: Sequence[Action], *, second: bool) -> None:
        self._answer(actions, int(second))
        await self._settle()

    async def wait(self) -> None:
        self.exchange.wait()
        await self._settle()

    async def pass_(self, seconds: float) -> None:
        while seconds:
            seconds = self.exchange.pass_time(seconds)
            await self._settle()

    async def leave(self, *, upstream: bool) -> None:
        if upstream:
            self.exchange.upstream_left(http2=self._http2)
        else:
            self._left = True
            self.exchange.client_left()
        await self._settle()

    def moment(self, move: str) -> Moment:
        (heard, hung_up), *second = [self._noticed(index) for index in range(len(self._processors))]
        heard_second, hung_up_second = second[0] if second else ([], False)
        return Moment(
            move,
            heard,
            self.upstream,
            self.client,
            hung_up=hung_up and self.reached,
            heard_second=heard_second,
            hung_up_second=hung_up_second,
        )

    def _noticed(self, filter_: int) -> tuple[list[Message], bool]:
        """What the processor of a filter has heard since the last time, and whether its stream is no more."""
        processor = self._processors[filter_]
        heard, processor.heard = processor.heard, []
        return heard, processor.ended or self.exchange.hung_up(filter_)

    async def _come(self, direction: Direction, parts: Sequence[Part]) -> None:
        unsent = self.exchange.request.sent.headers is None
        self._unread[direction] += parts
        await self._settle(unsent=unsent)

    async def _settle(self, *, unsent: bool = False) -> None:
        """Lets Envoy read what there is, and the processor react: in one go to what it is told in one go."""
        while self._read() or self.exchange.said:
            told: dict[int, list[Message]] = {}
            for asked in self.exchange.said:
                told.setdefault(asked.filter, []).append(asked.message)
            self.exchange.said.clear()
            for index, messages in told.items():
                if self._unreachable and index == 0:
                    self._answer([Lost(refused=True)], unsent=unsent)
                else:
                    self._answer(await self._processors[index].react(messages), index)

    def _read(self) -> bool:
        """Whether there was something; what has come of an HTTP/2 stream is read at once."""
        for direction, unread in self._unread.items():
            if unread and (self._http2 or self.exchange.reads(direction)):
                self._unread[direction] = []
                self._give(direction, arriving(unread, http2=self._http2))
                return True
        return False

    def _give(self, direction: Direction, parts: Sequence[Part]) -> None:
        for part in parts:
            if isinstance(part, Head):
                self.exchange.headers(direction, part.headers, end=part.end)
            elif isinstance(part, Trailers):
                self.exchange.trailers(direction, part.headers)
            else:
                self.exchange.data(direction, part.data, end=part.end)

    def _answer(self, actions: Sequence[Action], filter_: int = 0, *, unsent: bool = False) -> None:
        """A processor does something, all of it in one go."""
        exchange, request = self.exchange, self.exchange.request
        unsent = unsent or request.sent.headers is None
        stream = exchange.filters[filter_].stream
        if stream.is_open and any(isinstance(action, Abort | Close | Lost) for action in actions):
            self._processors[filter_].ended = True
        if lost := [action for action in actions if isinstance(action, Lost)]:
            actions = lost[:1]  # and with it what was said in the same go
        exchange.answer([as_read(action) for action in actions if not isinstance(action, Widen)], filter_)
        if unsent and request.closed:
            self._unreached = True
        if not stream.is_open:  # what was said to it in the same go as the end was not on its way yet
            on_their_way = [asked for asked in exchange.said if asked.filter != filter_]
            exchange.said.clear()
            exchange.said.extend(on_their_way)


class _Processor:
    """What a processor does, and what has come to it.

    Attributes:
        heard: since somebody last looked.
        ended: it has ended the stream, whether or not that still means anything to Envoy.
    """

    def __init__(self, behave: Behaviour) -> None:
        self.heard: list[Message] = []
        self.ended = False
        self._behave = behave

    async def react(self, messages: list[Message]) -> list[Action]:
        """Hears messages that have come in one go; what it does then."""
        self.heard += messages
        return [action for message in messages for action in await self._behave(message)]


def _call(routes: Sequence[PerRoute]) -> dict[str, bytes]:
    """How a gRPC stream is opened, by what routes say: of each name, the most specific."""
    call = {":authority": b"processor"}
    for said in routes:
        if said.grpc_service is not None:
            call[":authority"] = said.grpc_service.encode()
        call |= {name: value.encode() for name, value in said.grpc_initial_metadata}
    return call


def _left(metadata: Mapping[str, Mapping[str, Any]]) -> dict[str, Any]:
    return {namespace: dict(metadata[namespace]) for namespace in TOLD if namespace in metadata}


def _received(message: HttpMessage, state: str) -> Received:
    return Received(message.headers, message.body, message.trailers, state)


def _route(request: HttpMessage) -> str:
    """Where the listeners' routes send it."""
    path = request.get(":path") or b""
    return "canary" if path.startswith(b"/canary") or request.get("x-canary") is not None else "upstream"


def _sorted(message: HttpMessage) -> HttpMessage:
    """With pseudo-headers by name, since HTTP/1.1 has no order for them."""
    line = sorted(item for item in message.headers if item[0].startswith(":"))
    rest: RawHeaders = [item for item in message.headers if not item[0].startswith(":")]
    return replace(message, headers=[*line, *rest])
