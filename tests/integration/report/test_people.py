"""Flow, denominators and the baseline table."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pandas as pd
import pytest

from integration.report import people
from integration.report.inputs import ReportInputs

Make = Callable[..., ReportInputs]


def test_the_flow_leads_from_the_patients_to_the_cohort(inputs: ReportInputs) -> None:
    steps = people.flow_steps(inputs)

    assert [step.count for step in steps] == [300, 282, 273, 259]
    assert [step.excluded for step in steps] == [18, 9, 14, 0]
    assert steps[2].label == "Treated, with multiple sclerosis"
    assert people.flow_check(inputs) == (
        True,
        "300 patients in the data, 41 excluded, 259 in the cohort: the numbers add up.",
    )


@pytest.mark.parametrize(
    "flow",
    [
        {"excluded": [18, 9, 13]},
        {"patients_in": [300, 281, 273]},
    ],
)
def test_a_flow_whose_numbers_do_not_agree_is_found(inputs: ReportInputs, flow: dict[str, list[int]]) -> None:
    assert not people.flow_check(replace(inputs, flow=inputs.flow.assign(**flow)))[0]


def test_a_criterion_of_the_site_is_named_as_it_is(inputs: ReportInputs) -> None:
    flow = inputs.flow.assign(criterion=["venoplasty", "mri_first", "baseline"])

    steps = people.flow_steps(replace(inputs, flow=flow))

    assert (steps[1].reason, steps[2].label) == ("mri_first", "Passed: mri_first")


def test_the_three_denominators_are_counted_apart() -> None:
    cohort = pd.DataFrame(
        {
            "month_1_date": ["2012-01-01", "2012-01-02", None, ""],
            "physical_change_month_1": [-1.0, float("nan"), float("nan"), float("nan")],
            "psychological_change_month_1": [-1.0, 2.0, float("nan"), float("nan")],
        }
    )

    (counts,) = people.visit_counts(cohort)

    assert (counts.cohort, counts.seen, counts.with_change) == (4, 2, (("physical", 1), ("psychological", 2)))


def test_a_change_that_only_rounding_keeps_from_zero_is_no_change() -> None:
    cohort = pd.DataFrame({"physical_change_month_1": [4.4e-15, -1.25, None]})

    assert people.changes(cohort, "physical", "month_1").tolist() == [0.0, -1.25]


def test_the_baseline_table_gives_n_mean_sd_median_and_iqr(make_inputs: Make) -> None:
    ages = [40.0, 50.0, 60.0, 70.0, None]
    inputs = make_inputs(40, change=lambda frame: frame.iloc[:5].assign(age_at_procedure=ages))

    table = people.baseline_table(inputs)

    rows = next(body.rows for body in table.bodies if body.label.startswith("Age"))
    # R: mean(c(40,50,60,70)) 55, sd 12.90994, quantile type 7: 47.5 and 62.5
    assert [row[:2] for row in rows] == [
        ("n", "4"),
        ("Mean (SD)", "55.0 (12.9)"),
        ("Median (IQR)", "55.0 (47.5 to 62.5)"),
    ]


def test_every_category_adds_up_to_its_column_and_unknown_ones_are_kept(make_inputs: Make) -> None:
    inputs = make_inputs(40, change=lambda frame: frame.assign(sex=["other", None, *frame["sex"][2:]]))

    table = people.baseline_table(inputs)

    rows = next(body.rows for body in table.bodies if body.label.startswith("Sex"))
    assert [row[0] for row in rows] == ["Women", "Men", "other", "not recorded"]
    assert sum(int(row[1].split(" ")[0]) for row in rows) == 40


def test_four_sites_are_counted_with_three_or_more(make_inputs: Make) -> None:
    inputs = make_inputs(40, change=lambda frame: frame.iloc[:4].assign(vein_sites=[1, 3, 4, 4]))

    table = people.baseline_table(inputs)

    rows = next(body.rows for body in table.bodies if body.label.startswith("Vein"))
    assert [row[:2] for row in rows] == [
        ("1 site", "1 (25.0\N{NO-BREAK SPACE}%)"),
        ("3 sites or more", "3 (75.0\N{NO-BREAK SPACE}%)"),
    ]
