"""What came of an exchange, worked out from its answers by the Envoy model: the same way for old answers and new."""

from __future__ import annotations

from collections import defaultdict, deque
from dataclasses import replace
from typing import TYPE_CHECKING

from extproc.chain import Chain, Use
from extproc.envoy.model import PROFILES, Ask, EnvoyModel, ExtProcConfig
from extproc.filter import Filter, Needs
from extproc.messages import Answer, Continue, Protocol
from extproc.phases import FLOWS, BodyMode, Phase

if TYPE_CHECKING:
    from extproc.envoy.model import HttpMessage, Outcome, Profile, Resumed
    from extproc.replay.capture import CapturedExchange, CapturedMessage, Header
    from extproc.replay.traffic import Traffic

__all__ = ["ENVOY_1_40", "BrokenOffError", "config_for", "outcome_of", "protocol_for", "recorded_chain"]

ENVOY_1_40 = PROFILES["envoy-1.40"]
"""What a replay is played on, unless it is told otherwise."""

_HELD = (BodyMode.NONE, BodyMode.BUFFERED)
"""What the model knows how to do; in other modes a filter sees no whole body, whatever the answer."""


class BrokenOffError(Exception):
    """There is no answer to go on with.

    Attributes:
        phase: what was never answered.
        upstream: the request that had been forwarded by then; None: none had.
    """

    def __init__(self, phase: Phase, upstream: HttpMessage | None) -> None:
        super().__init__(phase)
        self.phase = phase
        self.upstream = upstream


class _Recorded(Filter):
    """Stands for a filter of the chain that was recorded."""

    asked: Needs

    def needs(self) -> Needs:
        return self.asked


def recorded_chain(header: Header) -> Chain:
    """A chain that does nothing, and needs of Envoy what the recorded one needed."""
    return Chain([Use(_Recorded(asked=header.needs), on_error=policy) for policy in header.filters.values()])


def config_for(chain: Chain, traffic: Traffic, recorded: Needs, data_plane: Profile = ENVOY_1_40) -> ExtProcConfig:
    """How a data plane is configured for `chain`, except where the recording shows that it was otherwise.

    Raises:
        EnvoyError: it refuses that.
    """
    config = ExtProcConfig.for_chain(chain)
    protocol = protocol_for(config, traffic, recorded)
    mode = config.mode
    if protocol.request_body in _HELD:
        mode = replace(mode, request_body=protocol.request_body)
    if protocol.response_body in _HELD:
        mode = replace(mode, response_body=protocol.response_body)
    if not traffic.has_request:
        mode = replace(mode, request_headers=False, request_body=BodyMode.NONE, request_trailers=False)
    sizes = [len(half.body) for half in (traffic.request, traffic.response) if half is not None]
    return data_plane.applied_to(replace(config, mode=mode, buffer_limit=max(config.buffer_limit, *sizes)))


def protocol_for(config: ExtProcConfig, traffic: Traffic, recorded: Needs) -> Protocol:
    """How Envoy sends bodies: as it did, where the recorded chain asked for them, else as the new one asks."""
    request, response = _whole(config.mode.request_body), _whole(config.mode.response_body)
    if traffic.protocol is not None:
        if request is not BodyMode.NONE and Phase.REQUEST_BODY in recorded.phases:
            request = _whole(traffic.protocol.request_body)
        if response is not BodyMode.NONE and Phase.RESPONSE_BODY in recorded.phases:
            response = _whole(traffic.protocol.response_body)
    return Protocol(request, response)


def _whole(mode: BodyMode) -> BodyMode:
    """Bodies that we would carry are played whole, as captures have them: what comes of them is the same."""
    return BodyMode.BUFFERED if FLOWS[mode].carried else mode


def outcome_of(traffic: Traffic, exchange: CapturedExchange, config: ExtProcConfig) -> Outcome:
    """What came of `traffic` with the answers of `exchange`.

    Raises:
        BrokenOffError: an answer that it depends on is not there.
    """
    answers: defaultdict[Phase, deque[CapturedMessage]] = defaultdict(deque)
    for item in exchange.messages:
        answers[item.message.phase].append(item)
    steps = EnvoyModel(config).exchange(traffic.request)
    resumed: Resumed = None
    upstream: HttpMessage | None = None
    while True:
        try:
            step = steps.send(resumed)
        except StopIteration as end:
            outcome: Outcome = end.value
            return outcome
        if isinstance(step, Ask):
            resumed = _answer(answers[step.message.phase])
            if resumed is None:
                raise BrokenOffError(step.message.phase, upstream)
        else:
            upstream, resumed = step.request, traffic.response


def _answer(given: deque[CapturedMessage]) -> Answer | None:
    if not given:
        return None
    item = given.popleft()
    if item.message.observability:
        return Continue(item.message.phase)  # Envoy neither waited for an answer nor read one
    return item.answer
