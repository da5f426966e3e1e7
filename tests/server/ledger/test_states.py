import itertools
from typing import get_args

import pytest

from server.ledger import states
from server.ledger.states import Books, IllegalTransitionError, State

STATES: tuple[State, ...] = get_args(State)


def books(**lines: int) -> Books:
    return Books(
        site="north",
        outcomes=6,
        lines={**dict.fromkeys(states.LINES, 0), **lines},
        responses=5,
        scored=2,
        not_scorable={"status": 3},
    )


def test_every_state_has_its_row_in_the_table() -> None:
    assert set(states.TRANSITIONS) == set(STATES)


def test_every_state_can_be_reached_from_the_first_and_none_is_a_dead_end() -> None:
    reached: set[State] = {states.NEW}
    for _ in STATES:
        reached |= set(itertools.chain.from_iterable(states.TRANSITIONS[state] for state in reached))

    assert reached == set(STATES)
    assert all(states.TRANSITIONS[state] - {state} for state in STATES)


@pytest.mark.parametrize(("before", "after"), list(itertools.product(STATES, STATES)))
def test_only_what_the_table_allows_passes_the_check(before: State, after: State) -> None:
    if after in states.TRANSITIONS[before]:
        states.check("k", before, after)
    else:
        with pytest.raises(IllegalTransitionError, match=f"{after} may not follow {before}"):
            states.check("k", before, after)


def test_nothing_is_sent_but_from_a_state_that_is_due() -> None:
    sent_from = {before for before in STATES if "sending" in states.TRANSITIONS[before]}

    assert sent_from == states.DUE | {"sending"}


def test_what_may_be_on_its_way_is_planned_again_only_by_a_proof() -> None:
    assert "sending" not in states.TRANSITIONS["unknown"]


def test_every_state_is_on_one_line_of_the_books() -> None:
    assert {states.line(state) for state in STATES} == set(states.LINES)


def test_books_balance_and_are_proven_only_when_all_is_verified_or_retracted() -> None:
    assert books(verified=5, retracted=1).is_proven
    assert books(verified=5, pending=1).is_balanced
    assert not books(verified=5, pending=1).is_proven


def test_books_that_do_not_balance_say_by_how_much() -> None:
    short = books(verified=5)

    assert (short.is_balanced, short.difference) == (False, 1)
    assert short.sentences() == ("6 outcomes = 5 verified (does not balance: +1)", "5 responses = 2 scored + 3 status")
