"""The one table of the protocol."""

from __future__ import annotations

import itertools

import pytest

from extproc.phases import RULES, BodyMode, Direction, Part, Phase, can_follow

HOLDING = (BodyMode.BUFFERED, BodyMode.BUFFERED_PARTIAL)


def test_there_is_a_rule_for_every_phase_in_every_mode() -> None:
    assert set(RULES) == set(itertools.product(Phase, BodyMode))


@pytest.mark.parametrize("phase", Phase)
def test_a_phase_knows_its_half_and_its_part(phase: Phase) -> None:
    assert phase.value == f"{phase.direction.value}_{phase.part.name.lower()}"


def test_modes_have_the_numbers_of_the_wire() -> None:
    names = ["NONE", "STREAMED", "BUFFERED", "BUFFERED_PARTIAL", "FULL_DUPLEX_STREAMED", "GRPC"]
    assert [mode.name for mode in sorted(BodyMode)] == names
    assert [mode.value for mode in sorted(BodyMode)] == list(range(6))


@pytest.mark.parametrize(("phase", "mode"), RULES)
def test_only_a_headers_answer_can_replace_the_whole_message(phase: Phase, mode: BodyMode) -> None:
    assert RULES[phase, mode].replace is (phase.part is Part.HEADERS)


@pytest.mark.parametrize(("phase", "mode"), RULES)
def test_header_edits_take_effect_only_while_envoy_holds_the_headers(phase: Phase, mode: BodyMode) -> None:
    """In STREAMED mode they may have left; Envoy would drop the edit silently."""
    assert RULES[phase, mode].headers is (phase.part is not Part.BODY or mode in HOLDING)


@pytest.mark.parametrize(("phase", "mode"), RULES)
def test_only_a_body_answer_carries_a_body(phase: Phase, mode: BodyMode) -> None:
    assert RULES[phase, mode].body is (phase.part is Part.BODY)


@pytest.mark.parametrize(("phase", "mode"), RULES)
def test_an_immediate_response_needs_a_client_that_has_no_byte_of_a_response(phase: Phase, mode: BodyMode) -> None:
    assert RULES[phase, mode].immediate is (phase is not Phase.RESPONSE_TRAILERS)


@pytest.mark.parametrize("phase", Phase)
@pytest.mark.parametrize("mode", BodyMode)
def test_any_phase_may_be_the_first(phase: Phase, mode: BodyMode) -> None:
    """Envoy skips phases that are switched off, and makes responses by itself."""
    assert can_follow(None, phase, mode)


@pytest.mark.parametrize("direction", Direction)
@pytest.mark.parametrize("mode", BodyMode)
def test_within_a_direction_the_order_is_fixed(direction: Direction, mode: BodyMode) -> None:
    phases = [phase for phase in Phase if phase.direction is direction]
    for last, phase in itertools.product(phases, repeat=2):
        in_pieces = last is phase and phase.part is Part.BODY and mode not in HOLDING
        assert can_follow(last, phase, mode) is (phases.index(phase) > phases.index(last) or in_pieces)
