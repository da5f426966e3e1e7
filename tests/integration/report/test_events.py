"""Retreatment, stents and adverse events."""

from __future__ import annotations

from dataclasses import replace

import pandas as pd

from integration.report import charts, events
from integration.report.inputs import ReportInputs
from integration.report.results import Results

CURVE = pd.DataFrame(
    {
        "days": [0.0, 50.0, 100.0, 200.0, 210.0],
        "at_risk": [100, 99, 97, 20, 5],
        "events": [0, 1, 1, 0, 5],
        "censored": [1, 1, 76, 15, 0],
        "survival": [1.0, 0.99, 0.98, 0.98, 0.0],
        "ci_low": [float("nan"), 0.95, 0.93, 0.93, float("nan")],
        "ci_high": [float("nan"), 0.999, 0.99, 0.99, float("nan")],
    }
)


def test_at_risk_is_who_is_followed_to_that_day_or_longer() -> None:
    assert [charts.at_risk(CURVE, day) for day in (0, 50, 51, 200, 211)] == [100, 99, 97, 20, 0]


def test_the_curve_ends_where_fewer_than_one_in_ten_are_followed(inputs: ReportInputs) -> None:
    drawing = events.curve_figure(replace(inputs, retreatment_curve=CURVE))

    assert drawing is not None
    assert "over 200 days: 2 retreated" in drawing.alternative
    assert "100 at day 0" in drawing.alternative


def test_no_curve_is_drawn_where_nobody_was_followed(inputs: ReportInputs) -> None:
    assert events.curve_figure(replace(inputs, retreatment_curve=CURVE.iloc[:0])) is None
    assert events.curve_figure(replace(inputs, retreatment_curve=CURVE.iloc[:1])) is None


def test_retreatment_is_counted_among_the_cohort_and_among_those_seen(inputs: ReportInputs) -> None:
    results = Results(inputs.statistics)
    frame = inputs.statistics.query("analysis == 'retreatment' and statistic == 'rate'")

    body = events.retreatment_table(results).bodies[0]

    assert [row[0] for row in body.rows] == ["Patients of the cohort", "Patients seen at 6 months"]
    assert [row[1] for row in body.rows] == [f"{row.numerator}/{row.denominator}" for row in frame.itertuples()]


def test_estimates_after_the_last_visits_window_are_marked_as_too_high(inputs: ReportInputs) -> None:
    frame = inputs.statistics.copy()
    frame.loc[frame["statistic"].str.startswith("km_retreated"), ["value", "n"]] = [0.05, 100]

    rows = events.retreatment_table(Results(frame), last_window_day=183).bodies[2].rows

    assert [row[0] for row in rows] == [
        "Day 30 (100 at risk)",
        "Day 91 (100 at risk)",
        "Day 183 (100 at risk)",
        "Day 365 (100 at risk), beyond the last planned visit: too high",
    ]


def test_what_counts_sessions_is_said_to_be_among_sessions(inputs: ReportInputs) -> None:
    rows = events.retreatment_table(Results(inputs.statistics)).bodies[-1].rows

    assert [row[0] for row in rows] == ["Sessions of the cohort"]


def test_events_are_listed_by_code_with_system_and_label(inputs: ReportInputs) -> None:
    labelled = replace(inputs, code_labels={"128053003": "Deep venous thrombosis"})

    (row,) = events.event_kinds_table(labelled).bodies[0].rows

    assert row == ("Deep venous thrombosis (SNOMED CT 128053003)", "serious", "moderate", "resolved", "1", "1", "3")


def test_events_outside_the_cohort_are_told_but_not_listed(inputs: ReportInputs) -> None:
    one = inputs.adverse_events
    foreign = pd.concat([one, one.assign(patient_id="elsewhere", code="R55")], ignore_index=True)

    table = events.event_kinds_table(replace(inputs, adverse_events=foreign))

    assert len(table.bodies[0].rows) == 1
    assert "1 event of treated patients outside the cohort not shown" in table.note


def test_events_without_details_say_so(inputs: ReportInputs) -> None:
    bare = inputs.adverse_events.assign(
        code="", code_system="", severity=None, outcome="", days_from_procedure=float("nan")
    )

    (row,) = events.event_kinds_table(replace(inputs, adverse_events=bare)).bodies[0].rows

    assert row == ("no code", "serious", "not recorded", "not recorded", "1", "1", "not estimated")
