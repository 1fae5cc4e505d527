"""`Stop`: an ext_proc filter on the way of a request or a response, between what comes before it and what is next."""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from extproc.envoy.model.ext_proc import ExtProc
    from extproc.messages import RawHeaders
    from extproc.phases import Direction

__all__ = ["Stop", "lined_up"]


class Stop:
    """What comes to it is shown to the filter, and passes or is held, as the filter says."""

    def __init__(self, passed: ExtProc, direction: Direction) -> None:
        self._arrivals = passed.arrivals
        self._state = passed.states[direction]
        self.leg = self._state.leg

    @property
    def chokes(self) -> bool:
        """Whether it stops the sender, since too much waits here."""
        return self.leg.buffer.full or self._state.choked

    def headers(self, headers: RawHeaders, *, end: bool) -> None:
        """Headers come; `end`: nothing follows."""
        fields = self.leg.take_headers(headers, end=end)
        self.leg.judge_headers(self._arrivals.headers(self._state, fields, end=end), end=end)

    def data(self, data: bytes, *, end: bool) -> None:
        """Some of a body comes; `end`: nothing follows. Where nothing was to follow, it is none of this filter's."""
        if self.leg.arrived:
            return
        told_end = end and self.leg.buffer.trailers is None  # else it hears of trailers yet
        self.leg.take_data(end=told_end)
        self.leg.judge_data(self._arrivals.data(self._state, data, end=told_end), data, end=end)
        self._state.choke_over_limit()

    def trailers(self, trailers: RawHeaders) -> None:
        """Trailers come, and nothing follows."""
        fields = self.leg.take_trailers(trailers)
        self.leg.judge_trailers(self._arrivals.trailers(self._state, fields))


def lined_up(filters: list[ExtProc], direction: Direction) -> list[Stop]:
    """The stops in the order in which the filters are met: what passes one of them comes to the next."""
    stops = [Stop(passed, direction) for passed in filters]
    for stop, after in pairwise(stops):
        stop.leg.onward = after
    return stops
