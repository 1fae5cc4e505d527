"""Header blocks: what is remembered of them, and for how long; what makes a request malformed."""

from __future__ import annotations

import pytest
from hpack import Decoder, Encoder
from hypothesis import given
from hypothesis import strategies as st

from extproc.server.native.errors import ConnectionFault, ErrorCode
from extproc.server.native.headers import Fields, HeaderBlocks, encode, fault_of_request, fault_of_trailers

REQUEST: Fields = [(b":method", b"POST"), (b":scheme", b"http"), (b":path", b"/"), (b":authority", b"a")]


class Made:
    """Makes a list of each block, and counts."""

    def __init__(self, keep: int = 8) -> None:
        self.count = 0
        self.blocks: HeaderBlocks[Fields] = HeaderBlocks(self._make, list_bytes=4096, keep=keep)

    def _make(self, fields: Fields) -> Fields:
        self.count += 1
        return fields


names = st.sampled_from([b"a", b"b", b":path", b"content-type", b"x-" + b"n" * 40])
values = st.sampled_from([b"", b"1", b"2", b"v" * 60, b"application/grpc"])
field_lists = st.lists(st.tuples(names, values, st.booleans()), max_size=6)
table_sizes = st.none() | st.sampled_from([0, 64, 200, 4096])


@given(st.lists(st.tuples(field_lists, table_sizes), max_size=30), st.integers(0, 4))
def test_what_is_remembered_of_a_block_is_what_it_means(
    blocks: list[tuple[list[tuple[bytes, bytes, bool]], int | None]], keep: int
) -> None:
    """Whatever is inserted, evicted and resized in between, a block is read as a decoder without a memory reads it."""
    encoder, made, plain = Encoder(), Made(keep), Decoder()
    for fields, size in blocks:
        if size is not None:
            encoder.header_table_size = size
        block = encoder.encode([(n, v, sensitive) for n, v, sensitive in fields])
        assert made.blocks.read(block) == [(bytes(n), bytes(v)) for n, v in plain.decode(block, raw=True)]


def test_a_block_that_repeats_is_made_once() -> None:
    made, encoder = Made(), Encoder()
    blocks = [encoder.encode(REQUEST) for _ in range(10)]
    assert all(made.blocks.read(block) == REQUEST for block in blocks)
    assert made.count == 2, "the first fills the table, the second is remembered"


def test_a_block_means_something_else_once_the_table_has_changed() -> None:
    made, encoder = Made(), Encoder()
    first, second, newest = [(b"a", b"1")], [(b"b", b"2")], b"\xbe"  # index 62: the newest entry
    made.blocks.read(encoder.encode(first))
    assert made.blocks.read(newest) == first
    made.blocks.read(encoder.encode(second))
    assert made.blocks.read(newest) == second


def test_no_more_blocks_are_remembered_than_was_said() -> None:
    made = Made(keep=2)
    for block in (encode([(b"a", b"%d" % number)]) for number in range(100)):
        made.blocks.read(block)
    assert len(made.blocks._known) <= 2


@pytest.mark.parametrize(
    ("block", "code"),
    [
        (b"\x80", ErrorCode.COMPRESSION_ERROR),
        (b"\xff\xff\xff\xff\xff\xff\x0f", ErrorCode.COMPRESSION_ERROR),
        (b"\x3f\xff\xff\x7f", ErrorCode.COMPRESSION_ERROR),
        (b"\x00\x05ab", ErrorCode.COMPRESSION_ERROR),
        (encode([(b"a", b"v" * 5000)]), ErrorCode.ENHANCE_YOUR_CALM),
        (encode([(b"a", b"")] * 200), ErrorCode.ENHANCE_YOUR_CALM),
    ],
    ids=["index 0", "an endless index", "a table too large", "cut off", "a long value", "many fields"],
)
def test_a_block_that_cannot_be_read_costs_the_connection(block: bytes, code: ErrorCode) -> None:
    """Each block changes the table that the next one needs (RFC 9113, section 4.3)."""
    with pytest.raises(ConnectionFault) as fault:
        Made().blocks.read(block)
    assert fault.value.code is code


@given(st.lists(st.tuples(st.binary(min_size=1, max_size=300), st.binary(max_size=300))))
def test_what_we_encode_anybody_can_decode(fields: Fields) -> None:
    decoded = Decoder(max_header_list_size=1 << 30).decode(encode(fields), raw=True)
    assert [(bytes(name), bytes(value)) for name, value in decoded] == fields


def without(name: bytes) -> Fields:
    return [field for field in REQUEST if field[0] != name]


MALFORMED = {
    "no method": without(b":method"),
    "no scheme": without(b":scheme"),
    "no path": without(b":path"),
    "an empty path": [*without(b":path"), (b":path", b"")],
    "a path without a slash": [*without(b":path"), (b":path", b"x")],
    "a pseudo-header field twice": [*REQUEST, (b":path", b"/")],
    "one of a response": [*REQUEST, (b":status", b"200")],
    "one after a field": [*REQUEST[:3], (b"a", b"b"), REQUEST[3]],
    "CONNECT with a path": [(b":method", b"CONNECT"), *REQUEST[1:]],
    "upper case": [*REQUEST, (b"Te", b"trailers")],
    "an empty name": [*REQUEST, (b"", b"v")],
    "a space in a name": [*REQUEST, (b"a b", b"v")],
    "CR": [*REQUEST, (b"a", b"b\rc")],
    "LF": [*REQUEST, (b"a", b"b\nc")],
    "NUL": [*REQUEST, (b"a", b"b\0c")],
    "a space in front": [*REQUEST, (b"a", b" b")],
    "a tab behind": [*REQUEST, (b"a", b"b\t")],
    "LF in a pseudo-header field": [*without(b":path"), (b":path", b"/\n")],
    "connection": [*REQUEST, (b"connection", b"close")],
    "transfer-encoding": [*REQUEST, (b"transfer-encoding", b"chunked")],
    "te: gzip": [*REQUEST, (b"te", b"gzip")],
    "another host": [*REQUEST, (b"host", b"b")],
}


@pytest.mark.parametrize("fields", MALFORMED.values(), ids=MALFORMED)
def test_a_malformed_request_is_told_why(fields: Fields) -> None:
    assert fault_of_request(fields)


@pytest.mark.parametrize(
    "fields",
    [
        REQUEST,
        without(b":authority"),
        [*REQUEST, (b"host", b"a"), (b"te", b"trailers"), (b"a", b""), (b"a", b"b c\xff")],
        [(b":method", b"CONNECT"), (b":authority", b"a")],
        [(b":method", b"OPTIONS"), (b":scheme", b"http"), (b":path", b"*")],
    ],
)
def test_a_request_is_none_the_less_for_what_it_may_have(fields: Fields) -> None:
    assert fault_of_request(fields) == ""


def test_trailers_have_no_pseudo_header_fields() -> None:
    assert fault_of_trailers([(b"grpc-status", b"0")]) == ""
    assert fault_of_trailers([(b":path", b"/")])
