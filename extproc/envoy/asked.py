"""`Asked`: what a chain asks of Envoy's ext_proc filter; what we write for a real one and the model both follow it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from extproc.filter import Needs
from extproc.guard import FRAMING
from extproc.phases import Direction, Phase
from extproc.timing import Timing

if TYPE_CHECKING:
    from extproc.chain import Chain

__all__ = ["MARGIN", "Asked"]

MARGIN = 0.25
"""Seconds that Envoy waits longer than the chain may take: the chain's own failure policies come first."""


@dataclass(frozen=True, slots=True)
class Asked:
    """What a chain asks of Envoy.

    Attributes:
        needs: phases, attributes, metadata, privileges.
        timeout: seconds that the chain may take to answer one message.
        anything: there is a filter at all.
        may_skip: every filter may be left out when it fails, and so may all of them.
    """

    needs: Needs
    timeout: float
    anything: bool
    may_skip: bool

    @classmethod
    def of(cls, source: Chain | Needs) -> Asked:
        """What a chain asks; bare needs are taken for those of filters that have a second and must not be left out."""
        if isinstance(source, Needs):
            return cls(source, 1.0, anything=source != Needs(), may_skip=False)
        policies = {link.on_error for link in source.links}
        return cls(source.needs, source.timeout, anything=bool(source.links), may_skip=policies == {"skip"})

    @property
    def response_headers(self) -> bool:
        """Whether the response's headers are to be sent: those of every direction of which anything is."""
        return any(phase.direction is Direction.RESPONSE for phase in self.needs.phases)

    def timing(self, message_timeout: float | None = None, margin: float = MARGIN) -> Timing:
        """How long Envoy is to wait.

        Args:
            message_timeout: seconds to wait unless asked for more; by default, as long as the chain may take.
            margin: seconds more than that.
        """
        longest = self.timeout + margin
        if message_timeout is None or message_timeout >= longest:
            return Timing(message_timeout or longest)
        return Timing.extensible(message_timeout, self.timeout)

    def told(self, message_timeout: float | None = None, margin: float = MARGIN) -> Timing | None:
        """What the processor has to know of this; None: nothing, for Envoy waits longer than the chain may take."""
        timing = self.timing(message_timeout, margin)
        return timing if timing.max_message_timeout else None

    @property
    def untouchable(self) -> str:
        """Headers that nobody may touch, as an RE2.

        Not in the list: ``proxy-*``, which a filter may remove, and content-length wherever the SDK has to keep it true
        to a changed body.
        """
        names = {name for name in FRAMING if not name.startswith("proxy-")}
        if self.needs.phases & {Phase.REQUEST_BODY, Phase.RESPONSE_BODY}:
            names.discard("content-length")
        return "|".join(sorted(names))
