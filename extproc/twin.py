"""`Twin`: a copy of an exchange for one hook that runs elsewhere. What the hook did arrives all at once, or never."""

from __future__ import annotations

# What filters see (exchange, http, headers) and this are one unit: their underscore means "not for filters".
# pyright: reportPrivateUsage=false
import copy
from typing import TYPE_CHECKING, Any

from extproc.phases import Direction

if TYPE_CHECKING:
    from extproc.exchange import Exchange
    from extproc.headers import Headers
    from extproc.http import Request, Response

__all__ = ["Twin"]


class Twin:
    """An exchange twice: the one that goes on by itself meanwhile, and the one that the hook edits.

    A hook cannot be stopped from outside its thread. One that was given up goes on editing its own copy, while the
    exchange it was called for has gone on, or is over. What hooks have put into ``exchange.state`` is not copied, only
    the dict is.

    Attributes:
        exchange: for the hook.
    """

    __slots__ = ("_lane", "_original", "_state", "exchange")

    def __init__(self, original: Exchange) -> None:
        """Copies what a hook may edit; not the header lists, which are copied when they are first edited."""
        self._original = original
        self._lane = original._lane
        self._state = dict(original.state)
        twin = self.exchange = copy.copy(original)
        twin._lane = copy.copy(original._lane)
        twin.state = dict(original.state)
        twin.attributes = dict(original.attributes)
        twin._request = None if original._request is None else _copied(original._request)
        twin._response = None if original._response is None else _copied(original._response)
        twin._random = copy.copy(original._random)

    def adopt(self) -> None:
        """Brings what the hook did into the original exchange. The copy can be edited no more."""
        original, twin, lane = self._original, self.exchange, self._lane
        side, edited = self._side(original), self._side(twin)
        if side is not None and edited is not None:
            _take(side._headers, edited._headers)
            if side._trailers is not None and edited._trailers is not None:
                _take(side._trailers, edited._trailers)
            side._body, side._marks = edited._body, edited._marks
        lane.extras, lane.unwanted = twin._lane.extras, twin._lane.unwanted
        original._random = twin._random
        self._adopt_state()
        self.seal("its hook has returned")

    def seal(self, reason: str) -> None:
        """From here on, the copy cannot be edited."""
        for side in (self.exchange._request, self.exchange._response):
            if side is not None:
                side._seal(reason)

    def original_of(self, value: Any) -> Any:
        """What a hook returned; where that is the response it was given, the original of it."""
        return self._original._response if value is not None and value is self.exchange._response else value

    def _side(self, exchange: Exchange) -> Request | Response | None:
        """The half that the hook was about; the other one may have gone on meanwhile."""
        phase = self.exchange.phase
        return exchange._request if phase is not None and phase.direction is Direction.REQUEST else exchange._response

    def _adopt_state(self) -> None:
        """What the hook put in and took out; what others did meanwhile stays."""
        before, after = self._state, self.exchange.state
        nothing = object()
        for key, value in after.items():
            if before.get(key, nothing) is not value:
                self._original.state[key] = value
        for key in before.keys() - after.keys():
            self._original.state.pop(key, None)


def _copied(side: Any) -> Any:
    twin = copy.copy(side)
    twin._headers = _copied_headers(side._headers)
    if side._trailers is not None:
        twin._trailers = _copied_headers(side._trailers)
    return twin


def _copied_headers(headers: Headers) -> Headers:
    headers._snapshot()  # so that the first edit of either of them copies the list
    twin = copy.copy(headers)
    twin._values = None
    twin._was = dict(headers._was)
    return twin


def _take(mine: Headers, theirs: Headers) -> None:
    if theirs._items is not mine._items:
        mine._restore(theirs._snapshot())
        mine._was, mine._plain = theirs._was, theirs._plain
        mine._at_most = theirs._at_most
