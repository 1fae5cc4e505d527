"""All that can be seen of an exchange, of either Envoy."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from extproc.messages import Message
from tests.envoy.received import Received

__all__ = ["Moment", "Observed"]


@dataclass
class Moment:
    """What there is to see when a move has had all its effects."""

    move: str
    heard: list[Message]
    """What the processor has been told by this move."""
    upstream: Received | None
    """The request, as far as the upstream has it; None: it has not heard of one."""
    client: Received
    """The response, as far as the client has it."""
    hung_up: bool
    """Envoy or the processor has ended the gRPC stream."""
    heard_second: list[Message] = field(default_factory=list[Message])
    """What the processor of a second filter has been told."""
    hung_up_second: bool = False


@dataclass
class Observed:
    """An exchange from the first move to its end, when whatever was still under way has been broken off."""

    moments: list[Moment]
    details: str
    """``%RESPONSE_CODE_DETAILS%``."""
    cluster: str
    """Where the request went, or would have gone."""
    counters: dict[str, int]
    """By how much the filter's counters moved."""
    counters_second: dict[str, int] = field(default_factory=dict[str, int])
    metadata: dict[str, Any] = field(default_factory=dict[str, Any])
    """Dynamic metadata that the processor left, by namespace."""
    calls: list[dict[str, bytes]] = field(default_factory=list[dict[str, bytes]])
    """What the processor was told when a gRPC stream was opened: the cluster as ``:authority``, initial metadata."""
