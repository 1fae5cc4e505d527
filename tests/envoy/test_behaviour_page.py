from __future__ import annotations

from tests.envoy.behaviour import PAGE, page
from tests.envoy.behaviour_rows import THEMES


def test_the_page_says_what_the_scenarios_come_to() -> None:
    assert PAGE.read_text() == page(), "run `python -m tests.envoy.behaviour`"


def test_no_scenario_is_told_twice() -> None:
    names = [name for _, rows in THEMES.values() for name in rows]
    assert len(names) == len(set(names))
