"""What a newer Envoy adds is survived and can be noticed: what decoding relies on, for every message with a oneof."""

from __future__ import annotations

import pytest
from google.protobuf import unknown_fields
from google.protobuf.message import DecodeError, Message
from hypothesis import given, settings
from hypothesis import strategies as st

from extproc.wire import ext_proc_pb2
from extproc.wire.ext_proc_pb2 import (
    BodyMutation,
    BodyResponse,
    HttpBody,
    HttpHeaders,
    ProcessingMode,
    ProcessingRequest,
    ProcessingResponse,
    ProtocolConfiguration,
    StreamedImmediateResponse,
)

ONEOFS: list[tuple[type[Message], str]] = [
    (ProcessingRequest, "request"),
    (ProcessingResponse, "response"),
    (BodyMutation, "mutation"),
    (StreamedImmediateResponse, "response"),
]

NEW = 500
"""A field number that no message of ours has."""


def varint(value: int) -> bytes:
    low, high = value & 0x7F, value >> 7
    return bytes([low | 0x80]) + varint(high) if high else bytes([low])


def text_field(number: int, content: bytes) -> bytes:
    """A field of bytes, of text or of a message: on the wire they are the same."""
    return varint(number << 3 | 2) + varint(len(content)) + content


def number_field(number: int, value: int) -> bytes:
    return varint(number << 3) + varint(value)


def fixed_field(number: int, width: int) -> bytes:
    return varint(number << 3 | {8: 1, 4: 5}[width]) + b"\x01" * width


def unknown(message: Message) -> list[int]:
    """The numbers of the fields of a message, not of those below it, that we have no definition of."""
    found = unknown_fields.UnknownFieldSet(message)
    return [found[index].field_number for index in range(len(found))]


def test_every_oneof_is_looked_at() -> None:
    found = {
        (descriptor.name, oneof.name)
        for descriptor in ext_proc_pb2.DESCRIPTOR.message_types_by_name.values()
        for oneof in descriptor.oneofs
    }
    assert found == {(type_.DESCRIPTOR.name, oneof) for type_, oneof in ONEOFS}


@pytest.mark.parametrize(("type_", "oneof"), ONEOFS)
def test_unknown_arm_alone_is_no_arm_and_leaves_a_trace(type_: type[Message], oneof: str) -> None:
    message = type_.FromString(text_field(NEW, b"a phase of the future"))
    assert message.WhichOneof(oneof) is None
    assert unknown(message) == [NEW]


@pytest.mark.parametrize(("type_", "oneof"), ONEOFS)
def test_absent_arm_leaves_no_trace(type_: type[Message], oneof: str) -> None:
    message = type_.FromString(b"")
    assert message.WhichOneof(oneof) is None
    assert unknown(message) == []


def test_bare_window_update_is_no_phase_and_nothing_unknown() -> None:
    """Legal without a phase; the unknown fields are what tells a new phase from it."""
    update = ProcessingRequest.ClientWindowUpdate(window_increment_sidestream_to_upstream=1)
    message = ProcessingRequest.FromString(ProcessingRequest(client_window_update=update).SerializeToString())
    assert message.WhichOneof("request") is None
    assert unknown(message) == []
    assert message.HasField("client_window_update")


ARMS = [arm.name for arm in ProcessingRequest.DESCRIPTOR.oneofs_by_name["request"].fields]

FIELDS = st.one_of(
    st.builds(text_field, st.integers(14, 2**29 - 1), st.binary(max_size=20)),
    st.builds(number_field, st.integers(14, 2**29 - 1), st.integers(0, 2**64 - 1)),
    st.builds(fixed_field, st.integers(14, 2**29 - 1), st.sampled_from([4, 8])),
)


