"""From bytes to messages and from answers to bytes, read back with the generated classes."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from extproc.answers import UNCHANGED
from extproc.errors import PeerError
from extproc.messages import Continue, HeaderEdit, Immediate, Message, Protocol, RawHeaders
from extproc.phases import BodyMode, Part, Phase
from extproc.wire import decode, encode
from extproc.wire.ext_proc_pb2 import CommonResponse, ProcessingRequest, ProcessingResponse

NAMES = st.text("abcdefghijklmnopqrstuvwxyz-_:", min_size=1, max_size=12)
VALUES = st.binary(max_size=300)
HEADERS: st.SearchStrategy[RawHeaders] = st.lists(st.tuples(NAMES, VALUES), max_size=5)
TEXT = st.text(st.characters(codec="utf-8"), max_size=5)
NUMBERS = st.floats(allow_nan=False, allow_infinity=False)
JSON = st.recursive(
    st.none() | st.booleans() | NUMBERS | TEXT,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXT, inner, max_size=3),
    max_leaves=6,
)
NAMESPACED = st.dictionaries(TEXT, st.dictionaries(TEXT, JSON, max_size=2), max_size=2)


# Decoding

MESSAGES = st.builds(
    Message,
    st.sampled_from(Phase),
    headers=HEADERS,
    body=st.binary(max_size=300),
    end_of_stream=st.booleans(),
    attributes=st.dictionaries(TEXT, JSON, max_size=2),
    metadata=NAMESPACED,
    protocol=st.none() | st.builds(Protocol, st.sampled_from(BodyMode), st.sampled_from(BodyMode), st.booleans()),
    observability=st.booleans(),
)


def as_envoy_sends_it(message: Message) -> ProcessingRequest:
    wire = ProcessingRequest(observability_mode=message.observability)
    part: Any = getattr(wire, message.phase.value)
    part.SetInParent()
    if message.phase.part is Part.BODY:
        part.body = message.body
    else:
        headers = part.headers if message.phase.part is Part.HEADERS else part.trailers
        for name, value in message.headers:
            headers.headers.add(key=name, raw_value=value)
    if message.phase.part is not Part.TRAILERS:
        part.end_of_stream = message.end_of_stream
    if message.attributes:
        wire.attributes["envoy.filters.http.ext_proc"].update(message.attributes)
    for namespace, values in message.metadata.items():
        wire.metadata_context.filter_metadata[namespace].update(values)
    if message.protocol is not None:
        config = wire.protocol_config
        config.SetInParent()
        config.request_body_mode = message.protocol.request_body.value  # type: ignore[assignment]
        config.response_body_mode = message.protocol.response_body.value  # type: ignore[assignment]
        config.send_body_without_waiting_for_header_response = message.protocol.send_body_without_waiting
    return wire


@given(MESSAGES)
def test_a_message_is_what_envoy_said(message: Message) -> None:
    got = decode(as_envoy_sends_it(message).SerializeToString())
    assert got is not None
    assert got.phase is message.phase
    assert got.headers == (message.headers if message.phase.part is not Part.BODY else [])
    assert got.body == (message.body if message.phase.part is Part.BODY else b"")
    assert got.end_of_stream is (message.end_of_stream or message.phase.part is Part.TRAILERS)
    assert (got.attributes, got.metadata) == (message.attributes, message.metadata)
    assert (got.protocol, got.observability) == (message.protocol, message.observability)


@given(MESSAGES, st.integers(100, 1000), st.binary(max_size=20))
def test_fields_of_a_newer_envoy_are_ignored(message: Message, number: int, payload: bytes) -> None:
    data = as_envoy_sends_it(message).SerializeToString()
    assert decode(data + unknown_field(number, payload)) == decode(data)


def unknown_field(number: int, payload: bytes) -> bytes:
    return varint(number << 3 | 2) + varint(len(payload)) + payload


def varint(value: int) -> bytes:
    return bytes([value & 0x7F | 0x80]) + varint(value >> 7) if value > 0x7F else bytes([value])


@given(st.binary(max_size=60))
def test_bytes_of_a_header_survive(raw: bytes) -> None:
    wire = ProcessingRequest()
    wire.request_headers.headers.headers.add(key="x-a", raw_value=raw)
    message = decode(wire.SerializeToString())
    assert message is not None
    assert message.headers == [("x-a", raw)]


def test_a_peer_that_fills_value_is_understood() -> None:
    wire = ProcessingRequest()
    wire.request_headers.headers.headers.add(key="x-a", value="é")
    message = decode(wire.SerializeToString())
    assert message is not None
    assert message.headers == [("x-a", "é".encode())]


@pytest.mark.parametrize("phase", Phase)
def test_a_phase_without_anything_in_it_is_a_message(phase: Phase) -> None:
    wire = ProcessingRequest()
    getattr(wire, phase.value).SetInParent()
    assert decode(wire.SerializeToString()) == Message(phase, end_of_stream=phase.part is Part.TRAILERS)


@pytest.mark.parametrize("phase", [Phase.REQUEST_BODY, Phase.RESPONSE_BODY])
def test_a_drained_body_is_a_body_like_any_other(phase: Phase) -> None:
    """We ask nobody to drain, and Envoy 1.40 would not do it."""
    wire = ProcessingRequest()
    body = getattr(wire, phase.value)
    body.body, body.drain_complete = b"ab", True
    assert decode(wire.SerializeToString()) == Message(phase, body=b"ab")


def test_attributes_of_somebody_else_are_not_ours() -> None:
    wire = ProcessingRequest()
    wire.request_headers.SetInParent()
    wire.attributes["envoy.filters.http.other"].update({"a": 1})
    message = decode(wire.SerializeToString())
    assert message is not None
    assert message.attributes == {}


def window_update(**more: Any) -> ProcessingRequest:
    wire = ProcessingRequest(**more)
    wire.client_window_update.window_increment_sidestream_to_upstream = 65536
    return wire


@pytest.mark.parametrize("wire", [window_update(), ProcessingRequest(), ProcessingRequest(observability_mode=True)])
def test_what_is_about_no_phase_wants_no_answer(wire: ProcessingRequest) -> None:
    assert decode(wire.SerializeToString()) is None


@pytest.mark.parametrize("number", [17, 99, 1000])
@pytest.mark.parametrize("beside", [ProcessingRequest(), window_update()])
def test_a_phase_that_only_a_newer_envoy_knows_cannot_be_answered(number: int, beside: ProcessingRequest) -> None:
    """Without an answer it would hang until Envoy's timer, with a wrong one it would be refused."""
    with pytest.raises(PeerError, match=f"field {number}.*upgrade extproc-sdk") as caught:
        decode(beside.SerializeToString() + unknown_field(number, b""))
    assert (caught.value.code, caught.value.reason) == ("UNIMPLEMENTED", "extproc.unknown_phase")


