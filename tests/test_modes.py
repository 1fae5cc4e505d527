"""What Envoy is told that it need not ask about: what filters still want stays as it is configured."""

from __future__ import annotations

from typing import Any

import pytest

from extproc import BodyMode, Chain, Use
from extproc.messages import ModeChange, Protocol
from tests.acting import acting
from tests.envoy_side import go, request

MODES = [BodyMode.STREAMED, BodyMode.BUFFERED, BodyMode.BUFFERED_PARTIAL]
READS_REQUESTS = acting(on_request_body=lambda x: None)
READS_RESPONSES = acting(on_response_body=lambda x: None)
BORED = acting(on_request_headers=lambda x: x.skip_body(), on_request_body=lambda x: None)
NOBODY = {"path": "/elsewhere"}


def told(mode: BodyMode, *filters: Any, **protocol: Any) -> ModeChange | None:
    """What comes with the answer to the headers of a request."""
    said = request(method="POST", end=False, protocol=Protocol(mode, mode, **protocol))
    change: ModeChange | None = go(Chain(filters), said, change_modes=True)[1][0].mode
    return change


@pytest.mark.parametrize("mode", MODES)
def test_to_switch_one_body_off_leaves_the_other_as_it_is(mode: BodyMode) -> None:
    """An override that leaves a body mode out switches that body off, and a filter would see nothing of it."""
    none = BodyMode.NONE
    assert told(mode, BORED, READS_RESPONSES) == ModeChange(none, mode, skip_request_trailers=True)
    unasked = told(mode, READS_REQUESTS, Use(READS_RESPONSES, when=NOBODY))
    assert unasked == ModeChange(mode, none, skip_response_headers=True, skip_response_trailers=True)


@pytest.mark.parametrize("mode", MODES)
def test_where_everything_is_wanted_nothing_is_told(mode: BodyMode) -> None:
    assert told(mode, READS_REQUESTS, READS_RESPONSES) is None


@pytest.mark.parametrize("mode", MODES)
def test_an_envoy_that_would_not_listen_is_told_nothing(mode: BodyMode) -> None:
    assert told(BodyMode.FULL_DUPLEX_STREAMED, BORED) is None
    assert told(mode, BORED, send_body_without_waiting=True) is None
