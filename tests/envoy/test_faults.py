"""What can go wrong between Envoy and a processor, in words: its scenarios and its tests, or why there are none."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

from tests.envoy.tables import SCENARIOS

Function = ast.FunctionDef | ast.AsyncFunctionDef

PLAYED = {scenario.name for scenario in SCENARIOS}

FAULTS: dict[str, str] = {
    # The stream
    "it ends with OK before anything is answered": "GetAndCloseStream",
    "it ends with OK at response headers": "GetAndCloseStreamOnResponse",
    "it ends with OK at a BUFFERED body": "request_body-answer-closed-shut",
    "it ends with OK at a STREAMED body": "streamed-request_body-closed-shut streamed-request_body-closed-shut-late",
    "it ends with OK in a full duplex body": "DuplexStreamedClosedMidBody DuplexStreamedClosedAtOnce",
    "it ends with an error": "request_headers-answer-aborted-shut request_headers-answer-aborted-open",
    "it ends with an error between request and response": "GetAndFailStreamOutOfLine GrpcErrorOutOfLine",
    "it ends with an error in a STREAMED body": "streamed-request_body-aborted-open-late",
    "it ends with an error in full duplex": "DuplexStreamedAbortedMidBody-open DuplexStreamedAbortedMidBody-shut",
    "it cannot be opened": "GetAndFailStreamWithInvalidServer GetAndFailStreamWithInvalidServer-open",
    "it cannot be opened, in full duplex": (
        "refused-full_duplex_streamed-shut-step-by-step refused-full_duplex_streamed-open-step-by-step"
    ),
    "the processor is killed": "killed-streamed-request_body-shut-late killed-streamed-request_body-open-late",
    "the processor is killed in full duplex": (
        "killed-full_duplex_streamed-request_body-open-late killed-full_duplex_streamed-pieces-unanswered-open"
    ),
    "nothing is answered in time": "request_headers-answer-missing-shut request_headers-answer-missing-open",
    "one of two in a row ends with an error": "two-filters-request_body-aborted-shut-first",
    "one of two in a row says no": "two-filters-request_headers-immediate-shut-second",
    # Answers
    "an answer of the other direction": "request_headers-answer-of-another-phase-shut",
    "an answer without anything in it": "request_headers-answer-empty-shut an-answer-without-a-byte",
    "two answers to one message": "request_headers-answer-twice-shut response_body-answer-twice-shut",
    "an answer after an immediate response": "ExtraAfterImmediateResponse",
    "an answer of a kind that is not known": "an-answer-of-a-kind-that-nobody-knows",
    "more time, with and without max_message_timeout": "more-time more-time-not-allowed",
    "more time twice, too little, too much": "more-time-twice more-time-too-little more-time-too-much",
    "a drain, a window update": "drain-both-full-duplex-streamed-always window-alone-shut",
    "an override of one body mode only": "ModeOverrideAllowed-skip-response",
    "an override that is not allowed": "ModeOverrideDisallowed ModeOverrideDisallowed-by-the-list",
    "a body in an answer to headers": "a-body-in-a-headers-answer-is-dropped",
    "CONTINUE_AND_REPLACE makes a GET a POST": "ConvertGetToPost",
    "answers in observability mode": "ObservabilityModeWithHeader ObservabilityModeImmediate",
    "an error in observability mode": "ObservabilityModeWithLoggingFailStream",
    "a plain body in full duplex": "DuplexStreamedPlainBody DuplexStreamedNoMutation",
    "trailers in full duplex that there were none of": "DuplexStreamedServerResponseWithSynthesizedTrailer",
    # What comes
    "a GET, an empty body": "get-has-no-body-phase an-empty-chunked-body-is-one-empty-message",
    "a response before the end of the request": "upstream-begins-early-buffered upstream-begins-early-streamed",
    "trailers after a BUFFERED body": "every-phase",
    "a gRPC call in every mode": "a-grpc-call-none a-grpc-call-streamed a-grpc-call-full_duplex_streamed",
    "101 and WebSocket": "upgrade-streamed upgrade-full_duplex_streamed upgrade-buffered upgrade-denied",
    "headers that occur twice": "headers-that-occur-twice",
    "the client goes in a body": "client-leaves-in-the-body-buffered client-leaves-in-the-body-streamed",
    "the upstream goes in its response": "upstream-leaves-in-its-body-buffered upstream-leaves-in-its-body-streamed",
    # Headers
    "a line break in a value": "set-fails-for-cr-lf-in-the-value immediate-with-an-illegal-header-drops-the-rest",
    "NUL and other controls in a value": "set-fails-for-nul-in-the-value set-fails-for-control-in-the-value",
    "bytes beyond ASCII": "bytes-above-ascii-pass",
    "a space in a name, no name": "set-fails-for-space-in-the-name",
    "a content-length below the body": "a-smaller-length-alone-cuts-the-body a-smaller-length-alone-cuts-the-response",
    "connection, upgrade, te and their like": "hop-by-hop-connection hop-by-hop-upgrade hop-by-hop-te",
    "a path that is none": "path-with-a-space path-empty path-without-a-slash path-with-a-fragment path-with-dots",
    "a line break in the path": "set-fails-for-cr-lf-in-the-path",
    ":method, :authority, host, :scheme": "refused-method refused-authority refused-host refused-scheme allowed-host",
    "x-envoy-*": "refused-x-envoy allowed-x-envoy",
    "a pseudo-header that there is not": "unknown-pseudo-header-vanishes-uncounted",
    "append and append_action": "append-goes-last append-action-add_if_absent-is-not-read",
    "value instead of raw_value": "value-alone-is-not-read",
    "too many edits, too large a value": "101-sets-of-one-header request-headers-60-kib-and-1",
    "capitals, underscores, a very long name": "names-with-an-underscore-and-in-capitals a-name-of-8-kib",
    "a status that is none": "status-set-to-'99' status-set-to-'abc' status-700",
    "set-cookie twice": "set-cookie-append set-cookie-set-twice-leaves-the-last",
    "a route chosen anew, or not": "a-new-path-keeps-the-old-route a-new-path-with-the-route-cleared",
    "an immediate response without a status": "immediate-status-unset immediate-status-100 immediate-700",
    "an immediate response 204 with a body": "immediate-204-with-a-body-is-sent-with-its-length",
    "an immediate response with a length of its own": "immediate-with-a-content-length-that-is-none",
    "an immediate response to a gRPC call": "immediate-to-grpc",
    "an immediate response when another is under way": "immediate-after-the-response-headers-left",
    # Sizes
    "a body at its limit, and one byte over": "request-body-of-100-counted request-body-of-101-counted",
    "an answer's body over the limit": "request-body-answer-of-101 replace-request-get-with-101-held",
}

TESTED: dict[str, str] = {
    # The stream and its answers
    "every answer is legal, whatever filters do": "machine_properties every_exchange_is_answered_legally",
    "an exception in a hook": "envoy/traps_failures trap_15_every_kind_of_error_is_a_failure_of_the_filter",
    "the text of an exception": "server/fronts a_failing_filter_does_not_tell_the_client_why",
    "a hook that hangs": "envoy/traps_time trap_10_a_filter_that_hangs_is_a_matter_of_its_policy",
    "a hook that needs longer": "envoy/more_time told_as_the_configuration_says_it_gets_more_time",
    "one body mode left out": "modes to_switch_one_body_off_leaves_the_other_as_it_is",
    "a message out of order": "machine_envoy a_message_out_of_order_breaks_the_stream_off",
    "a message of an unknown kind": "wire/unknown_fields unknown_arm_alone_is_no_arm_and_leaves_a_trace",
    "a window update alone": "wire/unknown_fields bare_window_update_is_no_phase_and_nothing_unknown",
    "a body that says it was drained": "wire/decode_encode a_drained_body_is_a_body_like_any_other",
    "an Envoy that does not say how bodies come": (
        "machine_bodies an_envoy_that_does_not_say_is_taken_to_do_what_the_chain_asks"
    ),
    "an Envoy that only watches": ("envoy/body_modes who_only_watches_changes_nothing_and_sees_everything"),
    "a processor that does not read": "envoy/flow_control sidestream_pushback_downstream",
    # Headers
    "controls in a value": "guard a_value_is_refused_exactly_when_it_holds_a_control_character",
    "a name that is no token": "guard any_other_character_makes_it_no_name",
    "framing headers: length, transfer-encoding, hop by hop": (
        "envoy/traps_headers trap_7_a_framing_header_goes_nowhere_and_connections_stay_in_step"
    ),
    "a path that breaks the request line": "guard a_path_that_would_break_the_request_line",
    "an edit without the privilege": (
        "envoy/traps_routing trap_4_a_protected_edit_without_the_privilege_is_an_error_of_the_filter"
    ),
    "adding where there is one": "envoy/traps_headers trap_3_an_edit_means_what_it_says_whatever_was_there",
    "several cookies": ("envoy/traps_headers trap_3_every_set_cookie_reaches_the_client_on_a_line_of_its_own"),
    "more than Envoy takes": (
        "envoy/traps_limits trap_12_headers_over_a_limit_are_dropped_whole_where_the_filter_may_be_skipped"
    ),
    "a credential twice": "filters/api_key anything_else_is_refused_and_says_why_to_the_access_log",
    "a response without a status": "envoy/traps_answers trap_13_a_forgotten_status_lets_nobody_in",
    "a refusal that comes too late": (
        "envoy/traps_failures "
        "trap_15_where_it_is_too_late_to_refuse_the_exchange_is_broken_off_and_says_no_more_than_why"
    ),
    # Bodies
    "a body over what gRPC takes": (
        "envoy/traps_limits trap_11_a_body_above_what_grpc_takes_by_default_passes_under_a_raised_limit"
    ),
    "gigabytes": "envoy/big_bodies a_long_body_passes_in_little_memory",
    "a byte at a time": (
        "envoy/slow_bodies where_the_processor_holds_a_body_it_holds_what_has_come_and_no_task "
        "where_envoy_holds_it_the_processor_is_told_of_nothing_before_its_end"
    ),
    "a byte at a time, in memory": (
        "body_modes what_is_held_of_a_body_in_small_pieces_takes_no_more_memory_than_it_counts"
    ),
    "the client goes in its body": (
        "envoy/clients_that_leave what_was_held_of_the_body_is_given_back a_hook_that_waits_is_cancelled"
    ),
    "cut anywhere": "filters/catalogue_splits neither_mode_nor_cuts_decide",
    "a part that might be the whole": "envoy/partial_bodies one_that_does_not_say_may_be_a_part",
    # The life of a processor
    "killed": ("envoy/rolling a_processor_that_is_killed_costs_what_it_was_busy_with_at_most_and_lets_nobody_pass"),
    "replaced": "envoy/rolling no_exchange_is_lost_while_processors_are_replaced_one_by_one",
    "stopped with exchanges under way": ("server/fronts stopping_reports_unhealthy_then_lets_an_exchange_finish"),
    "connections that end for their age": (
        "envoy/connection_age no_exchange_is_lost_when_connections_end_for_their_age"
    ),
    "as many connections as it takes": "envoy/full_processor no_exchange_is_lost_when_one_of_two_is_full",
    "more exchanges than Envoy's circuit breaker has": (
        "envoy/traps_time traps_10_and_15_more_exchanges_at_once_than_envoys_circuit_breaker_has_by_default"
    ),
    "not there": ("envoy/traps_stream_life trap_15_without_a_processor_only_a_chain_that_may_be_skipped_is"),
    "asked how it is": (
        "server/native/health check_of_an_unknown_service_is_not_found "
        "watch_tells_each_change_once_and_ends_when_the_processor_stops"
    ),
    "a filter that blocks": (
        "envoy/neighbours a_filter_that_sleeps_fails_no_other_exchange "
        "a_filter_that_blocks_fails_the_others_and_is_named_with_its_stack"
    ),
    "a filter that computes all the time": ("envoy/neighbours a_processor_that_computes_all_the_time_is_still_healthy"),
    "a filter that swallows its cancellation": "driving whoever_watches_sees_a_swallowed_cancellation",
    "a task that a filter leaves behind": (
        "envoy/clients_that_leave what_a_hook_has_begun_beside_the_exchange_is_cancelled"
    ),
    "ten thousand idle exchanges": ("server/native/load ten_thousand_idle_streams_cost_less_than_20_kb_each"),
    "a clock set back": "filters/rate_limit a_clock_set_back_locks_nobody_out",
    "a socket left by a dead process": "server/listen a_socket_left_by_a_dead_process_is_taken_over",
    "a full disk": "replay/recorder a_full_disk_is_logged_once_and_the_capture_stays_whole",
    "a log that nobody reads": "cli/serve a_log_that_nobody_reads_any_more_costs_no_exchange",
    "no descriptors left": "cli/serve who_has_run_out_of_descriptors_takes_connections_again",
}
"""What is no scenario, and where it is tested: in which file, by which tests; `test_` and the like left out."""

NOT_HERE = {
    "compressed bodies, and bombs of them": "nothing here unpacks a body",
    "JSON that is none, forms of a thousand parts": "to the SDK, a body is bytes",
    "Envoy's own way to retry": "it loses exchanges, and so the configuration we write has another",
    "a chain that is read again": "a process has one chain for life; a new chain takes a new process",
    "workers that fork": "a process is a worker, and whoever started it starts it again",
    "a processor whose event loop is blocked and that says it lives": (
        "it does not: Envoy is to send nothing there; a probe that an own thread answers would hide that"
    ),
}
"""What cannot go wrong, for there is no such thing, and why."""

TESTS = Path(__file__).parents[1]


@pytest.mark.parametrize("fault", FAULTS)
def test_each_fault_is_played(fault: str) -> None:
    assert set(FAULTS[fault].split()) <= PLAYED


@pytest.mark.parametrize("fault", TESTED)
def test_each_fault_has_its_tests(fault: str) -> None:
    where, *names = TESTED[fault].split()
    folder, _, name = where.rpartition("/")
    tree = ast.parse((TESTS / folder / f"test_{name}.py").read_text())
    defined = {node.name for node in ast.walk(tree) if isinstance(node, Function)}
    assert names
    assert {f"test_{name}" for name in names} <= defined