@pytest.mark.parametrize("half", ["request_body_mode", "response_body_mode"])
def test_a_body_mode_that_only_a_newer_envoy_knows_cannot_be_answered(half: str) -> None:
    wire = ProcessingRequest()
    wire.request_headers.SetInParent()
    setattr(wire.protocol_config, half, 77)
    with pytest.raises(PeerError, match="body mode 77") as caught:
        decode(wire.SerializeToString())
    assert (caught.value.code, caught.value.reason) == ("UNIMPLEMENTED", "extproc.unknown_body_mode")


@given(st.binary(min_size=1, max_size=50))
def test_any_bytes_are_a_message_or_a_peer_error(data: bytes) -> None:
    try:
        decode(data)
    except PeerError as error:
        assert error.code in ("INVALID_ARGUMENT", "UNIMPLEMENTED")  # noqa: PT017 (both outcomes are fine)


def test_what_is_no_message_says_so() -> None:
    with pytest.raises(PeerError) as caught:
        decode(b"\xff\xff")
    assert (caught.value.code, caught.value.reason) == ("INVALID_ARGUMENT", "extproc.undecodable")


# Encoding

EDITS = st.lists(st.builds(HeaderEdit, NAMES, VALUES, st.booleans()), max_size=5).map(tuple)
CONTINUES = st.builds(
    Continue,
    st.sampled_from(Phase),
    set_headers=EDITS,
    remove_headers=st.lists(NAMES, max_size=4).map(tuple),
    body=st.none() | st.just(b"") | st.binary(max_size=40_000),
    replace=st.booleans(),
    clear_route_cache=st.booleans(),
    metadata=NAMESPACED,
)


