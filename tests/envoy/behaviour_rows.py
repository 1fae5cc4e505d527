"""What docs/envoy-behaviour.md tells about, by theme: a scenario, and what the processor does in it.

What Envoy does is not written here: `tests.envoy.behaviour` takes it from the scenario.
"""

from __future__ import annotations

__all__ = ["THEMES"]

THEMES: dict[str, tuple[str, dict[str, str]]] = {
    "No answer, a wrong one, too many": (
        "Bodies, where they are asked about, are `BUFFERED`; `failure_mode_allow` is false unless said.",
        {
            "GetAndCloseStream": "ends the stream with status OK before it has answered the request's headers",
            "request_body-answer-closed-shut": "ends the stream with status OK instead of answering the request's body",
            "request_headers-answer-aborted-shut": "ends the stream with an error",
            "request_headers-answer-aborted-open": "ends the stream with an error; `failure_mode_allow`",
            "request_headers-answer-aborted-503": "ends the stream with an error; `status_on_error: 503`",
            "response_headers-answer-aborted-shut": "ends the stream with an error when asked about the response",
            "request_headers-answer-missing-shut": "does not answer within `message_timeout`",
            "request_headers-answer-missing-open": "does not answer within `message_timeout`; `failure_mode_allow`",
            "request_headers-answer-missing-503": "does not answer within `message_timeout`; `status_on_error: 503`",
            "request_headers-answer-empty-shut": "answers with an empty `ProcessingResponse`",
            "request_headers-answer-empty-open": "answers with an empty `ProcessingResponse`; `failure_mode_allow`",
            "an-answer-of-a-kind-that-nobody-knows": "answers with a field that Envoy does not know, and nothing else",
            "an-answer-with-a-field-that-nobody-knows": "answers rightly, with a field that Envoy does not know",
            "request_headers-answer-of-another-phase-shut": "answers about another phase",
            "request_headers-answer-twice-shut": "answers the request's headers twice",
            "response_headers-answer-twice-shut": "answers the response's headers twice",
            "ExtraReply-later": "answers the request's headers again, when the upstream has the request",
            "ExtraAfterImmediateResponse": "says something after an immediate response",
            "GetAndFailStreamWithInvalidServer": "cannot be reached",
            "GetAndFailStreamWithInvalidServer-open": "cannot be reached; `failure_mode_allow`",
            "an-error-by-rule-fails-even-when-open": (
                "makes a forbidden edit; `disallow_is_error` and `failure_mode_allow`"
            ),
        },
    ),
    "Headers": (
        "Only `raw_value` and the deprecated `append` count. An edit that a rule forbids is dropped and counted.",
        {
            "set-replaces-every-occurrence-and-goes-last": "sets a header that occurs twice",
            "append-goes-last": "appends to a header",
            "value-alone-is-not-read": "sets a header by `value` instead of `raw_value`",
            "append-action-add_if_absent-is-not-read": "sets a header that is there, with `ADD_IF_ABSENT`",
            "append-action-overwrite_if_exists-is-not-read-where-absent": (
                "sets a header that is not there, with `OVERWRITE_IF_EXISTS`"
            ),
            "set-cookie-set-twice-leaves-the-last": "sets `set-cookie` twice",
            "set-cookie-append": "appends `set-cookie`",
            "removes-come-before-sets": "removes and sets the same header in one answer",
            "GetAndSetHeadersNonUtf8WithValueInBytes": "sets a value that is no UTF-8",
            "set-fails-for-cr-lf-in-the-value": "sets a value with a line break",
            "set-fails-for-space-in-the-name": "sets a name with a space",
            "refused-method": "sets `:method`",
            "allowed-method": "sets `:method`; `allow_all_routing`",
            "refused-host": "sets `host`",
            "refused-x-envoy": "sets `x-envoy-*`",
            "refused-removing-path": "removes `:path`",
            "refused-even-when-allowed-removing-host": "removes `host`; `allow_all_routing`",
            "path-with-a-space": "sets a `:path` with a space",
            "path-empty": "sets an empty `:path`",
            "status-set-to-'201'": "sets `:status` to 201",
            "status-set-to-'100'": "sets `:status` to 100",
            "status-set-to-'abc'": "sets `:status` to `abc`",
            "101-sets-of-one-header": "makes more than 100 edits",
            "request-headers-101": "makes the headers more than 100",
            "request-headers-60-kib-and-1": "makes the request's headers larger than 60 KiB",
            "too-many-fails-even-when-open": "makes the headers more than 100; `failure_mode_allow`",
            "a-smaller-length-alone-cuts-the-body": "sets a `content-length` smaller than the body",
            "transfer-encoding-in-a-response-is-dropped": "sets `transfer-encoding` in a response",
            "hop-by-hop-connection": "sets `connection`, over HTTP/2",
        },
    ),
    "Routes": (
        "Requests with `x-canary`, and those to `/canary`, go to another cluster.",
        {
            "a-new-path-keeps-the-old-route": "sets a `:path` of another route",
            "a-new-path-with-the-route-cleared": "sets a `:path` of another route, with `clear_route_cache`",
            "clearing-the-route-is-disabled": "says `clear_route_cache`; `disable_clear_route_cache`",
            "a-body-answer-clears-the-route": "says `clear_route_cache` in the answer to a body",
            "clearing-the-route-in-a-response": "says `clear_route_cache` in the answer to response headers",
        },
    ),
    "BUFFERED bodies": (
        "The whole body is one message, and the headers wait until it is answered.",
        {
            "get-has-no-body-phase": "waits for the body of a GET",
            "content-length-0-has-no-body-phase": "waits for a body of `content-length: 0`",
            "an-empty-chunked-body-is-one-empty-message": "waits for a chunked body that is empty",
            "request-body-longer-counted": "makes the body longer",
            "request-body-longer-chunked": "makes the body longer, which came in chunks",
            "request-body-longer-and-length-set-counted": "makes the body longer, and sets `content-length`",
            "request-body-longer-and-length-removed-counted": "makes the body longer, and removes `content-length`",
            "request-body-cleared-counted": "clears the body",
            "a-mismatch-fails-even-when-open": "makes the body longer; `failure_mode_allow`",
            "a-body-in-a-headers-answer-is-dropped": "gives a body with its answer to the headers",
            "ConvertGetToPost": "gives a body with `CONTINUE_AND_REPLACE`, and makes a GET a POST",
            "replace-request-counted-everything": "gives a body with `CONTINUE_AND_REPLACE` to a request with a body",
            "headers-unseen-then-edited-in-vain": "edits headers with the body, but is not asked about headers",
            "request-body-of-101-counted": "waits for a body of 101 bytes, where Envoy holds 100",
            "response-body-of-101-counted": "waits for a response body of 101 bytes, where Envoy holds 100",
            "request-body-too-large-even-when-open": "waits for a body over the limit; `failure_mode_allow`",
            "request-body-answer-of-101": "answers with a body of 101 bytes, where Envoy holds 100",
            "StreamedResponseInBufferedMode": "answers with a `streamed_response`",
        },
    ),
    "STREAMED and BUFFERED_PARTIAL bodies": (
        "Each piece is a message and waits for its answer. Over HTTP/1.1 the end of a body is a message of its own.",
        {
            "PostAndProcessStreamBothBodies": "changes nothing, `STREAMED`, three pieces each way",
            "RemoveRequestContentLengthInStreamedMode": "changes nothing in a request with a length, `STREAMED`",
            "RemoveResponseContentLength": "changes nothing in a response with a length, `STREAMED`",
            "content-length-kept-streamed": "changes nothing, `STREAMED`; `allow_content_length_header`",
            "PostAndStreamAndTransformBothBodies": "makes each piece upper case",
            "StreamedBodyCleared": "clears each piece",
            "StreamedHeadersEditedWithTheBody": "edits headers with the body, which was here with the headers",
            "StreamedHeadersEditedWithTheBody-stepwise": "edits headers with the body, which came later",
            "PostAndProcessStreamedRequestBodyAndClose": "ends the stream with status OK in the middle of a body",
            "streamed-request_body-aborted-shut-late": "ends the stream with an error in the middle of a body",
            "streamed-request_body-aborted-open-late": (
                "ends the stream with an error in the middle of a body; `failure_mode_allow`"
            ),
            "streamed-response_body-aborted-shut-late": "ends the stream with an error in a response body",
            "GetAndRespondImmediatelyOnStreamedRequestBody": "gives an immediate response in a request body",
            "GetAndRespondImmediatelyOnStreamedResponseBody": "gives an immediate response in a response body",
            "over-the-limit-buffered-partial-at-once": "is asked about a body over the limit, `BUFFERED_PARTIAL`",
        },
    ),
    "FULL_DUPLEX_STREAMED and GRPC bodies": (
        "The processor sends the body itself, in pieces of its own; no timer runs.",
        {
            "DuplexStreamedInBothDirection": "sends each piece back in upper case",
            "ServerSendBodyRespWithouRecvEntireBodyDuplexStreamed": "sends three pieces for seven",
            "ServerWaitForBodyBeforeSendsHeaderRespDuplexStreamed": "answers the headers when it has the whole body",
            "ServerSendOutOfOrderResponseDuplexStreamed": "sends a piece before it has answered the headers",
            "DuplexStreamedNoMutation": "answers a piece without a `streamed_response`",
            "DuplexStreamedPlainBody": "answers a piece with a `body`",
            "DuplexStreamedWithoutAnEnd": "never says `end_of_stream`",
            "DuplexStreamedDataAfterTheEnd": "sends a piece after `end_of_stream`",
            "DuplexStreamedClosedMidBody": "ends the stream with status OK in the middle",
            "DuplexStreamedAbortedAtOnce-open": "ends the stream with an error at once; `failure_mode_allow`",
            "DuplexStreamedAbortedMidBody-open": "ends the stream with an error in the middle; `failure_mode_allow`",
            "DuplexStreamedServerResponseWithSynthesizedTrailer": "sends trailers where there were none",
            "a-grpc-call-grpc": "is configured for `GRPC` bodies, which Envoy 1.40 accepts and does not send",
        },
    ),
    "Trailers": (
        "Over HTTP/1.1 there are trailers only where `enable_trailers` is set.",
        {
            "trailers-edited": "edits trailers",
            "trailers-are-lost-where-a-length-is-set": "sets `content-length` on a message with trailers",
            "trailers-illegal-in-the-response": "sets an illegal trailer in the response",
            "an-empty-body-before-unwanted-trailers-is-never-asked-about": "waits for an empty body before trailers",
        },
    ),
    "Immediate responses": (
        "They end the exchange, whatever is under way.",
        {
            "immediate-with-everything": "answers with status, headers, body and details",
            "immediate-status-unset": "forgets the status",
            "immediate-status-100": "gives status 100",
            "immediate-700": "gives status 700",
            "immediate-204-with-a-body-is-sent-with-its-length": "gives status 204 and a body",
            "immediate-with-an-illegal-header-drops-the-rest": "sets an illegal header in it",
            "immediate-to-grpc": "answers a gRPC call with 403",
            "immediate-in-response-headers": "answers the response's headers with it",
            "immediate-after-the-response-headers-left": "answers the response's body with it, not asked about headers",
            "immediate-disabled": "answers with it; `disable_immediate_response`",
            "LocalHeadersOnlyRequestAndResponseWithBody": "gives a response in pieces (`streamed_immediate_response`)",
            "LocalResponseWhereTheBodyIsBuffered": "gives a response in pieces, where the request's body is `BUFFERED`",
            "FinishLocalResponseWithIncomplereRequestWithBodyDuplex": (
                "gives a response in pieces in full duplex, while the request is under way"
            ),
            "SpuriousResponse-to-response-headers": "gives a response in pieces when asked about the response",
            "LocalResponseThatIsNotFinished": "begins a response in pieces and does not end it",
        },
    ),
    "Timers": (
        "`message_timeout` runs for each message. More time is asked for with `override_message_timeout`.",
        {
            "RequestMessageNewTimeoutNoMutation": "asks for more time, and answers in it",
            "RequestMessageNoMutationMultipleNewTimeout": "asks for more time twice, and does not answer",
            "RequestMessageNewTimeoutNegativeTestTimeoutNotAcceptedDefaultMax": (
                "asks for more time; `max_message_timeout` is not set"
            ),
            "RequestMessageNewTimeoutNegativeTestTooBigWithSmallMax": "asks for more than `max_message_timeout`",
            "NewTimeoutTogetherWithAnAnswer": "asks for more time in its answer, and answers again",
            "ServerWaitTooLongBeforeSendRespDuplexStreamed": "does not answer in full duplex; `stream_idle_timeout`",
        },
    ),
    "Changes of mode": (
        "`mode_override` in an answer to headers.",
        {
            "ModeOverrideDisallowed": "asks for bodies; `allow_mode_override` is not set",
            "ModeOverrideAllowed": "asks for bodies",
            "ModeOverrideAllowed-skip-response": "asks to be spared response headers, and loses the bodies",
            "ModeOverrideDisallowed-by-the-list": "asks for a mode that `allowed_override_modes` does not have",
            "ModeOverrideFromABodyAnswer": "asks in an answer to a body",
            "ModeOverrideOnItsOwn": "asks before it answers",
            "ModeOverrideNoneToFullDuplex": "asks for a body in full duplex",
        },
    ),
    "Metadata, routes, observability": (
        "",
        {
            "SendAndReceiveDynamicMetadata": "sets dynamic metadata of a namespace in `receiving_namespaces`",
            "DynamicMetadataThatIsNotReceived": "sets dynamic metadata; there are no `receiving_namespaces`",
            "PerHostDisableAndRouteOverride": "is disabled by the virtual host, and has a mode in the route",
            "PerRouteFailureModeAllow": "ends the stream with an error; the route says `failure_mode_allow`",
            "ObservabilityModeWithHeader": "edits headers; `observability_mode`",
            "ObservabilityModeImmediate": "answers with an immediate response; `observability_mode`",
            "ObservabilityModeWithLoggingFailStream": "ends the stream with an error; `observability_mode`",
            "ObservabilityModeWithLoggingFailStream-open": (
                "ends the stream with an error; `observability_mode` and `failure_mode_allow`"
            ),
        },
    ),
    "Two filters in a row": (
        "Each has a processor. The row says what the second one does, and what the first one, met first, is told.",
        {
            "two-filters-request_headers-immediate-shut-second": "gives an immediate response",
            "two-filters-request_headers-immediate-shut-first": "changes nothing; the first one has answered with 403",
            "two-filters-request_body-aborted-shut-first": "changes nothing; the first one's stream ends with an error",
            "two-filters-what-the-second-holds-buffered-early": (
                "is asked about the body, not the headers, and gives another body; `BUFFERED` in the first"
            ),
            "two-filters-what-the-second-holds-none-early": (
                "the same, before the first has answered about the headers, which are all that it wants"
            ),
            "two-filters-what-the-second-holds-none-late": "the same, after the first has answered about them",
            "two-filters-what-the-second-holds-streamed-early": (
                "the same, before the first has answered about the headers; `STREAMED` in the first"
            ),
            "two-filters-what-the-second-holds-streamed-late": "the same, after the first has answered about them",
        },
    ),
    "Another protocol, such as WebSocket": (
        "The bytes that follow the headers are bodies without an end.",
        {
            "upgrade-headers-only": "is asked about headers",
            "upgrade-streamed": "is asked about bodies, `STREAMED`",
            "upgrade-full_duplex_streamed": "is asked about bodies, `FULL_DUPLEX_STREAMED`",
            "upgrade-buffered": "is asked about bodies, `BUFFERED`: the end that Envoy waits for never comes",
            "upgrade-buffered-of-the-response": "is asked about response bodies, `BUFFERED`",
            "upgrade-denied": "gives an immediate response",
        },
    ),
    "Drains and windows": (
        "Envoy 1.40 knows the words only.",
        {
            "drain-both-full-duplex-streamed-always": "says `request_drain_requests` and `…_responses` each time",
            "drain-both-alone-shut": "says nothing else",
            "window-alone-shut": "says `server_window_update` and nothing else",
        },
    ),
    "Who goes away": (
        "",
        {
            "killed-streamed-request_headers-shut": "is killed before it has answered the headers",
            "killed-streamed-request_body-open-late": "is killed in a `STREAMED` body; `failure_mode_allow`",
            "killed-full_duplex_streamed-headers-unanswered-open": (
                "is killed before anything of a full duplex body has come; `failure_mode_allow`"
            ),
            "killed-full_duplex_streamed-pieces-unanswered-open": (
                "is killed when it has been told of a full duplex body; `failure_mode_allow`"
            ),
            "killed-full_duplex_streamed-between-request-and-response-open": (
                "is killed when the request, in full duplex, is through; `failure_mode_allow`"
            ),
            "refused-full_duplex_streamed-open-at-once": "cannot be reached in full duplex; `failure_mode_allow`",
            "client-leaves-in-the-body-streamed": "is asked about a request body, and the client goes",
            "upstream-leaves-before-its-response-buffered": "has answered, and the upstream goes without a response",
            "upstream-leaves-in-its-body-streamed": "is asked about a response body, and the upstream goes",
            "upstream-replies-and-the-request-goes-on-streamed": "is asked about the body when the response comes",
        },
    ),
}
