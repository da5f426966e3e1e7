from __future__ import annotations

from typing import Any

import pytest

from integration import cohort
from integration.cohort import Failure
from integration.study import StudyFile


def failure(study: StudyFile, rows: Any) -> Failure | None:
    return cohort.assess(rows, study).failure


def told(study: StudyFile, rows: Any) -> tuple[str, str, str] | None:
    found = failure(study, rows)
    return (found.criterion, found.detail, found.resource) if found else None


def with_imaging_required(study: StudyFile) -> StudyFile:
    criteria = [*study.flow.criteria, "imaging_before"]
    return study.model_copy(update={"flow": study.flow.model_copy(update={"criteria": criteria})})


# The order


def test_who_meets_every_criterion_is_in_the_cohort(records: Any, study: StudyFile) -> None:
    rows = records.rows(records.procedure(), records.condition(), records.response(-1))

    assert failure(study, rows) is None


@pytest.mark.parametrize(
    ("has_procedure", "has_condition", "has_baseline", "criterion"),
    [
        (False, False, False, "venoplasty"), (False, True, True, "venoplasty"),
        (True, False, False, "multiple_sclerosis"), (True, False, True, "multiple_sclerosis"),
        (True, True, False, "baseline"),
    ],
)  # fmt: skip
def test_the_first_criterion_that_fails_is_the_patients(
    records: Any, study: StudyFile, has_procedure: bool, has_condition: bool, has_baseline: bool, criterion: str
) -> None:
    held = [
        (has_procedure, records.procedure()),
        (has_condition, records.condition()),
        (has_baseline, records.response(-1)),
    ]

    found = failure(study, records.rows(*(record for has, record in held if has)))

    assert found is not None
    assert found.criterion == criterion


def test_the_order_is_the_studys(records: Any, study: StudyFile) -> None:
    flow = study.flow.model_copy(update={"criteria": ["venoplasty", "baseline", "multiple_sclerosis"]})

    found = failure(study.model_copy(update={"flow": flow}), records.rows(records.procedure()))

    assert found is not None
    assert found.criterion == "baseline"


def test_a_missing_follow_up_excludes_nobody(records: Any, study: StudyFile) -> None:
    rows = records.rows(records.procedure(), records.condition(), records.response(-1))

    assert cohort.assess(rows, study).visits == {"r": "baseline"}


# Venoplasty


def test_without_any_procedure_there_is_nothing_to_show(records: Any, study: StudyFile) -> None:
    assert told(study, records.rows(records.imaging(0))) == ("venoplasty", "no venoplasty or venous stent", "")


@pytest.mark.parametrize(
    ("status", "detail"),
    [("not-done", "nearest: status not-done, not completed"), ("", "nearest: status missing, not completed")],
)
def test_a_treatment_that_was_not_done_is_the_nearest_miss(
    records: Any, study: StudyFile, status: str, detail: str
) -> None:
    assert told(study, records.rows(records.procedure(status=status))) == ("venoplasty", detail, "Procedure/x")


def test_a_treatment_without_a_target_vein_is_a_near_miss(records: Any, study: StudyFile) -> None:
    near = records.procedure(is_venoplasty=False, near_miss="no target vein among its body sites", sites=frozenset())

    assert told(study, records.rows(near)) == (
        "venoplasty",
        "nearest: no target vein among its body sites",
        "Procedure/x",
    )


def test_a_treatment_that_was_not_done_is_nearer_than_one_elsewhere(records: Any, study: StudyFile) -> None:
    elsewhere = records.procedure(0, "far", is_venoplasty=False, near_miss="no target vein", sites=frozenset())

    found = failure(study, records.rows(elsewhere, records.procedure(-9, "near", status="not-done")))

    assert found is not None
    assert found.resource == "Procedure/near"


def test_which_miss_is_nearest_does_not_depend_on_the_order(records: Any, study: StudyFile) -> None:
    one, two = records.procedure(0, "1", status="not-done"), records.procedure(0, "2", status="stopped")

    assert told(study, records.rows(one, two)) == told(study, records.rows(two, one))


# Multiple sclerosis


