from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from integration.cohort import visits
from integration.study import StudyFile


def chosen(records: Any, study: StudyFile, *responses: Any, index: Any = None) -> dict[str, str]:
    found = visits.choose(responses, index or records.session(), study.visits)
    return {visit: response.response_id for visit, response in found.items()}


# Windows, both ends in


@pytest.mark.parametrize(
    ("day", "visit"),
    [
        (-91, None), (-90, "baseline"), (-1, "baseline"), (0, "baseline"), (1, None),
        (13, None), (14, "month_1"), (30, "month_1"), (60, "month_1"), (61, None),
        (119, None), (120, "month_6"), (183, "month_6"), (245, "month_6"), (246, None),
    ],
)  # fmt: skip
def test_a_response_belongs_to_the_visit_whose_window_it_lies_in(
    records: Any, study: StudyFile, day: int, visit: str | None
) -> None:
    """-90 to 0, 14 to 60, 120 to 245 days, both ends in."""
    assert chosen(records, study, records.response(day)) == ({visit: "r"} if visit else {})


def test_days_are_counted_between_dates_as_written(records: Any, study: StudyFile) -> None:
    """Fourteen days later on the calendar, though fewer than fourteen times 24 hours."""
    index = records.session("2011-05-10T23:00:00+02:00")

    assert chosen(records, study, records.response("2011-05-24T00:30:00+02:00"), index=index) == {"month_1": "r"}


# Which of several


def test_baseline_is_the_last(records: Any, study: StudyFile) -> None:
    responses = [records.response(day, str(day)) for day in (-80, -3, -20)]

    assert chosen(records, study, *responses) == {"baseline": "-3"}


def test_a_later_baseline_that_is_not_scorable_is_passed_over(records: Any, study: StudyFile) -> None:
    responses = [records.response(-20, "good"), records.response(-3, "bad", reason="answer out of range")]

    assert chosen(records, study, *responses) == {"baseline": "good"}


@pytest.mark.parametrize(
    ("visit", "days", "nearest"),
    [
        ("month_1", (14, 29, 32), 29), ("month_1", (29, 31), 29), ("month_1", (14, 46), 14), ("month_1", (60, 31), 31),
        ("month_6", (120, 245), 245), ("month_6", (182, 184), 182), ("month_6", (121, 245), 121),
        ("month_6", (183, 183), 183),
    ],
)  # fmt: skip
def test_follow_up_is_the_nearest_to_its_target_and_then_the_earlier(
    records: Any, study: StudyFile, visit: str, days: tuple[int, ...], nearest: int
) -> None:
    """Targets are day 30 and day 183."""
    responses = [records.response(day, f"{number}:{day}") for number, day in enumerate(days)]

    found = chosen(records, study, *responses)[visit]

    assert int(found.partition(":")[2]) == nearest


def test_a_nearer_response_that_is_not_scorable_is_passed_over(records: Any, study: StudyFile) -> None:
    responses = [records.response(30, "bad", reason="several answers"), records.response(50, "good")]

    assert chosen(records, study, *responses) == {"month_1": "good"}


def test_one_scored_subscale_makes_a_response_scorable(records: Any, study: StudyFile) -> None:
    responses = [records.response(30, "half", physical=None), records.response(50, "whole")]

    assert chosen(records, study, *responses) == {"month_1": "half"}


@pytest.mark.parametrize(
    ("times", "first", "last"),
    [
        (("T10:00:00+02:00", "T09:00:00+02:00"), 1, 0),
        (("T10:00:00+02:00", "T09:00:00+00:00"), 0, 1),
        (("", "T09:00:00+00:00"), 0, 1),
        (("", ""), 0, 1),
    ],
    ids=["by time", "by instant", "a date alone before a time", "by id"],
)
def test_two_on_one_day_are_told_apart_by_instant_then_by_id(
    records: Any, study: StudyFile, times: tuple[str, str], first: int, last: int
) -> None:
    follow_up = [records.response(f"2011-06-09{time}", str(number)) for number, time in enumerate(times)]
    baseline = [records.response(f"2011-05-01{time}", str(number)) for number, time in enumerate(times)]

    assert chosen(records, study, *follow_up) == {"month_1": str(first)}
    assert chosen(records, study, *baseline) == {"baseline": str(last)}


