"""Memory for bodies: never more than the limit, nothing lost, nothing counted twice."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from extproc import BudgetError
from extproc.budget import Budget

SIZES = st.integers(0, 40)
EXCHANGES = 3


def test_what_is_taken_is_held_until_it_is_given_back() -> None:
    budget = Budget(10, "a body")
    budget.take(4)
    budget.take(6)
    budget.give(4)
    assert (budget.held, budget.peak, budget.refused) == (6, 10, 0)


def test_what_does_not_fit_is_refused_whole_and_says_why() -> None:
    budget = Budget(10, "a body")
    budget.take(4)
    with pytest.raises(BudgetError, match=r"^a body would take 11 bytes of memory, over the limit of 10$"):
        budget.take(7)
    assert (budget.held, budget.refused) == (4, 1)


def test_an_exchange_is_refused_what_all_of_them_have_no_room_for() -> None:
    process = Budget(10, "all bodies together")
    first, second = Budget(8, "a body", process), Budget(8, "a body", process)
    first.take(8)
    with pytest.raises(BudgetError, match="all bodies together would take 13"):
        second.take(5)
    assert (second.held, second.refused, process.held, process.refused) == (0, 0, 8, 1)
    first.close()
    second.take(5)
    assert process.held == 5


@given(st.lists(st.tuples(st.integers(0, EXCHANGES - 1), st.sampled_from(["take", "give", "close"]), SIZES)))
def test_a_budget_holds_what_its_exchanges_hold_and_never_more_than_its_limit(
    steps: list[tuple[int, str, int]],
) -> None:
    process = Budget(100, "all bodies together")
    exchanges = [Budget(60, "a body", process) for _ in range(EXCHANGES)]
    for index, what, size in steps:
        budget = exchanges[index]
        if what == "close":
            budget.close()
        elif what == "give":
            budget.give(min(size, budget.held))
        else:
            _take_if_it_fits(budget, process, size)
        assert budget.held <= 60
        assert process.held == sum(item.held for item in exchanges) <= 100
        assert process.peak >= process.held


def _take_if_it_fits(budget: Budget, process: Budget, size: int) -> None:
    if budget.held + size <= 60 and process.held + size <= 100:
        budget.take(size)
    else:
        with pytest.raises(BudgetError):
            budget.take(size)
