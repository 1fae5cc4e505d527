"""The capture format: what is written is what is read, and what cannot be read says where and why."""

from __future__ import annotations

import json
import stat
from collections.abc import Callable, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from extproc import CaptureError, Needs, Phase
from extproc.messages import Continue, Message
from extproc.replay import capture, files
from extproc.replay.capture import CapturedExchange, CapturedMessage, Footer, Header, Redaction
from extproc.replay.codec import decode_exchange, encode_exchange
from extproc.replay.files import CaptureReader, CaptureWriter, captures_in
from tests.replay.strategies import exchanges

HEADER = Header(
    1_700_000_000.25, "1.0", {"one": "deny", "two": "skip"}, Needs(phases=frozenset({Phase.REQUEST_HEADERS}))
)


def exchange(number: int, started: float = 1.0) -> CapturedExchange:
    message = Message(Phase.REQUEST_HEADERS, [(":path", b"/%d" % number)], end_of_stream=True)
    return CapturedExchange(f"id-{number}", (CapturedMessage(message, Continue(Phase.REQUEST_HEADERS), started),))


def written(directory: Path, items: Sequence[CapturedExchange], footer: Footer | None = None) -> Path:
    writer = CaptureWriter(directory, HEADER)
    for item in items:
        writer.write(encode_exchange(item))
    writer.close(footer or Footer(9.0, len(items), 0))
    return writer.path


def read(path: Path) -> tuple[list[CapturedExchange], list[str]]:
    with CaptureReader(path) as reader:
        return list(reader), reader.notes


@given(exchanges())
def test_any_exchange_comes_back_as_it_was(item: CapturedExchange) -> None:
    assert decode_exchange(json.loads(encode_exchange(item))) == item


@given(exchanges())
def test_an_exchange_is_one_line_of_ascii(item: CapturedExchange) -> None:
    line = encode_exchange(item)
    assert line.endswith(b"\n")
    assert line.count(b"\n") == 1
    assert line.isascii()


def test_printable_bodies_can_be_read_in_the_file_and_others_are_base64() -> None:
    def body_of(raw: bytes) -> Any:
        message = Message(Phase.REQUEST_BODY, body=raw)
        return json.loads(encode_exchange(CapturedExchange("a", (CapturedMessage(message, None, 1.0),))))["messages"][
            0
        ]["body"]

    assert body_of("größe\n\t".encode()) == "größe\n\t"
    assert body_of(b"\x00\x01") == {"base64": "AAE="}
    assert body_of(b"\xff") == {"base64": "/w=="}


def test_a_capture_on_disk_comes_back_whole(tmp_path: Path) -> None:
    items = [exchange(1), exchange(2)]
    footer = Footer(9.5, 2, 0)
    with CaptureReader(written(tmp_path, items, footer)) as reader:
        assert reader.header == HEADER
        assert list(reader) == items
        assert reader.footer == footer
        assert reader.notes == []


def test_a_redacted_capture_names_its_key_and_secret_headers(tmp_path: Path) -> None:
    header = Header(1.0, "1.0", redaction=Redaction("0123", frozenset({"x-mine"})))
    writer = CaptureWriter(tmp_path, header)
    writer.close(None)
    with CaptureReader(writer.path) as reader:
        assert reader.header == header


def test_only_the_owner_may_read_a_capture(tmp_path: Path) -> None:
    assert stat.S_IMODE(written(tmp_path, []).stat().st_mode) == 0o600


def test_a_capture_is_never_written_over_another(tmp_path: Path) -> None:
    paths = {written(tmp_path, [exchange(number)]) for number in range(3)}
    assert len(paths) == 3
    assert captures_in(tmp_path) == sorted(paths)


def test_exchanges_come_in_the_order_of_their_start_when_asked(tmp_path: Path) -> None:
    path = written(tmp_path, [exchange(1, 3.0), exchange(2, 1.0), exchange(3, 2.0)])
    with CaptureReader(path) as reader:
        assert [item.id for item in reader.by_start()] == ["id-2", "id-3", "id-1"]


