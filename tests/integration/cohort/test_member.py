from __future__ import annotations

from datetime import date
from fractions import Fraction
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from integration import cohort, msis29
from integration.cohort import member
from integration.study import StudyFile

LEFT, RIGHT, AZYGOS = ("internal_jugular", "left"), ("internal_jugular", "right"), ("azygos", "")


@pytest.fixture
def row_of(records: Any, study: StudyFile) -> Any:
    """The row of a patient with an index procedure, MS and a baseline at 3, and whatever else is given."""

    def built(*more: Any, **patient: Any) -> dict[str, Any]:
        rows = records.rows(records.procedure(), records.condition(), records.response(-1, "base"), *more, **patient)
        found = records.row(cohort.assess(rows, study), study)
        assert found is not None
        return found

    return built


# The patient


@pytest.mark.parametrize(
    ("born", "on", "years"),
    [
        ("1970-05-10", date(2011, 5, 10), 41), ("1970-05-11", date(2011, 5, 10), 40),
        ("1970-05-09", date(2011, 5, 10), 41), ("2011-05-10", date(2011, 5, 10), 0),
        ("1972-02-29", date(2011, 2, 28), 38), ("1972-02-29", date(2011, 3, 1), 39),
        ("1970", date(2011, 5, 10), None), ("1970-05", date(2011, 5, 10), None), ("", date(2011, 5, 10), None),
        ("1970-13-01", date(2011, 5, 10), None),
    ],
)  # fmt: skip
def test_age_is_completed_years_at_the_procedure(born: str, on: date, years: int | None) -> None:
    assert member.age(born, on) == years


def test_a_row_describes_the_patient_at_the_index_procedure(row_of: Any, records: Any) -> None:
    row = row_of(records.procedure(40, "later"), records.condition(-5, "c2", ms_type="SPMS"))

    assert (row["patient_id"], row["sex"], row["age_at_procedure"]) == ("p", "female", 41)
    assert (row["procedure_date"], row["ms_type"]) == ("2011-05-10", "SPMS")


# The index session


@pytest.mark.parametrize(
    ("sites", "count"),
    [([AZYGOS], 1), ([LEFT, RIGHT], 2), ([LEFT, RIGHT, AZYGOS], 3), ([("internal_jugular", ""), LEFT], 2)],
)
def test_vein_sites_are_the_distinct_veins_and_sides_of_the_index_session(
    records: Any, study: StudyFile, sites: list[tuple[str, str]], count: int
) -> None:
    later = records.procedure(40, "later", sites=frozenset([("brachiocephalic", "left")]))
    rows = records.rows(records.procedure(sites=frozenset(sites)), later, records.condition(), records.response(-1))

    row = records.row(cohort.assess(rows, study), study)

    assert row is not None
    assert row["vein_sites"] == count


def test_stent_is_that_of_the_index_session(row_of: Any, records: Any) -> None:
    assert row_of(records.procedure(0, "y", is_stent=True))["stent"] is True
    later = row_of(records.procedure(40, "y", is_stent=True))
    assert (later["stent"], later["stent_sessions"], later["sessions"]) == (False, 1, 2)


# Visits and changes


def test_a_visits_columns_are_those_of_the_response_that_was_chosen(row_of: Any, records: Any) -> None:
    row = row_of(records.response(30, "m1", physical=2, psychological=5))

    assert (row["month_1_date"], row["month_1_response"], row["month_1_version"]) == ("2011-06-09", "m1", "1")
    assert (row["physical_month_1"], row["psychological_month_1"]) == (25.0, 100.0)
    assert (row["physical_sum_month_1"], row["physical_answered_month_1"]) == (40.0, 20)
    assert (row["physical_change_month_1"], row["psychological_change_month_1"]) == (-25.0, 50.0)
    assert (row["physical_improved_month_1"], row["psychological_improved_month_1"]) == (True, False)
    assert row["physical_sum_change_month_1"] == -20.0


def test_a_visit_that_is_missing_has_empty_columns(row_of: Any) -> None:
    row = row_of()

    assert {value for name, value in row.items() if "month_6" in name} == {None}


def test_no_change_is_no_improvement(row_of: Any, records: Any) -> None:
    row = row_of(records.response(183, "m6"))

    assert (row["physical_change_month_6"], row["physical_improved_month_6"]) == (0.0, False)


def test_versions_are_never_mixed_within_one_change(row_of: Any, records: Any) -> None:
    row = row_of(records.response(30, "m1", version="2"))

    assert row["physical_month_1"] == pytest.approx(200 / 3)
    assert row["physical_change_month_1"] is None
    assert row["physical_sum_change_month_1"] is None
    assert row["physical_improved_month_1"] is None


