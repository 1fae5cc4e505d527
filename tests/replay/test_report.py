"""What a replay tells: counts that add up, values that cannot spoil a terminal, an exit status to rely on."""

from __future__ import annotations

import io
import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.console import Console

from extproc.replay.diff import Comparison, Difference, Verdict
from extproc.replay.report import Report, as_json, print_report
from extproc.replay.shown import body_difference, shown, shown_values

PATH = Path("one.ndjson")
REFUSED = Difference("decision", "", (b"forwarded",), (b"429 by rate_limit",), "rate_limit")
TAGGED = Difference("request", "x-variant", (b"stable",), (b"canary",), "ab_tag")
ADDED = Difference("response", "set-cookie", (b"a=1",), (b"a=1", b"b=2"), "cookies")
BODY = Difference("response", "body", (b'{"price": 10}',), (b'{"price": 12}',), "")
SAME = Comparison("same", "GET /", Verdict.SAME)
LOST = Comparison("lost", "GET /", Verdict.INCOMPLETE, reason="the client went away")
UNKNOWN = Comparison("unknown", "GET /", Verdict.NOT_CAPTURED, reason="no body")


def differing(name: str, *differences: Difference) -> Comparison:
    return Comparison(name, f"GET /{name}", Verdict.DIFFERENT, differences)


def report(*comparisons: Comparison, show: int | None = None) -> Report:
    made = Report(show)
    for comparison in comparisons:
        made.add(PATH, comparison)
    return made


def told(made: Report, *, terminal: bool = False) -> str:
    out = io.StringIO()
    print_report(
        made, Console(file=out, width=60, force_terminal=terminal, color_system="standard" if terminal else None)
    )
    return out.getvalue()


@pytest.mark.parametrize(
    ("comparisons", "status"),
    [
        ([], 2),
        ([SAME], 0),
        ([SAME, LOST], 0),
        ([LOST], 2),
        ([SAME, UNKNOWN], 2),
        ([SAME, differing("a", TAGGED)], 1),
        ([UNKNOWN, differing("a", TAGGED)], 1),
    ],
)
def test_the_exit_status_says_same_different_or_cannot_tell(comparisons: list[Comparison], status: int) -> None:
    assert report(*comparisons).exit_status == status


def test_differences_are_told_one_by_one_and_in_sum() -> None:
    made = report(SAME, differing("a", REFUSED), differing("b", TAGGED, ADDED, BODY), differing("c", TAGGED), LOST)
    made.notes.append("something else")
    assert told(made).splitlines() == [
        "a  GET /a",
        "   was forwarded, now 429 by rate_limit",
        "b  GET /b",
        "   request x-variant: stable → canary  by ab_tag",
        '   response set-cookie: a=1 → "a=1", "b=2"  by cookies',
        "   response body",
        "      13 bytes",
        '      - {"price": 10}',
        '      + {"price": 12}',
        "c  GET /c",
        "   request x-variant: stable → canary  by ab_tag",
        "5 exchanges: 1 same, 3 different, 1 incomplete",
        "   2  request x-variant (by ab_tag)  such as b",
        "   1  was forwarded, now 429 by rate_limit  such as a",
        "   1  response set-cookie (by cookies)  such as b",
        "   1  response body  such as b",
        "   1  the client went away",
        "note: something else",
    ]


def test_only_as_many_exchanges_are_shown_as_asked_for() -> None:
    made = report(*(differing(str(number), TAGGED) for number in range(5)), show=2)
    assert [item.id for item in made.examples] == ["0", "1"]
    assert "… and 3 more that differ (--show 5 shows them all)" in told(made)
    assert "5  request x-variant (by ab_tag)  such as 0" in told(made)


def test_nothing_from_a_capture_is_obeyed_by_a_terminal() -> None:
    evil = "\x1b]0;title\x07"
    difference = Difference("request", evil, (evil.encode(),), (), evil)
    text = told(report(Comparison(evil, evil, Verdict.DIFFERENT, (difference,), evil)))
    assert "\x1b" not in text
    assert "\x07" not in text


def test_there_are_colours_on_a_terminal_only() -> None:
    made = report(differing("a", TAGGED))
    assert "\x1b[" in told(made, terminal=True)
    assert "\x1b[" not in told(made)


def test_the_json_form_holds_all_there_is() -> None:
    made = report(SAME, differing("a", Difference("request", "x", (), (b"\xff", b"b"), "f")))
    assert json.loads(json.dumps(as_json(made))) == {
        "captures": {"one.ndjson": 2},
        "exchanges": 2,
        "verdicts": {"same": 1, "different": 1, "not captured": 0, "incomplete": 0},
        "kinds": [{"what": "request x (by f)", "exchanges": 1, "example": "a"}],
        "reasons": {},
        "notes": [],
        "different": [
            {
                "id": "a",
                "request": "GET /a",
                "differences": [
                    {"side": "request", "what": "x", "before": [], "after": [{"base64": "/w=="}, "b"], "cause": "f"}
                ],
            }
        ],
        "exit_status": 1,
    }


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (b"plain", "plain"),
        ("größe".encode(), "größe"),
        (b"\x1b[31mred\x07", "\\x1b[31mred\\x07"),
        (b"a\r\nb", "a\\r\\nb"),
        (b"\xff\xfe", "\\xff\\xfe"),
        ("\u202egnp.exe".encode(), "\\u202egnp.exe"),
        (b"x" * 200, "x" * 50 + "…" + "x" * 50),
    ],
)
def test_a_value_is_shown_so_that_a_terminal_obeys_nothing_in_it(value: bytes, expected: str) -> None:
    assert shown(value) == expected


def test_the_occurrences_of_a_header_are_told_apart() -> None:
    assert shown_values(()) == "(none)"
    assert shown_values((b"",)) == '""'
    assert shown_values((b"a, b",)) == "a, b"
    assert shown_values((b"a", b"b")) == '"a", "b"'


@pytest.mark.parametrize(
    ("before", "after", "expected"),
    [
        (b"one", b"two!", ["3 bytes → 4 bytes", "- one", "+ two!"]),
        (b"a\nb\nc\n", b"a\nB\nc\n", ["6 bytes", "@@ -1,3 +1,3 @@", " a", "-b", "+B", " c"]),
        (b"\x00\x01\x02", b"\x00\x01", ["3 bytes → 2 bytes", "- at 2: 02", "+ at 2: (end)"]),
        (
            b"k" * 60 + b"1" + b"z" * 100,
            b"k" * 60 + b"2" + b"z" * 100,
            ["161 bytes", f"- …{'k' * 24}1{'z' * 73}…", f"+ …{'k' * 24}2{'z' * 73}…"],
        ),
    ],
)
def test_a_body_s_difference_is_a_few_lines(before: bytes, after: bytes, expected: list[str]) -> None:
    assert body_difference(before, after) == expected


def test_a_long_difference_is_cut() -> None:
    lines = body_difference(b"a\n" * 50, b"b\n" * 50)
    assert len(lines) == 14
    assert lines[-1] == "… 89 more lines"


@given(st.binary(max_size=300), st.binary(max_size=300))
def test_whatever_differs_can_be_shown(before: bytes, after: bytes) -> None:
    for line in [*body_difference(before, after), shown(before), shown_values((before, after))]:
        assert not any(ord(char) < 32 or 0x7F <= ord(char) < 0xA0 for char in line)
        line.encode()
