"""The quick way to read headers: whatever the bytes, it says what the generated classes say."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from extproc.errors import PeerError
from extproc.messages import Message
from extproc.phases import Phase
from extproc.wire.decode import decode, decode_any
from extproc.wire.ext_proc_pb2 import ProcessingRequest
from extproc.wire.walk import walk

NAMES = st.sampled_from([":path", ":method", "x-a", "x-request-id", "é", "", "x" * 130]) | st.text(max_size=5)
VALUES = st.sampled_from([b"", b"GET", b"\n\x05:path\x1a", b"v" * 126, b"v" * 127, b"v" * 300]) | st.binary(max_size=8)
HEADERS = st.lists(st.tuples(NAMES, VALUES, st.sampled_from(["", "", "", "text"])), max_size=8)


def said(data: bytes, read: Any) -> object:
    try:
        message: Message | None = read(data)
    except PeerError as error:
        return error.code, error.reason
    return message


@st.composite
def messages(draw: st.DrawFn) -> bytes:
    """Headers, with or without something beside them; serialized by protobuf."""
    request = ProcessingRequest()
    part: Any = draw(st.sampled_from([request.request_headers, request.response_headers, request.request_trailers]))
    part.SetInParent()
    entries = part.trailers.headers if part is request.request_trailers else part.headers.headers
    for name, raw, text in draw(HEADERS):
        entries.add(key=name, raw_value=raw, value=text)
    if part is not request.request_trailers:
        part.end_of_stream = draw(st.booleans())
    if draw(st.booleans()):
        request.protocol_config.request_body_mode = draw(st.integers(0, 5))  # type: ignore[assignment] # open enum
    if draw(st.booleans()):
        request.attributes["envoy.filters.http.ext_proc"].update({"source.address": "1.2.3.4"})
    if draw(st.booleans()):
        request.metadata_context.filter_metadata["ns"].update({"a": 1})
        request.metadata_context.typed_filter_metadata["ns"].type_url = "type"
    request.observability_mode = draw(st.booleans())
    return request.SerializeToString()


@settings(deadline=None)
@given(messages())
def test_messages_are_read_as_the_generated_classes_read_them(data: bytes) -> None:
    assert said(data, decode) == said(data, decode_any)


@settings(deadline=None)
@given(messages())
def test_headers_by_name_have_the_last_value_of_each(data: bytes) -> None:
    for _ in range(3):  # unknown, then known
        walked = walk(data)
        assert walked is None or walked[2] == dict(walked[1])


@settings(max_examples=500, deadline=None)
@given(messages(), st.data())
def test_so_are_broken_ones(data: bytes, draw: st.DataObject) -> None:
    for _ in range(draw.draw(st.integers(1, 3))):
        at = draw.draw(st.integers(0, len(data)))
        cut = draw.draw(st.integers(0, 3))
        data = data[:at] + draw.draw(st.binary(max_size=3)) + data[at + cut :]
    assert said(data, decode) == said(data, decode_any)


@settings(deadline=None)
@given(st.binary(max_size=40))
def test_so_is_anything_at_all(data: bytes) -> None:
    for start in (b"", b"\x12", b"\x1a"):
        assert said(start + data, decode) == said(start + data, decode_any)


@settings(deadline=None)
@given(messages(), messages())
def test_so_are_messages_run_together(first: bytes, second: bytes) -> None:
    """Protobuf merges them."""
    assert said(first + second, decode) == said(first + second, decode_any)


@settings(deadline=None)
@given(
    st.lists(st.tuples(NAMES, st.lists(VALUES, min_size=1, max_size=3)), max_size=8),
    st.lists(st.lists(st.integers(0, 5), min_size=8, max_size=8), min_size=1, max_size=12),
)
def test_so_are_messages_that_resemble_each_other(
    lines: list[tuple[str, list[bytes]]], messages: list[list[int]]
) -> None:
    """The same names with other values, some of them left out: what is looked for is not always there."""
    for picks in messages:
        request = ProcessingRequest()
        for (name, values), pick in zip(lines, picks, strict=False):
            if pick < 5:
                request.request_headers.headers.headers.add(key=name, raw_value=values[pick % len(values)])
        data = request.SerializeToString()
        assert said(data, decode) == said(data, decode_any)


@pytest.mark.parametrize("length", [1, 50, 126, 127, 128, 300])
def test_values_that_are_ever_new_are_read_as_what_they_are(length: int) -> None:
    for number in range(100):
        new = b"%d" % number + b"v" * length
        headers = [(":method", b"GET"), (":path", new), ("x-1", b"1"), ("x-2", b"2"), ("x-token", new), ("x-3", b"3")]
        request = ProcessingRequest()
        for name, value in headers:
            request.request_headers.headers.headers.add(key=name, raw_value=value)
        walked = walk(request.SerializeToString())
        assert walked is not None
        assert walked[1:3] == (headers, dict(headers))


@pytest.mark.parametrize("repeats", range(4))
def test_what_is_kept_from_message_to_message_does_not_leak_from_one_into_the_other(repeats: int) -> None:
    for tail in ("a", "b", "c"):
        request = ProcessingRequest()
        for name, value in [("x-1", "1"), ("x-2", "2"), ("x-3", tail), ("x-4", "4"), ("x-5", "5")]:
            request.request_headers.headers.headers.add(key=name, raw_value=value.encode())
        walked = walk(request.SerializeToString())
        assert walked is not None
        assert walked[:2] == (
            Phase.REQUEST_HEADERS,
            [("x-1", b"1"), ("x-2", b"2"), ("x-3", tail.encode()), ("x-4", b"4"), ("x-5", b"5")],
        )
        assert walked[2] == dict(walked[1])
        walked[1].append(("x-own", b"1"))
        walked[2]["x-own"] = b"1"
