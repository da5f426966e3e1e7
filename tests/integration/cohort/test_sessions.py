from __future__ import annotations

from datetime import date
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from integration.cohort.sessions import sessions

LEFT, RIGHT, AZYGOS = ("internal_jugular", "left"), ("internal_jugular", "right"), ("azygos", "")


def test_procedures_of_one_date_are_one_session(records: Any) -> None:
    found = sessions(
        [records.procedure(0, "b", sites=frozenset([LEFT])), records.procedure(0, "a", sites=frozenset([AZYGOS]))]
    )

    (session,) = found
    assert session.procedure_ids == ("a", "b")
    assert session.sites == {LEFT, AZYGOS}


def test_sessions_come_in_order_of_date_and_the_first_is_the_index(records: Any) -> None:
    found = sessions(
        [records.procedure(30, "later"), records.procedure(-3, "first"), records.procedure(30, "same day")]
    )

    assert [session.procedure_ids for session in found] == [("first",), ("later", "same day")]


def test_the_date_is_the_calendar_date_as_written_in_its_own_offset(records: Any) -> None:
    """Two instants twenty minutes apart lie on two dates; two of one date are one session, hours apart in truth."""
    around_midnight = [records.procedure("2011-05-10T23:50:00+02:00"), records.procedure("2011-05-11T00:10:00+02:00")]
    one_date = [records.procedure("2011-05-10T00:10:00+02:00"), records.procedure("2011-05-10T23:50:00-08:00")]

    assert [session.day for session in sessions(around_midnight)] == [date(2011, 5, 10), date(2011, 5, 11)]
    assert [session.day for session in sessions(one_date)] == [date(2011, 5, 10)]


def test_the_start_is_the_earliest_instant_that_was_written(records: Any) -> None:
    (session,) = sessions(
        [
            records.procedure("2011-05-10T09:00:00+02:00"),
            records.procedure("2011-05-10T08:30:00+00:00"),
            records.procedure("2011-05-10"),
        ]
    )

    assert session.start == records.instant("2011-05-10T07:00:00+00:00")


def test_a_session_without_a_time_has_no_start(records: Any) -> None:
    (session,) = sessions([records.procedure(0)])

    assert session.start is None


@pytest.mark.parametrize(
    ("first", "second", "has_stent"), [(False, False, False), (False, True, True), (True, True, True)]
)
def test_a_session_has_a_stent_if_any_of_its_procedures_has(
    records: Any, first: bool, second: bool, has_stent: bool
) -> None:
    (session,) = sessions([records.procedure(0, "a", is_stent=first), records.procedure(0, "b", is_stent=second)])

    assert session.has_stent is has_stent


def test_a_stent_alone_is_a_session(records: Any) -> None:
    (session,) = sessions([records.procedure(0, is_venoplasty=False, is_stent=True)])

    assert session.has_stent


@pytest.mark.parametrize("status", ["preparation", "not-done", "entered-in-error", "in-progress", ""])
def test_a_procedure_that_was_not_completed_makes_no_session(records: Any, status: str) -> None:
    assert sessions([records.procedure(0, status=status)]) == []


def test_imaging_and_near_misses_make_no_session(records: Any) -> None:
    near = records.procedure(0, is_venoplasty=False, near_miss="no target vein among its body sites")

    assert sessions([records.imaging(0), near]) == []


def test_the_same_vein_on_the_same_side_counts_once(records: Any) -> None:
    twice = [
        records.procedure(0, "a", sites=frozenset([LEFT, RIGHT])),
        records.procedure(0, "b", sites=frozenset([RIGHT])),
    ]

    (session,) = sessions(twice)

    assert len(session.sites) == 2


@given(data=st.data())
def test_the_order_of_procedures_does_not_matter(records: Any, data: st.DataObject) -> None:
    procedures = [records.procedure(day, f"{day}-{n}", is_stent=n == 1) for day in (0, 0, 7, 40) for n in (0, 1)]

    assert sessions(data.draw(st.permutations(procedures))) == sessions(procedures)