def test_without_any_condition_there_is_nothing_to_show(records: Any, study: StudyFile) -> None:
    found = told(study, records.rows(records.procedure()))

    assert found == ("multiple_sclerosis", "no Condition coded as multiple sclerosis", "")


def test_a_condition_that_was_denied_is_the_nearest_miss(records: Any, study: StudyFile) -> None:
    found = told(study, records.rows(records.procedure(), records.condition(is_usable=False)))

    assert found == ("multiple_sclerosis", "nearest: refuted or entered in error", "Condition/c")


@pytest.mark.parametrize("when", [-4000, 0, 900, None])
def test_ms_counts_at_any_date(records: Any, study: StudyFile, when: int | None) -> None:
    found = failure(study, records.rows(records.procedure(), records.condition(when), records.response(-1)))

    assert found is None


# Baseline


@pytest.mark.parametrize(
    ("responses", "detail", "resource"),
    [
        ([], "no MSIS-29 response with a date", ""),
        ([(None, "x", "partial date")], "no MSIS-29 response with a date", ""),
        ([(-91, "early", "")], "nearest: day -91, outside -90 to 0", "early"),
        ([(1, "late", "")], "nearest: day 1, outside -90 to 0", "late"),
        ([(-93, "early", ""), (2, "late", "")], "nearest: day 2, outside -90 to 0", "late"),
        ([(-5, "bad", "answer out of range")], "nearest: answer out of range", "bad"),
        ([(-5, "bad", "status"), (1, "late", "")], "nearest: status", "bad"),
        ([(-5, "bad", "too few answers"), (-9, "worse", "status")], "nearest: too few answers", "bad"),
    ],
)
def test_the_nearest_response_is_shown_with_what_it_lacks(
    records: Any, study: StudyFile, responses: list[tuple[int | None, str, str]], detail: str, resource: str
) -> None:
    given = [records.response(when, response_id, reason=reason) for when, response_id, reason in responses]

    found = told(study, records.rows(records.procedure(), records.condition(), *given))

    assert found == ("baseline", detail, f"QuestionnaireResponse/{resource}" if resource else "")


def test_a_response_after_the_procedure_began_says_so(records: Any, study: StudyFile) -> None:
    rows = records.rows(
        records.procedure("2011-05-10T09:00:00+00:00"),
        records.condition(),
        records.response("2011-05-10T10:00:00+00:00"),
    )

    assert told(study, rows) == ("baseline", "nearest: day 0, after the procedure had begun", "QuestionnaireResponse/r")


def test_another_instrument_is_not_near(records: Any, study: StudyFile) -> None:
    other = records.response(-5, instrument_version="", reason="not msis-29")

    assert told(study, records.rows(records.procedure(), records.condition(), other)) == (
        "baseline", "no MSIS-29 response with a date", "",
    )  # fmt: skip


# Imaging, where a site makes it a criterion


@pytest.mark.parametrize(("day", "is_before"), [(-366, False), (-365, True), (-1, True), (0, True), (1, False)])
def test_imaging_counts_in_the_365_days_up_to_the_index_day(
    records: Any, study: StudyFile, day: int, is_before: bool
) -> None:
    """Both ends in: the day itself and the 365th before."""
    rows = records.rows(records.procedure(), records.condition(), records.response(-1), records.imaging(day))

    row = records.row(cohort.assess(rows, study), study)
    required = failure(with_imaging_required(study), rows)

    assert row is not None
    assert row["imaging_before"] is is_before
    assert (required is None) is is_before


def test_imaging_that_was_not_completed_does_not_count(records: Any, study: StudyFile) -> None:
    rows = records.rows(
        records.procedure(), records.condition(), records.response(-1), records.imaging(-5, status="not-done")
    )

    assert told(with_imaging_required(study), rows) == (
        "imaging_before", "nearest: status not-done, not in the 365 days up to the procedure", "Procedure/i",
    )  # fmt: skip


def test_without_imaging_there_is_nothing_to_show(records: Any, study: StudyFile) -> None:
    rows = records.rows(records.procedure(), records.condition(), records.response(-1))

    assert told(with_imaging_required(study), rows) == ("imaging_before", "no imaging", "")
