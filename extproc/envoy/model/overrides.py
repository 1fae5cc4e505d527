"""What a processor may change of the filter's own settings on its way: the processing mode, and its time."""

from __future__ import annotations

from typing import TYPE_CHECKING

from extproc.envoy.model.quirks import Quirk
from extproc.envoy.model.state import CallbackState
from extproc.phases import BodyMode

if TYPE_CHECKING:
    from collections.abc import Sequence

    from extproc.envoy.model.config import ExtProcConfig
    from extproc.envoy.model.processing_mode import ModeOverride, ProcessingMode
    from extproc.envoy.model.state import ProcessorState

__all__ = ["extend_timeout", "override_mode"]

_SHORTEST = 0.001
"""Seconds: less than a millisecond cannot be asked for."""


def extend_timeout(config: ExtProcConfig, states: Sequence[ProcessorState], seconds: float, now: float) -> bool:
    """``override_message_timeout``: more time for what is being waited for, once; whether that is granted."""
    if not _SHORTEST <= seconds <= config.max_message_timeout:
        return False
    extended = [state.extend_call(now + seconds) for state in states]
    return any(extended)


def override_mode(
    config: ExtProcConfig, configured: ProcessingMode, states: Sequence[ProcessorState], override: ModeOverride
) -> bool:
    """``mode_override``: taken only while headers wait for their answer, and where the configuration lets it be.

    What is not taken is ignored without a word. Returns whether it is. `configured` is the filter's own mode: what a
    route has made of it counts neither for what is allowed nor for what an override leaves as it is.
    """
    waiting = any(state.callback is CallbackState.HEADERS for state in states)
    duplex = BodyMode.FULL_DUPLEX_STREAMED in (configured.request_body, configured.response_body)
    if not (config.allow_mode_override and waiting) or duplex or config.send_body_without_waiting_for_header_response:
        return False
    effective = override if Quirk.OVERRIDE_RESETS in config.quirks else override.over(configured)
    allowed = config.allowed_override_modes
    if allowed and not any(effective.agrees_with(one) for one in allowed):
        return False
    for state in states:
        state.set_mode(effective.resolved())
    return True
