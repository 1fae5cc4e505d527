"""What is said beside plain answers: pieces of bodies, replies in pieces, more time, modes, typed metadata."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from extproc.messages import Continue, Immediate, ModeChange, MoreTime, Piece, ReplyBody, ReplyHeaders, TypedValue
from extproc.phases import BodyMode, Phase
from extproc.wire import decode, encode, encode_apart
from extproc.wire.ext_proc_pb2 import ProcessingMode, ProcessingRequest, ProcessingResponse

TYPED = {"ns": TypedValue("type.googleapis.com/a.B", b"\x00\xff")}
SIZES = st.sampled_from([0, 1, 100, 120, 127, 128, 16_000, 16_384, 65_536]) | st.integers(0, 300)


def read(data: bytes) -> ProcessingResponse:
    return ProcessingResponse.FromString(data)


@settings(deadline=None)
@given(st.sampled_from([Phase.REQUEST_BODY, Phase.RESPONSE_BODY]), SIZES, st.booleans(), st.booleans())
def test_a_piece_reads_back_as_what_it_is(phase: Phase, size: int, end: bool, told: bool) -> None:
    typed = TYPED if told else {}
    response = read(encode(Piece(phase, b"z" * size, end, {"a": {"b": 1.0}} if told else {}, typed)))
    assert response.WhichOneof("response") == phase.value
    mutation = getattr(response, phase.value).response.body_mutation
    assert mutation.WhichOneof("mutation") == "streamed_response"  # nothing else is legal
    assert (mutation.streamed_response.body, mutation.streamed_response.end_of_stream) == (b"z" * size, end)
    assert (len(response.dynamic_metadata.fields), len(response.typed_dynamic_metadata)) == (told, told)
    assert response.SerializeToString(deterministic=True) is not None


def test_a_piece_holds_nothing_that_our_definitions_do_not_know() -> None:
    data = encode(Piece(Phase.REQUEST_BODY, b"body", end_of_stream=True))
    assert len(read(data).SerializeToString()) == len(data)


@pytest.mark.parametrize(
    ("answer", "apart"),
    [
        (Continue(Phase.REQUEST_BODY, body=b"body"), True),
        (Continue(Phase.REQUEST_BODY, body=b""), False),
        (Continue(Phase.REQUEST_BODY), False),
        (Continue(Phase.REQUEST_BODY, remove_headers=("x-a",), body=b"body"), False),
        (Continue(Phase.REQUEST_BODY, body=b"body", typed_metadata=TYPED), False),
        (Continue(Phase.REQUEST_HEADERS, body=b"body", replace=True), False),
        (Piece(Phase.RESPONSE_BODY, b"body"), True),
        (Piece(Phase.RESPONSE_BODY, b"body", end_of_stream=True, typed_metadata=TYPED), True),
        (Piece(Phase.RESPONSE_BODY, b"", end_of_stream=True), False),
        (ReplyBody(b"body"), False),
    ],
)
def test_a_body_that_is_an_answer_s_end_is_not_copied(answer: Continue | Piece | ReplyBody, apart: bool) -> None:
    head, body = encode_apart(answer)
    assert head + body == encode(answer)
    assert (body is answer.body) == apart or not answer.body


def test_a_reply_in_pieces_reads_back_as_what_it_is() -> None:
    head = read(encode(ReplyHeaders([(":status", b"200"), ("x-a", b"\xff"), ("x-a", b"2")])))
    headers = head.streamed_immediate_response.headers_response.headers.headers
    assert [(item.key, item.raw_value, item.value) for item in headers] == [
        (":status", b"200", ""),
        ("x-a", b"\xff", ""),
        ("x-a", b"2", ""),
    ]
    for end in (False, True):
        body = read(encode(ReplyBody(b"abc", end))).streamed_immediate_response.body_response
        assert (body.body, body.end_of_stream) == (b"abc", end)


@pytest.mark.parametrize("seconds", [0.001, 0.25, 1.5, 3600.0])
def test_more_time_is_all_that_is_asked_for(seconds: float) -> None:
    response = read(encode(MoreTime(seconds)))
    assert response.WhichOneof("response") is None
    assert response.override_message_timeout.ToTimedelta().total_seconds() == seconds


@pytest.mark.parametrize("skip", [False, True])
def test_both_body_modes_are_always_told(skip: bool) -> None:
    """There is no value that leaves one as it is: unset is NONE, and would walk bodies past filters."""
    change = ModeChange(BodyMode.BUFFERED, BodyMode.STREAMED, skip, skip, skip)
    mode = read(encode(Continue(Phase.REQUEST_HEADERS, mode=change))).mode_override
    assert (mode.request_body_mode, mode.response_body_mode) == (ProcessingMode.BUFFERED, ProcessingMode.STREAMED)
    told = (mode.request_trailer_mode, mode.response_header_mode, mode.response_trailer_mode)
    assert set(told) == {ProcessingMode.SKIP if skip else ProcessingMode.DEFAULT}
    assert mode.request_header_mode == ProcessingMode.DEFAULT


@pytest.mark.parametrize(
    "answer", [Continue(Phase.REQUEST_HEADERS, typed_metadata=TYPED), Immediate(403, typed_metadata=TYPED)]
)
def test_typed_metadata_goes_out(answer: Continue | Immediate) -> None:
    (item,) = read(encode(answer)).typed_dynamic_metadata.items()
    assert (item[0], item[1].type_url, item[1].value) == ("ns", "type.googleapis.com/a.B", b"\x00\xff")


def test_typed_metadata_comes_in() -> None:
    request = ProcessingRequest()
    request.request_body.body = b"x"
    request.metadata_context.typed_filter_metadata["ns"].type_url = "type.googleapis.com/a.B"
    request.metadata_context.typed_filter_metadata["ns"].value = b"\x00\xff"
    message = decode(request.SerializeToString())
    assert message is not None
    assert message.typed_metadata == TYPED


def test_an_answer_is_encoded_once() -> None:
    answer = Continue(Phase.REQUEST_HEADERS, clear_route_cache=True)
    assert encode(answer) is encode(answer)
