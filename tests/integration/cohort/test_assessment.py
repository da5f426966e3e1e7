from __future__ import annotations

import pickle
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from integration import cohort
from integration.records import PatientRows
from integration.study import StudyFile


def test_a_patient_of_the_cohort_has_a_row_and_its_index_procedure(records: Any, study: StudyFile) -> None:
    rows = records.rows(
        records.procedure(0, "b"), records.procedure(0, "a"), records.condition(), records.response(-1, "base"),
        records.response(30, "m1"), records.response(31, "not chosen"),
    )  # fmt: skip

    found = cohort.assess(rows, study)

    assert (found.patient_id, found.failure, found.index_resource) == ("p", None, "Procedure/a")
    assert found.visits == {"base": "baseline", "m1": "month_1"}
    assert found.row is not None


def test_somebody_outside_the_cohort_has_neither_row_nor_visits(records: Any, study: StudyFile) -> None:
    rows = records.rows(records.procedure(), records.response(-1), records.response(30, "m1"))

    found = cohort.assess(rows, study)

    assert found.failure is not None
    assert (found.row, found.visits, found.index_resource) == (None, {}, "Procedure/x")


def test_adverse_events_of_anybody_with_a_session_are_counted(records: Any, study: StudyFile) -> None:
    with_session = cohort.assess(records.rows(records.procedure(), records.event(3)), study)
    without = cohort.assess(records.rows(records.event(3)), study)

    assert (len(with_session.events), len(without.events)) == (1, 0)


def test_an_assessment_can_go_to_another_process(records: Any, study: StudyFile) -> None:
    rows = records.rows(records.procedure(), records.condition(), records.response(-1))

    found = cohort.assess(pickle.loads(pickle.dumps(rows)), pickle.loads(pickle.dumps(study)))

    assert pickle.loads(pickle.dumps(found)) == cohort.assess(rows, study)


DAYS = st.integers(-400, 400)


@st.composite
def patients(draw: st.DrawFn, records: Any) -> PatientRows:
    """Somebody with a bit of everything, around the edges of the windows."""
    edges = st.one_of(st.sampled_from([-91, -90, 0, 1, 13, 14, 30, 31, 60, 61, 120, 183, 245, 246]), DAYS)
    procedures = [
        records.procedure(day, f"x{number}", is_stent=day % 2 == 0, status="completed" if day % 5 else "not-done")
        for number, day in enumerate(draw(st.lists(edges, max_size=4)))
    ]
    images = [records.imaging(day, f"i{number}") for number, day in enumerate(draw(st.lists(edges, max_size=2)))]
    conditions = [
        records.condition(
            day, f"c{number}", ms_type=["RRMS", "SPMS", "PPMS", "unspecified"][day % 4], is_usable=day % 7 > 0
        )
        for number, day in enumerate(draw(st.lists(DAYS, max_size=3)))
    ]
    responses = [
        records.response(day, f"r{number}", physical=day % 5 + 1, version="2" if day % 9 == 0 and day % 5 < 4 else "1")
        for number, day in enumerate(draw(st.lists(edges, max_size=6)))
    ]
    events = [
        records.event(day, f"e{number}", suspects=frozenset([f"x{number}"]) if day % 3 == 0 else frozenset())
        for number, day in enumerate(draw(st.lists(edges, max_size=3)))
    ]
    return PatientRows(
        patient=records.patient(), procedures=procedures + images, conditions=conditions, responses=responses,
        adverse_events=events,
    )  # fmt: skip


@settings(max_examples=200)
@given(data=st.data())
def test_the_order_of_a_patients_records_does_not_matter(records: Any, study: StudyFile, data: st.DataObject) -> None:
    rows = data.draw(patients(records))
    shuffled = PatientRows(
        patient=rows.patient,
        procedures=data.draw(st.permutations(rows.procedures)),
        conditions=data.draw(st.permutations(rows.conditions)),
        responses=data.draw(st.permutations(rows.responses)),
        adverse_events=data.draw(st.permutations(rows.adverse_events)),
    )

    first, second = cohort.assess(rows, study), cohort.assess(shuffled, study)

    assert (first.failure, first.index_resource, first.row) == (second.failure, second.index_resource, second.row)
    assert first.visits == second.visits
    by_id = [{one.event.event_id: one for one in found.events} for found in (first, second)]
    assert by_id[0] == by_id[1]


@settings(max_examples=100)
@given(data=st.data())
def test_an_assessment_agrees_with_itself(records: Any, study: StudyFile, data: st.DataObject) -> None:
    found = cohort.assess(data.draw(patients(records)), study)

    row = records.row(found, study)
    assert (row is None) is (found.failure is not None)
    if row is not None:
        for visit in study.follow_ups:
            for scale in ("physical", "psychological"):
                change, before = row[f"{scale}_change_{visit}"], row[f"{scale}_baseline"]
                after = row[f"{scale}_{visit}"]
                assert change is None or change == pytest.approx(after - before)  # type: ignore[operator]  # numbers
                assert row[f"{scale}_improved_{visit}"] is (None if change is None else change < 0)  # type: ignore[operator]  # a number
        assert set(found.visits.values()) == {visit for visit in study.visits if row[f"{visit}_date"]}
