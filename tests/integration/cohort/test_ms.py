from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from integration.cohort import ms

TYPES = ["RRMS", "SPMS", "PPMS", "unspecified"]


def ms_type(records: Any, *conditions: Any) -> str:
    return ms.ms_type(conditions, records.index_day)


def test_the_latest_type_on_or_before_the_index_day_counts(records: Any) -> None:
    conditions = [
        records.condition(-900, "1", ms_type="RRMS"), records.condition(-10, "2", ms_type="SPMS"),
        records.condition(-20, "3", ms_type="PPMS"), records.condition(1, "4", ms_type="RRMS"),
    ]  # fmt: skip

    assert ms_type(records, *conditions) == "SPMS"


@pytest.mark.parametrize(("day", "found"), [(-1, "SPMS"), (0, "SPMS"), (1, "RRMS")])
def test_the_index_day_itself_is_in(records: Any, day: int, found: str) -> None:
    conditions = [records.condition(-900, "1", ms_type="RRMS"), records.condition(day, "2", ms_type="SPMS")]

    assert ms_type(records, *conditions) == found


def test_without_an_earlier_one_the_earliest_dated_later_counts(records: Any) -> None:
    conditions = [
        records.condition(900, "1", ms_type="RRMS"), records.condition(400, "2", ms_type="SPMS"),
        records.condition(None, "3", ms_type="PPMS"),
    ]  # fmt: skip

    assert ms_type(records, *conditions) == "SPMS"


def test_an_undated_type_is_the_last_resort(records: Any) -> None:
    undated = records.condition(None, "1", ms_type="PPMS")

    assert ms_type(records, undated, records.condition(-10, "2", ms_type="unspecified")) == "PPMS"
    assert ms_type(records, undated, records.condition(10, "2", ms_type="RRMS")) == "RRMS"


def test_unspecified_never_overrides_a_type(records: Any) -> None:
    conditions = [records.condition(-900, "1", ms_type="RRMS"), records.condition(-1, "2", ms_type="unspecified")]

    assert ms_type(records, *conditions) == "RRMS"


def test_without_any_type_it_is_unspecified(records: Any) -> None:
    assert ms_type(records, records.condition(ms_type="unspecified")) == "unspecified"
    assert ms_type(records) == "unspecified"


def test_a_condition_that_is_not_usable_has_no_effect(records: Any) -> None:
    conditions = [
        records.condition(-900, "1", ms_type="RRMS"),
        records.condition(-1, "2", ms_type="SPMS", is_usable=False),
    ]

    assert ms_type(records, *conditions) == "RRMS"
    assert [one.condition_id for one in ms.usable(conditions)] == ["1"]


@pytest.mark.parametrize(
    ("first", "second", "found"),
    [
        (("2011-01-05T10:00:00+01:00", "1"), ("2011-01-05T09:30:00+00:00", "2"), "SPMS"),
        (("2011-01-05T10:00:00+00:00", "1"), ("2011-01-05T09:30:00+00:00", "2"), "RRMS"),
        (("2011-01-05", "1"), ("2011-01-05T00:00:00+00:00", "0"), "SPMS"),
        (("2011-01-05", "1"), ("2011-01-05", "2"), "SPMS"),
        (("2011-01-05T10:00:00+00:00", "b"), ("2011-01-05T11:00:00+01:00", "a"), "RRMS"),
    ],
    ids=["the later instant", "not the higher id", "a time after a date alone", "the higher id", "equal instants"],
)
@pytest.mark.parametrize("year", ["2011", "2012"], ids=["before the index", "after it"])
def test_ties_go_to_the_later_instant_then_to_the_higher_id(
    records: Any, year: str, first: tuple[str, str], second: tuple[str, str], found: str
) -> None:
    conditions = [
        records.condition(when.replace("2011", year), condition_id, ms_type=kind)
        for (when, condition_id), kind in ((first, "RRMS"), (second, "SPMS"))
    ]

    assert ms_type(records, *conditions) == found


def test_undated_ties_go_to_the_higher_id(records: Any) -> None:
    conditions = [records.condition(None, "2", ms_type="RRMS"), records.condition(None, "1", ms_type="PPMS")]

    assert ms_type(records, *conditions) == "RRMS"


@given(data=st.data())
def test_the_order_of_conditions_does_not_matter(records: Any, data: st.DataObject) -> None:
    when = st.one_of(
        st.none(), st.integers(-3, 3), st.sampled_from(["2011-05-09T10:00:00+00:00", "2011-05-09T10:00:00+02:00"])
    )
    drawn = data.draw(st.lists(st.tuples(when, st.sampled_from(TYPES), st.booleans()), max_size=8))
    conditions = [
        records.condition(day, f"c{number}", ms_type=kind, is_usable=usable)
        for number, (day, kind, usable) in enumerate(drawn)
    ]

    assert ms_type(records, *data.draw(st.permutations(conditions))) == ms_type(records, *conditions)
