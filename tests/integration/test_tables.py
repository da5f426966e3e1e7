from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pandas as pd
import pytest

from integration import cohort, tables
from integration.cohort import Assessment
from integration.intake import Intake
from integration.mapping import Mapping

Read = Callable[..., Intake]

COHORT_COLUMNS = {
    "patient_id", "sex", "age_at_procedure", "ms_type", "procedure_date", "vein_sites", "stent", "imaging_before",
    "retreated", "retreatment_days", "serious_adverse_event",
    *(f"{visit}_date" for visit in ("baseline", "month_1", "month_6")),
    *(f"{scale}_{visit}" for scale in ("physical", "psychological") for visit in ("baseline", "month_1", "month_6")),
    *(
        f"{scale}_{what}_{visit}"
        for scale in ("physical", "psychological")
        for what in ("change", "improved")
        for visit in ("month_1", "month_6")
    ),
}  # fmt: skip


@pytest.fixture(scope="module")
def found(read: Read, fhir: Any) -> Intake:
    """Three patients: b in the cohort with an event, a without MS, c without anything."""

    def of(who: str) -> dict[str, Any]:
        return {"subject": {"reference": f"Patient/{who}"}}

    return read(
        fhir.patient("b", birthDate="1970"), fhir.patient("a"), fhir.patient("c", gender=None),
        fhir.condition(**of("b")),
        fhir.procedure("xb", **of("b")), fhir.procedure("xa", **of("a")),
        fhir.response("r2", authored="2011-06-09", item=fhir.items([2] * 20), **of("b")),
        fhir.response("r1", **of("b")), fhir.response("r3", **of("b"), authored="2011-06-30"),
        fhir.response("r0", **of("a"), item=fhir.items(_1=[{"valueInteger": 9}])),
        fhir.response("r9", **of("nobody")), fhir.response("r8", **of("b"), authored="2011"),
        fhir.event("e1", **of("b")), fhir.event("e0", **of("a"), date="2011-05-10"), fhir.event("e2", **of("c")),
        b"{",
    )  # fmt: skip


@pytest.fixture(scope="module")
def assessments(found: Intake, default_mapping: Mapping) -> list[Assessment]:
    return [cohort.assess(rows, default_mapping.study) for rows in found.patients.values()]


def records(frame: pd.DataFrame, *columns: str) -> list[tuple[Any, ...]]:
    return [
        tuple(None if pd.isna(cell) else cell for cell in row) for row in frame[list(columns)].itertuples(index=False)
    ]


# cohort


def test_the_cohort_has_the_columns_of_the_contract(assessments: list[Assessment], default_mapping: Mapping) -> None:
    assert set(tables.cohort(assessments, default_mapping.study).columns) >= COHORT_COLUMNS


def test_the_cohort_has_one_row_a_patient_in_it(assessments: list[Assessment], default_mapping: Mapping) -> None:
    frame = tables.cohort(assessments, default_mapping.study)

    columns = (
        "patient_id",
        "age_at_procedure",
        "physical_month_1",
        "psychological_month_1",
        "physical_improved_month_1",
    )
    assert records(frame, *columns) == [("b", None, 25.0, None, True)]


def test_an_empty_cohort_has_the_same_columns_and_types(
    assessments: list[Assessment], default_mapping: Mapping
) -> None:
    nobody = tables.cohort([one for one in assessments if one.failure], default_mapping.study)
    somebody = tables.cohort(assessments, default_mapping.study)

    assert len(nobody) == 0
    assert list(nobody.columns) == list(somebody.columns)
    numbers = [name for name in somebody.columns if name.startswith(("physical_", "psychological_"))]
    assert nobody[numbers].dtypes.equals(somebody[numbers].dtypes)


def test_whole_numbers_stay_whole_beside_missing_ones(assessments: list[Assessment], default_mapping: Mapping) -> None:
    frame = tables.cohort(assessments, default_mapping.study)

    whole = ["age_at_procedure", "retreatment_days", "physical_answered_baseline", "psychological_answered_month_6"]
    assert [str(frame[name].dtype) for name in whole] == ["Int64"] * 4


# patients and flow


def test_every_patient_has_a_row_with_its_criterion_and_what_decided_it(assessments: list[Assessment]) -> None:
    frame = tables.patients(assessments)

    assert records(frame, *tables.PATIENT_COLUMNS) == [
        ("a", False, "multiple_sclerosis", "no Condition coded as multiple sclerosis", ""),
        ("b", True, None, None, "Procedure/xb"),
        ("c", False, "venoplasty", "no venoplasty or venous stent", ""),
    ]


