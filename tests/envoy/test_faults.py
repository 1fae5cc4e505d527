"""What can go wrong between Envoy and a processor: there are scenarios of it here, or it says why not."""

from __future__ import annotations

import pytest

from tests.envoy.tables import SCENARIOS

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

ELSEWHERE = {
    "transfer-encoding, a content-length over the body": "corrupts the connection: test_traps_headers, guard",
    "an exception, a hook that blocks": "is the processor's own: test_traps_failures, test_neighbours",
    "a body over what gRPC takes": "a limit of the processor's server: test_traps_limits",
    "a processor restarted, rolled": "processes: tests/server",
    "a processor that does not read": "the model has no windows: test_flow_control",
    "gigabytes of body": "tests of the server: what is measured there is memory",
}
"""What is tested elsewhere, or cannot be seen here."""


@pytest.mark.parametrize("fault", FAULTS)
def test_each_fault_is_played(fault: str) -> None:
    assert set(FAULTS[fault].split()) <= PLAYED