def test_a_change_needs_the_subscale_at_both_times(row_of: Any, records: Any) -> None:
    row = row_of(records.response(30, "m1", physical=None, psychological=2))

    assert row["physical_change_month_1"] is None
    assert row["psychological_change_month_1"] == -25.0


def partly_answered(records: Any, when: int, response_id: str, values: list[int | None]) -> Any:
    answers: dict[int, list[int | None]] = {item: [value] for item, value in enumerate(values, 1) if value is not None}
    score = msis29.score(answers, "1")
    return records.response(when, response_id, score=score)


def test_imputed_sums_that_are_equal_give_no_change_at_all(records: Any, study: StudyFile) -> None:
    """Means of 7/3 from 12 and from 18 items: in floating point their imputed sums need not be equal."""
    before = [2, 2, 3] * 4 + [None] * 8
    after = [2, 2, 3] * 6 + [None] * 2
    rows = records.rows(
        records.procedure(), records.condition(),
        partly_answered(records, -1, "base", before), partly_answered(records, 30, "m1", after),
    )  # fmt: skip

    row = records.row(cohort.assess(rows, study), study)

    assert row is not None
    assert row["physical_change_month_1"] == 0.0
    assert row["physical_sum_change_month_1"] == 0.0
    assert row["physical_improved_month_1"] is False
    assert row["physical_sum_baseline"] == float(Fraction(140, 3))


@given(
    first=st.lists(st.integers(1, 5), min_size=10, max_size=20),
    second=st.lists(st.integers(1, 5), min_size=10, max_size=20),
)
def test_the_change_of_sums_is_that_of_the_scores_in_raw_points(
    records: Any, study: StudyFile, first: list[int], second: list[int]
) -> None:
    rows = records.rows(
        records.procedure(), records.condition(),
        partly_answered(records, -1, "base", list(first)), partly_answered(records, 30, "m1", list(second)),
    )  # fmt: skip

    row = records.row(cohort.assess(rows, study), study)

    by_hand = Fraction(20 * sum(second), len(second)) - Fraction(20 * sum(first), len(first))
    assert row is not None
    assert row["physical_sum_change_month_1"] == float(by_hand)
    assert row["physical_change_month_1"] == float(by_hand * 100 / 80)
    assert row["physical_improved_month_1"] is (by_hand < 0)


# Retreatment


def test_without_a_later_session_nobody_was_retreated(row_of: Any, records: Any) -> None:
    row = row_of(records.procedure(0, "same day"), records.procedure(9, "planned", status="preparation"))

    assert (row["retreated"], row["retreatment_days"], row["retreated_after_improvement"]) == (False, None, False)


def test_a_later_session_is_retreatment_counted_from_the_index(row_of: Any, records: Any) -> None:
    row = row_of(records.procedure(200, "third"), records.procedure(90, "second"))

    assert (row["retreated"], row["retreatment_days"], row["sessions"]) == (True, 90, 3)


@pytest.mark.parametrize(
    ("physical", "psychological", "visit_day", "counts"),
    [(2, 3, 30, True), (3, 2, 30, True), (3, 3, 30, False), (4, 4, 30, False), (2, 2, 60, False), (2, 2, 59, True)],
)
def test_retreatment_after_improvement_needs_a_score_that_improved_at_a_visit_before_it(
    row_of: Any, records: Any, physical: int, psychological: int, visit_day: int, counts: bool
) -> None:
    visit = records.response(visit_day, "m1", physical=physical, psychological=psychological)

    row = row_of(visit, records.procedure(60, "again"))

    assert row["retreated_after_improvement"] is counts


# Last contact


@pytest.mark.parametrize(
    ("more", "days"),
    [([], 0), ([("response", 30)], 30), ([("response", 300)], 300), ([("procedure", 400), ("response", 300)], 400)],
)
def test_follow_up_ends_with_the_last_scorable_response_or_session(
    row_of: Any, records: Any, more: list[tuple[str, int]], days: int
) -> None:
    later = [getattr(records, kind)(day, f"{kind}-{day}") for kind, day in more]

    row = row_of(*later, records.response(900, "bad", reason="status"))

    assert row["last_contact_days"] == days


# Adverse events


@pytest.mark.parametrize(
    ("seriousness", "day", "is_serious"),
    [("serious", 3, True), ("serious", 31, False), ("non-serious", 3, False), ("", 3, False)],
)
def test_a_serious_event_must_count(row_of: Any, records: Any, seriousness: str, day: int, is_serious: bool) -> None:
    assert row_of(records.event(day, seriousness=seriousness))["serious_adverse_event"] is is_serious


# Columns


def test_the_columns_are_known_without_any_patient(row_of: Any, study: StudyFile) -> None:
    assert member.columns(study) == list(row_of())
