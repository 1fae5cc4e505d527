"""`Edits`: what answers change beside a body: headers, trailers, the route."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from extproc.envoy.model.mutation import Mutation
from extproc.envoy.model.options import RouteCacheAction
from extproc.envoy.model.quirks import Quirk
from extproc.phases import Direction

if TYPE_CHECKING:
    from extproc.envoy.model.asking import Asking
    from extproc.envoy.model.fields import Fields
    from extproc.envoy.model.state import ProcessorState
    from extproc.messages import Continue, HeaderEdit

__all__ = ["Edits"]


class Edits:
    """Makes changes as the filter's configuration lets them be.

    Attributes:
        route_cleared: the route is chosen anew, by the request as it stands.
    """

    def __init__(self, asking: Asking) -> None:
        self._config = asking.config
        self._counters = asking.stream.counters
        self.route_cleared = False

    def headers(self, state: ProcessorState, answer: Continue) -> None:
        """Changes headers; where they have left already, in vain, and Envoy says nothing.

        Nor does it where it wants no content-length, because nobody can know yet how long the body will be.

        Raises:
            MutationFailedError: a change cannot be made.
        """
        if state.headers is None:
            return
        sets = answer.set_headers
        if state.drops_content_length:
            sets = tuple(edit for edit in sets if edit.name.lower() != "content-length")
        self._apply(state, state.headers, sets, answer)

    def trailers(self, state: ProcessorState, trailers: Fields, answer: Continue) -> None:
        """Changes trailers. Raises as `headers` does."""
        self._apply(state, trailers, answer.set_headers, answer)

    def _apply(self, state: ProcessorState, fields: Fields, sets: tuple[HeaderEdit, ...], answer: Continue) -> None:
        if Quirk.SETTING_APPENDS in self._config.quirks:
            sets = tuple(replace(edit, append=True) for edit in sets)
        if sets or answer.remove_headers:
            mutation = Mutation(sets, answer.remove_headers, self._config.rules, self._counters, answer.replace)
            mutation.apply(fields, state.limits)

    def clear_route(self, state: ProcessorState, answer: Continue) -> None:
        """Has the route chosen anew; ignored without a word in a response, where it is too late.

        Envoy ignores it too in an answer without a header mutation, which ours never are: they hold an empty one then.
        """
        edits = answer.set_headers or answer.remove_headers or answer.clear_route_cache
        if state.direction is Direction.RESPONSE or not edits:
            return
        action = self._config.route_cache_action
        if action is RouteCacheAction.RETAIN or self._config.disable_clear_route_cache:
            if answer.clear_route_cache:
                self._counters["clear_route_cache_disabled"] += 1
        elif action is RouteCacheAction.CLEAR or answer.clear_route_cache:
            self.route_cleared = True
