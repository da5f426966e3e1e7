"""What is missing is counted."""

from __future__ import annotations

from dataclasses import replace

import pandas as pd

from integration.report import missing
from integration.report.inputs import ReportInputs

NBSP = "\N{NO-BREAK SPACE}"


def test_every_patient_is_in_one_combination_of_visits(inputs: ReportInputs) -> None:
    rows = missing.visits_table(inputs).bodies[0].rows

    assert [row[0] for row in rows] == [
        "Baseline and 1 month and 6 months",
        "Baseline and 1 month",
        "Baseline and 6 months",
        "Baseline only",
    ]
    assert sum(int(row[1].split("/")[0]) for row in rows) == 259


def test_missing_items_are_counted_among_the_items_of_those_seen(inputs: ReportInputs) -> None:
    cohort = pd.DataFrame(
        {
            "baseline_date": ["2012-01-01"] * 4,
            "physical_baseline": [50.0, 40.0, None, None],
            "physical_answered_baseline": [20, 15, 4, None],
        }
    )

    body = missing.items_table(replace(inputs, cohort=cohort)).bodies[0]

    # 80 items asked; 0 + 5 + 16 + 20 missing
    expected = (
        "Baseline",
        "4",
        f"1/4 (25.0{NBSP}%)",
        f"1/4 (25.0{NBSP}%)",
        f"2/4 (50.0{NBSP}%)",
        f"41/80 (51.3{NBSP}%)",
    )
    assert body.rows == (expected,)


def test_every_response_without_a_score_has_its_reason_counted(inputs: ReportInputs) -> None:
    table = missing.reasons_table(inputs)

    assert table.bodies[0].rows == (("status is not completed or amended", "2"), ("several answers to one item", "1"))
    assert table.note.startswith("6 responses were scored")
    assert "of 9 in the data" in table.caption


def test_reasons_that_are_missing_values_mean_scored(inputs: ReportInputs) -> None:
    responses = pd.DataFrame({"reason": [None, float("nan")]})

    table = missing.reasons_table(replace(inputs, responses=responses))

    assert table.is_empty
    assert table.empty == "Every response has a score."
