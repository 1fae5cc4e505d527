"""Large pieces of bodies are read by hand: nobody may be able to tell."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from extproc.errors import PeerError
from extproc.messages import Message
from extproc.wire import decode, large_piece
from extproc.wire.decode import decode_any
from extproc.wire.ext_proc_pb2 import ProcessingRequest

LENGTHS = 10
"""Bytes that lengths and all that stands behind a body take at most."""
SIZES = st.integers(900, 2000) | st.sampled_from([2**14 - 1, 2**14])


@st.composite
def requests(draw: st.DrawFn) -> bytes:
    """What Envoy says about a piece of a body, and some of what it might say beside it."""
    request = ProcessingRequest()
    part = draw(st.sampled_from([request.request_body, request.response_body]))
    part.body = b"a" * draw(SIZES)
    part.end_of_stream = draw(st.booleans())
    part.grpc_message_compressed = draw(st.booleans())
    if draw(st.booleans()):
        request.metadata_context.SetInParent()
    if draw(st.booleans()):
        request.protocol_config.SetInParent()
    request.observability_mode = draw(st.booleans())
    return request.SerializeToString()


def outcome(data: bytes, read: Callable[[bytes], Message | None] = decode) -> Message | str | None:
    try:
        return read(data)
    except PeerError as error:
        return error.reason


def by_protobuf(data: bytes) -> Message | str | None:
    return outcome(data, decode_any)


@given(requests())
def test_it_reads_as_protobuf_does(data: bytes) -> None:
    assert outcome(data) == by_protobuf(data)


@given(requests(), st.data())
def test_also_when_it_is_damaged(data: bytes, choices: st.DataObject) -> None:
    at = choices.draw(st.integers(0, 16) | st.integers(-16, -1))
    damaged = bytearray(data)
    damaged[at % len(data)] = choices.draw(st.integers(0, 255))
    cut = bytes(damaged[: choices.draw(st.sampled_from([len(data), len(data) - 1, 1200]))])

    assert outcome(cut) == by_protobuf(cut)


@given(requests(), st.lists(st.integers(0, 2**14)), st.booleans())
def test_in_however_many_parts(data: bytes, cuts: list[int], views: bool) -> None:
    ends = [*sorted({cut for cut in cuts if 0 < cut < len(data)}), len(data)]
    parts = [data[start:end] for start, end in zip([0, *ends], ends, strict=False)]
    together = large_piece([data], len(data))

    assert large_piece([memoryview(part) if views else part for part in parts], len(data)) in {together, None}
    if len(parts[0]) > LENGTHS and len(parts[-1]) > LENGTHS:
        assert large_piece(parts, len(data)) == together


@pytest.mark.parametrize("behind", [b"\x42\x00", b"\x10\x01", b"\x10\x01\x42\x00", b"\x10\x00\x10\x01"])
@pytest.mark.parametrize("within", [0, 2, 4])
def test_what_stands_behind_a_body_may_belong_to_it_or_not(behind: bytes, within: int) -> None:
    """Of as many bytes as `within` the message says that they are a part of the body's message."""
    part = b"\x0a\xd0\x0f" + bytes(2000)
    length = len(part) + min(within, len(behind))
    data = bytes([0x22, length & 0x7F | 0x80, length >> 7]) + part + behind

    assert outcome(data) == by_protobuf(data)


def test_a_last_part_is_not_all_that_stands_behind_a_body() -> None:
    request = ProcessingRequest()
    request.request_body.body = bytes(2000)
    request.observability_mode = True
    parts = [request.SerializeToString(), b"\x42\x00"]

    assert large_piece(parts, sum(map(len, parts))) is None


@pytest.mark.parametrize("size", [2**16, 2**21 - 1, 2**21])
def test_of_any_length(size: int) -> None:
    request = ProcessingRequest()
    request.request_body.body = b"a" * size
    request.request_body.end_of_stream = True
    data = request.SerializeToString()

    assert outcome(data) == by_protobuf(data)


@pytest.mark.parametrize("twice", ["request_body", "response_body"])
def test_of_two_pieces_in_one_message_the_last_counts(twice: str) -> None:
    first, second = ProcessingRequest(), ProcessingRequest()
    first.request_body.body = b"a" * 2000
    getattr(second, twice).body = b"b" * 2000
    data = first.SerializeToString() + second.SerializeToString()

    assert outcome(data) == by_protobuf(data)
