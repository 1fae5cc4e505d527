"""The 147 cases of the HTTP/2 conformance suite that other servers are measured with, by its numbers.

What it sends and what it takes for an answer, written anew in terms of `script`, and stricter: it is content with a
connection that is just closed where the RFC asks for an error, and these cases want the code.
"""

from __future__ import annotations

from collections import Counter

import pytest

from tests.server.conformance.numbered import compression, definitions, framing, generic, messages, streams
from tests.server.conformance.script import Case

_CASES = [case for group in (generic, framing, streams, definitions, messages, compression) for case in group.CASES]
_SECTIONS = {
    "generic": {
        "1": 1,
        "2": 5,
        "3.1": 3,
        "3.2": 3,
        "3.3": 5,
        "3.4": 1,
        "3.5": 1,
        "3.7": 1,
        "3.8": 1,
        "3.9": 2,
        "3.10": 2,
    }
    | {"4": 4, "5": 15},
    "http2": {
        "3.5": 2,
        "4.1": 3,
        "4.2": 3,
        "4.3": 3,
        "5.1": 13,
        "5.1.1": 2,
        "5.1.2": 1,
        "5.3.1": 2,
        "5.4.1": 2,
        "5.5": 2,
    }
    | {"6.1": 3, "6.2": 4, "6.3": 2, "6.4": 3, "6.5": 3, "6.5.2": 5, "6.5.3": 2, "6.7": 4, "6.8": 1, "6.9": 3}
    | {"6.9.1": 3, "6.9.2": 3, "6.10": 6, "7": 2, "8.1": 1, "8.1.2": 1, "8.1.2.1": 4, "8.1.2.2": 2, "8.1.2.3": 7}
    | {"8.1.2.6": 2, "8.2": 1},
    "hpack": {"2.3.3": 2, "4.2": 1, "5.2": 3, "6.1": 1, "6.3": 1},
}


def test_no_number_is_missing() -> None:
    numbers = [
        f"{group}/{section}/{number}"
        for group, sections in _SECTIONS.items()
        for section, count in sections.items()
        for number in range(1, count + 1)
    ]
    assert len(numbers) == 147
    assert Counter(case.id for case in _CASES) == Counter(numbers)


@pytest.mark.parametrize("case", _CASES, ids=lambda case: case.id)
async def test_numbered(case: Case, address: str) -> None:
    await case.play(address)