def test_the_flow_adds_up(assessments: list[Assessment], default_mapping: Mapping) -> None:
    frame = tables.flow(assessments, default_mapping.study)

    assert records(frame, *tables.FLOW_COLUMNS) == [
        (1, "venoplasty", 3, 1, 2), (2, "multiple_sclerosis", 2, 1, 1), (3, "baseline", 1, 0, 1),
    ]  # fmt: skip


def test_the_flow_of_nobody_is_all_zero(default_mapping: Mapping) -> None:
    frame = tables.flow([], default_mapping.study)

    assert frame[["patients_in", "excluded", "patients_out"]].to_numpy().sum() == 0
    assert len(frame) == 3


# responses


def test_every_response_has_a_row_and_only_the_chosen_ones_a_visit(
    found: Intake, assessments: list[Assessment]
) -> None:
    frame = tables.responses(found.responses, assessments)

    assert records(frame, "response_id", "patient_id", "visit", "reason") == [
        ("r0", "a", None, "answer out of range"), ("r1", "b", "baseline", None), ("r2", "b", "month_1", None),
        ("r3", "b", None, None), ("r8", "b", None, "partial date"), ("r9", "nobody", None, "unknown patient"),
    ]  # fmt: skip


def test_a_form_that_is_not_mapped_is_named(read: Read, fhir: Any) -> None:
    unmapped = "http://hospital.example/msis29|2"
    found = read(
        fhir.patient(), fhir.response("a", questionnaire=unmapped), fhir.response("b", questionnaire=None),
        fhir.response("c", questionnaire=unmapped, modifierExtension=[{"url": "urn:m", "valueBoolean": True}]),
    )  # fmt: skip

    frame = tables.responses(found.responses, [])

    assert records(frame, "response_id", "questionnaire", "reason") == [
        ("a", unmapped, "not msis-29"), ("b", None, "not msis-29"), ("c", unmapped, "rejected"),
    ]  # fmt: skip


def test_raw_sums_are_those_of_the_answered_items(found: Intake, assessments: list[Assessment]) -> None:
    frame = tables.responses(found.responses, assessments).set_index("response_id")

    assert records(frame.loc[["r2"]], "physical_answered", "physical_raw", "physical_score") == [(20, 40, 25.0)]
    assert records(frame.loc[["r2"]], "psychological_answered", "psychological_raw", "psychological_score") == [
        (0, 0, None)
    ]
    assert records(frame.loc[["r0"]], "physical_answered", "physical_raw", "physical_score") == [(None, None, None)]


def test_reasons_are_counted_to_the_last_response(found: Intake) -> None:
    reasons = tables.response_reasons(found.responses)

    assert reasons == {"answer out of range": 1, "partial date": 1, "scored": 3, "unknown patient": 1}
    assert sum(reasons.values()) == len(found.responses)
    assert tables.response_reasons([]) == {}


# adverse events and rejections


def test_counted_events_of_anybody_with_a_session_have_a_row(assessments: list[Assessment]) -> None:
    frame = tables.adverse_events(assessments)

    columns = ("patient_id", "resource", "code", "date", "days_from_procedure", "linked_by")
    assert records(frame, *columns) == [
        ("a", "AdverseEvent/e0", "128053003", "2011-05-10", 0, "date"),
        ("b", "AdverseEvent/e1", "128053003", "2011-05-13", 3, "date"),
    ]


def test_rejections_have_the_columns_of_the_contract(found: Intake) -> None:
    frame = tables.rejected(found)

    assert list(frame.columns) == ["file", "line", "resource", "path", "problem"]
    assert records(frame, "line", "resource", "problem") == [
        (11, "QuestionnaireResponse/r9", "unknown patient"), (12, "QuestionnaireResponse/r8", "partial date"),
        (16, "", "not JSON"),
    ]  # fmt: skip


@pytest.mark.parametrize("columns", [("patient_id", "resource"), tuple(tables.EVENT_COLUMNS)])
def test_tables_without_rows_keep_their_columns(columns: tuple[str, ...]) -> None:
    assert set(tables.adverse_events([]).columns) >= set(columns)
    assert list(tables.patients([]).columns) == list(tables.PATIENT_COLUMNS)
    assert list(tables.responses([], []).columns) == list(tables.RESPONSE_COLUMNS)