def check_edits(mutation: Any, edits: tuple[HeaderEdit, ...]) -> None:
    assert [(option.header.key, option.header.raw_value) for option in mutation.set_headers] == [
        (edit.name, edit.value) for edit in edits
    ]
    for option, edit in zip(mutation.set_headers, edits, strict=True):
        assert option.header.value == ""
        assert option.append_action == 0
        assert option.HasField("append") is edit.append
        assert option.append.value is edit.append


def plain(struct: Any) -> Any:
    return {name: _plain_value(value) for name, value in struct.fields.items()}


def _plain_value(value: Any) -> Any:
    kind = value.WhichOneof("kind")
    if kind == "struct_value":
        return plain(value.struct_value)
    if kind == "list_value":
        return [_plain_value(item) for item in value.list_value.values]
    return None if kind == "null_value" else getattr(value, kind)


@given(CONTINUES)
def test_an_answer_reads_back_as_what_it_is(answer: Continue) -> None:
    wire = ProcessingResponse.FromString(encode(answer))
    assert wire.WhichOneof("response") == answer.phase.value
    part: Any = getattr(wire, answer.phase.value)
    if answer.phase.part is Part.TRAILERS:
        mutation = part.header_mutation
    else:
        common: CommonResponse = part.response
        mutation = common.header_mutation
        assert common.status == (CommonResponse.CONTINUE_AND_REPLACE if answer.replace else CommonResponse.CONTINUE)
        assert common.clear_route_cache is answer.clear_route_cache
        wanted = None if answer.body is None else "body" if answer.body else "clear_body"
        assert common.body_mutation.WhichOneof("mutation") == wanted
        assert common.body_mutation.body == (answer.body or b"")
    check_edits(mutation, answer.set_headers)
    assert list(mutation.remove_headers) == list(answer.remove_headers)
    assert plain(wire.dynamic_metadata) == answer.metadata


@given(CONTINUES)
def test_an_answer_holds_nothing_that_our_definitions_do_not_know(answer: Continue) -> None:
    """It is put together byte by byte: a wrong field number would be a field unknown to protobuf."""
    wire = ProcessingResponse.FromString(encode(answer))
    size = wire.ByteSize()
    wire.DiscardUnknownFields()
    assert wire.ByteSize() == size


@pytest.mark.parametrize("phase", Phase)
def test_the_constant_answers_hold_nothing_but_their_phase(phase: Phase) -> None:
    """An answer whose oneof is empty would be `unhandled_message` to Envoy, and a 500."""
    wire = ProcessingResponse.FromString(encode(UNCHANGED[phase]))
    assert wire.WhichOneof("response") == phase.value
    assert encode(UNCHANGED[phase]) == encode(Continue(phase))


@pytest.mark.parametrize("size", [0, 1, 127, 128, 129, 16_383, 16_384, 2_097_151, 2_097_152])
def test_lengths_of_every_number_of_bytes_read_back(size: int) -> None:
    answer = Continue(Phase.REQUEST_BODY, (HeaderEdit("x-a", b"v" * size),), body=b"b" * size)
    common = ProcessingResponse.FromString(encode(answer)).request_body.response
    assert len(common.header_mutation.set_headers[0].header.raw_value) == size
    assert len(common.body_mutation.body) == size


@given(
    st.builds(
        Immediate,
        st.integers(200, 599),
        set_headers=EDITS,
        body=st.binary(max_size=300),
        details=TEXT,
        grpc_status=st.none() | st.integers(0, 16),
        metadata=NAMESPACED,
    )
)
def test_an_immediate_response_reads_back_as_what_it_is(answer: Immediate) -> None:
    wire = ProcessingResponse.FromString(encode(answer))
    assert wire.WhichOneof("response") == "immediate_response"
    immediate = wire.immediate_response
    check_edits(immediate.headers, answer.set_headers)
    assert (immediate.status.code, immediate.body, immediate.details) == (answer.status, answer.body, answer.details)
    assert immediate.HasField("grpc_status") is (answer.grpc_status is not None)
    assert immediate.grpc_status.status == (answer.grpc_status or 0)
    assert plain(wire.dynamic_metadata) == answer.metadata
