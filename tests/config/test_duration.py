from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from extproc.config.duration import format_duration, parse_duration


@pytest.mark.parametrize(
    ("written", "seconds"),
    [
        ("50ms", 0.05),
        ("1.5s", 1.5),
        ("2m", 120),
        ("1h", 3600),
        ("3", 3),
        (3, 3),
        (0.25, 0.25),
        ("10 s", 10),
        (" 1s ", 1),
    ],
)
def test_durations_are_seconds(written: object, seconds: float) -> None:
    assert parse_duration(written) == pytest.approx(seconds)


@pytest.mark.parametrize(
    "written", ["", "s", "-1s", "1d", "1e3s", "0s", "1s1", ".5s", "1,5s", 0, -1, True, None, [], "٣s"]
)
def test_anything_else_is_none(written: object) -> None:
    with pytest.raises(ValueError, match=r"50ms, 1.5s or 2m"):
        parse_duration(written)


@settings(deadline=None)  # a busy machine is no failure
@given(st.integers(1, 10**7).map(lambda millis: millis / 1000))
def test_what_is_formatted_is_read_back(seconds: float) -> None:
    assert parse_duration(format_duration(seconds)) == pytest.approx(seconds, rel=1e-5)