def test_a_capture_is_read_as_a_stream(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A file of 2 GB must not be loaded at once: no line is decoded before it is asked for."""
    path = written(tmp_path, [exchange(number) for number in range(5)])
    decoded: list[str] = []

    def watched(value: Any) -> CapturedExchange:
        decoded.append(value["id"])
        return decode_exchange(value)

    monkeypatch.setattr(files, "decode_exchange", watched)
    with CaptureReader(path) as reader:
        assert next(iter(reader)).id == "id-0"
    assert decoded == ["id-0"]


def cut(data: bytes) -> bytes:
    return data[: data.rindex(b'"messages"')]


def test_a_last_line_that_a_crash_cut_off_is_reported_and_the_rest_is_used(tmp_path: Path) -> None:
    path = written(tmp_path, [exchange(1), exchange(2)])
    path.write_bytes(cut(path.read_bytes()))
    items, notes = read(path)
    assert [item.id for item in items] == ["id-1"]
    assert notes == [f"{path}:3: this last line was cut off and is left out"]


@given(st.data())
def test_a_capture_cut_anywhere_after_its_header_can_be_read(data: st.DataObject) -> None:
    """Whatever a crash leaves behind, the exchanges before the cut are there."""
    lines = [encode_exchange(exchange(number)) for number in range(3)]
    whole = b"".join(lines)
    length = data.draw(st.integers(0, len(whole)))
    with TemporaryDirectory() as directory:
        path = written(Path(directory), [])
        path.write_bytes(path.read_bytes().partition(b"\n")[0] + b"\n" + whole[:length])
        items, notes = read(path)
    complete = sum(len(b"".join(lines[: n + 1])) - 1 <= length for n in range(3))
    assert [item.id for item in items] == [f"id-{number}" for number in range(complete)]
    assert len(notes) == 1


def test_a_capture_without_its_end_is_reported(tmp_path: Path) -> None:
    path = written(tmp_path, [exchange(1)])
    path.write_bytes(path.read_bytes().rsplit(b"\n", 2)[0] + b"\n")
    items, notes = read(path)
    assert len(items) == 1
    assert notes == [f"{path}: has no end: its recorder was cut off, so exchanges may be missing"]


def test_dropped_exchanges_are_reported(tmp_path: Path) -> None:
    _, notes = read(written(tmp_path, [exchange(1)], Footer(9.0, 1, 7)))
    assert "7 exchanges were not recorded" in notes[0]


def test_an_exchange_that_stands_twice_counts_once(tmp_path: Path) -> None:
    path = written(tmp_path, [exchange(1), exchange(2), exchange(1)])
    items, notes = read(path)
    assert [item.id for item in items] == ["id-1", "id-2"]
    assert notes == [f"{path}:4: exchange id-1 is on line 2 already and is left out"]


def test_two_exchanges_with_one_id_cannot_be_told_apart(tmp_path: Path) -> None:
    path = written(tmp_path, [exchange(1, 1.0), exchange(1, 2.0)])
    with pytest.raises(CaptureError, match=r":3: .*exchange id-1 is on line 2 already, and is another one there"):
        read(path)


def test_blank_lines_are_passed_over(tmp_path: Path) -> None:
    path = written(tmp_path, [exchange(1)])
    path.write_bytes(path.read_bytes().replace(b"\n", b"\n\n \n"))
    items, notes = read(path)
    assert len(items) == 1
    assert notes == []


def first_line(**changes: Any) -> Callable[[bytes], bytes]:
    def change(data: bytes) -> bytes:
        head, _, rest = data.partition(b"\n")
        return json.dumps({**json.loads(head), **changes}).encode() + b"\n" + rest

    return change


def exchange_line(**changes: Any) -> Callable[[bytes], bytes]:
    def change(data: bytes) -> bytes:
        head, line, *rest = data.split(b"\n")
        return b"\n".join([head, json.dumps({**json.loads(line), **changes}).encode(), *rest])

    return change


def message_with(**changes: Any) -> Callable[[bytes], bytes]:
    return exchange_line(messages=[{"number": 0, "now": 1.0, "phase": "request_headers", "answer": None, **changes}])


BROKEN: list[tuple[str, Callable[[bytes], bytes], str]] = [
    ("empty", lambda _: b"", "is no capture"),
    ("garbage", lambda _: b"\x00\xff\x1f" * 50, "is no capture"),
    ("another format", lambda _: b'{"log": {}}\n', "is no capture"),
    ("a list", lambda _: b"[1, 2]\n", "is no capture"),
    ("deep", lambda _: b"[" * 100_000, "is no capture"),
    ("newer", first_line(version=2), "is of version 2 .* reads up to 1: upgrade it"),
    ("no version", first_line(version="x"), ":1: 'x' is no version"),
    ("version 0", first_line(version=0), ":1: 0 is no version"),
    ("header without chain", first_line(chain={}), ":1: .*without 'filters'"),
    (
        "unknown phase in header",
        first_line(chain={"filters": {}, "needs": {"phases": ["x"]}}),
        ":1: .*'x' is not a valid",
    ),
    ("garbage line", lambda data: data.replace(b'{"id"', b'{"id', 1), ":2: .*no JSON"),
    ("not an object", lambda data: data.replace(b'{"id"', b'[1]\n{"id"', 1), ":2: .*no JSON object"),
    ("deep line", lambda data: data.replace(b'{"id"', b"[" * 100_000 + b'\n{"id"', 1), ":2: .*no JSON"),
    ("concatenated", lambda data: data + data, ":4: .*another capture begins here"),
    ("no messages", exchange_line(messages=[]), ":2: .*at least one message"),
    ("messages no list", exchange_line(messages={}), ":2: .*a list was expected"),
    ("id no text", exchange_line(id=7), ":2: .*'id' is not str"),
    ("unknown end", exchange_line(ended="well"), ":2: .*'well' is no way to end"),
    ("unknown phase", message_with(phase="x"), ":2: .*'x' is not a valid Phase"),
    ("no time", message_with(now="noon"), ":2: .*'now' is no number"),
    ("endless time", message_with(now=float("inf")), ":2: .*'now' is no number"),
    ("header not a pair", message_with(headers=["a"]), ":2: .*unpack"),
    ("header value a number", message_with(headers=[["a", 1]]), ":2: "),
    ("header name a number", message_with(headers=[[1, "a"]]), ":2: .*1 is no text"),
    ("bad base64", message_with(body={"base64": "!"}), ":2: .*base64"),
    ("unknown mode", message_with(protocol={"request_body": "x", "response_body": "NONE"}), ":2: .*'x'"),
    ("answer a number", message_with(answer=5), ":2: "),
    ("answer of no kind", message_with(answer={}), ":2: .*without 'continue'"),
    (
        "unknown action",
        exchange_line(trace=[{"filter": "f", "phase": "request_body", "action": "x"}]),
        ":2: .*no action",
    ),
]


@pytest.mark.parametrize(("spoil", "sentence"), [pytest.param(*case[1:], id=case[0]) for case in BROKEN])
def test_a_broken_capture_says_where_and_why(tmp_path: Path, spoil: Callable[[bytes], bytes], sentence: str) -> None:
    path = written(tmp_path, [exchange(1)])
    path.write_bytes(spoil(path.read_bytes()))
    with pytest.raises(CaptureError, match=sentence) as caught:
        read(path)
    assert str(caught.value).startswith(str(path))


def test_a_line_longer_than_any_exchange_does_not_fill_the_memory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = written(tmp_path, [exchange(1)])
    monkeypatch.setattr(files, "_MAX_LINE", 1000)
    path.write_bytes(path.read_bytes() + b"a" * 2000)
    with pytest.raises(CaptureError, match=r":4: is longer than 1000 bytes"):
        read(path)


def test_fields_of_a_later_minor_form_are_passed_over(tmp_path: Path) -> None:
    path = written(tmp_path, [exchange(1)])
    path.write_bytes(exchange_line(colour="blue")(first_line(weather="fine")(path.read_bytes())))
    assert read(path) == ([exchange(1)], [])


def test_an_older_version_is_migrated_step_by_step(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """No older version exists yet, so this pretends that the current one is 3 and that two steps lead to it."""
    path = written(tmp_path, [exchange(1)])
    steps = {1: lambda line: {**line, "steps": [1]}, 2: lambda line: {**line, "id": f"migrated-{line['steps']}"}}
    monkeypatch.setattr(files, "VERSION", 3)
    monkeypatch.setattr(files, "MIGRATIONS", steps)
    items, _ = read(path)
    assert [item.id for item in items] == ["migrated-[1]"]


def test_there_is_a_migration_for_every_older_version() -> None:
    assert set(capture.MIGRATIONS) == set(range(1, capture.VERSION))


def test_a_missing_file_and_an_empty_directory_say_so(tmp_path: Path) -> None:
    with pytest.raises(CaptureError, match="cannot be opened: No such file"):
        CaptureReader(tmp_path / "none.ndjson")
    with pytest.raises(CaptureError, match=r"holds no capture \(\*\.ndjson\)"):
        captures_in(tmp_path)
    assert captures_in(tmp_path / "one.ndjson") == [tmp_path / "one.ndjson"]