# Day 0


@pytest.mark.parametrize(
    ("answered", "began", "is_baseline"),
    [
        ("2011-05-10T08:00:00+02:00", "2011-05-10T09:00:00+02:00", True),
        ("2011-05-10T09:00:00+02:00", "2011-05-10T09:00:00+02:00", True),
        ("2011-05-10T09:00:01+02:00", "2011-05-10T09:00:00+02:00", False),
        ("2011-05-10T08:30:00+00:00", "2011-05-10T09:00:00+02:00", False),
        ("2011-05-10T09:30:00+03:00", "2011-05-10T09:00:00+02:00", True),
        ("2011-05-10", "2011-05-10T09:00:00+02:00", True),
        ("2011-05-10T23:00:00+02:00", "2011-05-10", True),
        ("2011-05-10", "2011-05-10", True),
    ],
)
def test_on_day_0_a_baseline_is_not_later_than_the_start_where_both_have_a_time(
    records: Any, study: StudyFile, answered: str, began: str, is_baseline: bool
) -> None:
    found = chosen(records, study, records.response(answered), index=records.session(began))

    assert ("baseline" in found) is is_baseline


def test_a_response_after_the_start_does_not_hide_an_earlier_one(records: Any, study: StudyFile) -> None:
    index = records.session("2011-05-10T09:00:00+02:00")
    responses = [records.response(-5, "before"), records.response("2011-05-10T12:00:00+02:00", "after")]

    assert chosen(records, study, *responses, index=index) == {"baseline": "before"}


# What is never chosen


@pytest.mark.parametrize("reason", ["status", "not msis-29", "too few answers", "partial date", "rejected"])
def test_only_scorable_responses_are_chosen(records: Any, study: StudyFile, reason: str) -> None:
    when = None if reason in ("partial date", "rejected") else 30

    assert chosen(records, study, records.response(when, reason=reason)) == {}


def test_a_response_without_a_date_has_no_day(records: Any) -> None:
    with pytest.raises(ValueError, match="QuestionnaireResponse/r has no date"):
        visits.days_from(records.index_day, records.response(None))


# For all responses


@st.composite
def answered(draw: st.DrawFn) -> tuple[int, bool]:
    return draw(st.integers(-100, 260)), draw(st.booleans())


@given(data=st.data(), days=st.lists(answered(), max_size=12))
def test_the_choice_does_not_depend_on_the_order_of_the_responses(
    records: Any, study: StudyFile, data: st.DataObject, days: list[tuple[int, bool]]
) -> None:
    responses = [
        records.response(day, str(number), reason="" if is_good else "status")
        for number, (day, is_good) in enumerate(days)
    ]

    shuffled = data.draw(st.permutations(responses))

    assert chosen(records, study, *shuffled) == chosen(records, study, *responses)


@given(days=st.lists(st.integers(-100, 260), max_size=12))
def test_no_response_nearer_to_the_target_was_passed_over(records: Any, study: StudyFile, days: list[int]) -> None:
    responses = {str(number): records.response(day, str(number)) for number, day in enumerate(days)}

    found = chosen(records, study, *responses.values())

    for visit, window in study.visits.items():
        inside = [day for day in days if window.first_day <= day <= window.last_day]
        if not inside:
            assert visit not in found
            continue
        day = visits.days_from(records.index_day, responses[found[visit]])
        wanted = (
            max(inside)
            if window.target_day is None
            else min(inside, key=lambda one: (abs(one - window.target_day), one))
        )
        assert day == wanted
