from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from integration.cohort.events import CountedEvent, counted

THIRTY = 30


def one(records: Any, event: Any, *sessions: Any) -> CountedEvent | None:
    found = list(counted([event], list(sessions) or [records.session()], THIRTY))
    return found[0] if found else None


@pytest.mark.parametrize(("day", "counts"), [(-1, False), (0, True), (1, True), (30, True), (31, False)])
def test_an_event_counts_from_the_sessions_day_to_30_days_after(records: Any, day: int, counts: bool) -> None:
    found = one(records, records.event(day))

    assert (found is not None) is counts
    if found:
        assert (found.days, found.linked_by) == (day, "date")


@pytest.mark.parametrize(("day", "days"), [(99, None), (100, 0), (130, 30), (131, None), (30, 30), (31, None)])
def test_any_session_counts_not_only_the_index(records: Any, day: int, days: int | None) -> None:
    found = one(records, records.event(day), records.session(0), records.session(100))

    assert (found.days if found else None) == days


def test_days_are_counted_from_the_last_session_before(records: Any) -> None:
    found = one(records, records.event(12), records.session(0), records.session(10), records.session(20))

    assert found is not None
    assert found.days == 2


@pytest.mark.parametrize("day", [-400, -1, 0, 31, 900])
def test_a_named_procedure_of_a_session_counts_whatever_the_date(records: Any, day: int) -> None:
    found = one(records, records.event(day, suspects=frozenset(["x", "drug"])))

    assert found is not None
    assert (found.days, found.linked_by) == (day, "suspectEntity")


def test_an_undated_event_counts_only_by_its_suspect(records: Any) -> None:
    assert one(records, records.event(None)) is None
    found = one(records, records.event(None, suspects=frozenset(["x"])))
    assert found is not None
    assert (found.days, found.linked_by) == (None, "suspectEntity")


def test_a_suspect_goes_before_a_date(records: Any) -> None:
    sessions = [records.session(0, procedure_ids=("first",)), records.session(100, procedure_ids=("second",))]

    found = one(records, records.event(103, suspects=frozenset(["first"])), *sessions)

    assert found is not None
    assert (found.days, found.linked_by, found.session.procedure_ids) == (103, "suspectEntity", ("first",))


def test_of_several_suspected_sessions_the_last_before_the_event_is_linked(records: Any) -> None:
    sessions = [records.session(day, procedure_ids=(str(day),)) for day in (0, 100, 200)]
    suspects = frozenset(["0", "100", "200"])

    linked = {day: one(records, records.event(day, suspects=suspects), *sessions) for day in (-5, 50, 150, 250)}

    assert {day: found and found.session.procedure_ids for day, found in linked.items()} == {
        -5: ("0",), 50: ("0",), 150: ("100",), 250: ("200",),
    }  # fmt: skip


@pytest.mark.parametrize("suspect", ["venography", "y"])
def test_another_suspect_does_not_make_a_late_event_count(records: Any, suspect: str) -> None:
    assert one(records, records.event(31, suspects=frozenset([suspect]))) is None


def test_another_suspect_does_not_keep_an_early_event_from_counting(records: Any) -> None:
    found = one(records, records.event(3, suspects=frozenset(["venography"])))

    assert found is not None
    assert found.linked_by == "date"


def test_without_a_session_nothing_counts(records: Any) -> None:
    assert list(counted([records.event(0, suspects=frozenset(["x"]))], [], THIRTY)) == []


@given(
    days=st.lists(st.integers(-10, 200), max_size=6),
    session_days=st.lists(st.integers(0, 150), min_size=1, unique=True),
)
def test_an_event_counts_if_and_only_if_some_session_is_0_to_30_days_before(
    records: Any, days: list[int], session_days: list[int]
) -> None:
    sessions = [records.session(day) for day in sorted(session_days)]
    events = [records.event(day, str(number)) for number, day in enumerate(days)]

    found = {one.event.event_id for one in counted(events, sessions, THIRTY)}

    assert found == {
        str(number) for number, day in enumerate(days) if any(0 <= day - session <= 30 for session in session_days)
    }