@settings(deadline=None)  # a busy machine is no failure
@given(arm=st.sampled_from(ARMS), before=st.lists(FIELDS), after=st.lists(FIELDS))
def test_unknown_fields_beside_a_phase_do_not_change_it(arm: str, before: list[bytes], after: list[bytes]) -> None:
    known = ProcessingRequest(observability_mode=True)
    getattr(known, arm).SetInParent()

    message = ProcessingRequest.FromString(b"".join([*before, known.SerializeToString(), *after]))

    assert message.WhichOneof("request") == arm
    assert len(unknown(message)) == len(before) + len(after)
    message.DiscardUnknownFields()
    assert message == known


@settings(deadline=None)  # a busy machine is no failure
@given(fields=st.lists(FIELDS))
def test_unknown_fields_are_handed_on(fields: list[bytes]) -> None:
    """A recorder or a proxy of ours loses nothing that it does not understand."""
    message = ProcessingRequest.FromString(b"".join(fields))
    assert unknown(ProcessingRequest.FromString(message.SerializeToString())) == unknown(message)
    assert len(unknown(message)) == len(fields)


def test_unknown_field_within_a_phase_is_seen_there_and_not_above() -> None:
    message = ProcessingRequest.FromString(text_field(4, text_field(1, b"chunk") + number_field(NEW, 1)))
    assert message.request_body.body == b"chunk"
    assert unknown(message) == []
    assert unknown(message.request_body) == [NEW]


def test_new_enum_value_keeps_its_number() -> None:
    config = ProtocolConfiguration.FromString(number_field(1, 99) + number_field(2, ProcessingMode.STREAMED))
    assert (config.request_body_mode, config.response_body_mode) == (99, ProcessingMode.STREAMED)
    assert 99 not in ProcessingMode.BodySendMode.values()


@pytest.mark.parametrize("arm", ARMS)
def test_phase_of_another_type_than_ours_is_unknown(arm: str) -> None:
    """An Envoy that reused a number for another type would be noticed, not misread."""
    number = ProcessingRequest.DESCRIPTOR.fields_by_name[arm].number
    message = ProcessingRequest.FromString(number_field(number, 1))
    assert message.WhichOneof("request") is None
    assert unknown(message) == [number]


def test_retired_number_is_unknown() -> None:
    """Number 1 was async_mode in Envoys before ours."""
    assert unknown(ProcessingRequest.FromString(number_field(1, 1))) == [1]


def test_last_phase_counts_when_two_are_sent() -> None:
    data = text_field(2, HttpHeaders(end_of_stream=True).SerializeToString())
    data += text_field(4, HttpBody(body=b"x").SerializeToString())
    assert ProcessingRequest.FromString(data).WhichOneof("request") == "request_body"


@pytest.mark.parametrize(
    "data",
    [
        pytest.param(text_field(2, b"\x0a\x05ab"), id="cut within a message"),
        pytest.param(text_field(9, b"x" * 9)[:-1], id="cut within a field"),
        pytest.param(b"\x80", id="cut within a tag"),
        pytest.param(b"\x02\x00", id="field number 0"),
        pytest.param(text_field(2, text_field(1, text_field(1, text_field(1, b"\xff")))), id="name that is not UTF-8"),
    ],
)
def test_what_is_no_message_is_refused(data: bytes) -> None:
    with pytest.raises(DecodeError):
        ProcessingRequest.FromString(data)


def test_bytes_of_a_value_need_not_be_text() -> None:
    line = text_field(1, b"x-name") + text_field(3, b"\xff\x00")
    message = ProcessingRequest.FromString(text_field(2, text_field(1, text_field(1, line))))
    assert message.request_headers.headers.headers[0].raw_value == b"\xff\x00"


def test_empty_message_in_an_arm_is_that_arm() -> None:
    """An empty body message at the end of a stream, and an empty answer, are not nothing."""
    assert ProcessingRequest.FromString(text_field(4, b"")).WhichOneof("request") == "request_body"
    assert ProcessingResponse(request_body=BodyResponse()).SerializeToString() == text_field(3, b"")
