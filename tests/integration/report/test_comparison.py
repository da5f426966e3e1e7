"""The summary and the abstract's figures beside this data's."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from integration import report
from integration.evidence import Published, Selector
from integration.report import comparison
from integration.report.inputs import ReportInputs
from integration.report.results import Results


def _shown(inputs: ReportInputs, *beside: Selector) -> tuple[tuple[str, str], ...]:
    published = (Published(label="", value="", source="", beside=beside),)
    return comparison.compared(replace(inputs, published=published), Results(inputs.statistics))[0].figures


def test_a_rate_stands_with_its_numerator_denominator_and_interval(inputs: ReportInputs) -> None:
    key = Selector(analysis="stent", statistic="rate", visit="month_6", denominator_kind="seen")
    row = inputs.statistics.query("analysis == 'stent' and statistic == 'rate' and denominator_kind == 'seen'").iloc[0]

    ((what, value),) = _shown(inputs, key)

    assert what == "venous stent, 6 months, of those seen at the visit"
    low, high = (f"{100 * row[name]:.1f}" for name in ("ci_low", "ci_high"))
    assert value.startswith(f"{row['numerator']}/{row['denominator']} (")
    assert value.endswith(f"95 % CI {low} to {high}\N{NO-BREAK SPACE}%")


def test_a_test_stands_with_both_p_values_and_an_estimate_with_its_interval(inputs: ReportInputs) -> None:
    where = {"analysis": "ms_type", "scale": "psychological", "visit": "month_1", "group": "RRMS vs PPMS"}

    (what, test), (_, shift) = _shown(
        inputs,
        Selector(**where, statistic="mann_whitney_u"),
        Selector(**where, statistic="hodges_lehmann_shift"),
    )

    assert what == "Relapsing-remitting vs Primary progressive: Mann-Whitney, Psychological, 1 month"
    assert "P " in test
    assert "after Holm" in test
    assert shift.endswith("] points")


def test_the_size_of_the_cohort_can_stand_beside_a_published_number(inputs: ReportInputs) -> None:
    assert _shown(inputs, Selector(analysis="cohort")) == (("cohort", "259 patients"),)


def test_a_cohort_of_one_is_one_patient(inputs: ReportInputs) -> None:
    alone = replace(inputs, cohort=inputs.cohort.head(1))

    assert _shown(alone, Selector(analysis="cohort")) == (("cohort", "1 patient"),)
    assert comparison.headlines(alone, Results(inputs.statistics))[0].answer == "1 patient"


def test_points_that_are_not_estimated_have_no_unit(inputs: ReportInputs) -> None:
    changes = inputs.statistics["statistic"] == "median_change"
    bare = inputs.statistics.copy()
    bare.loc[changes, ["value", "ci_low", "ci_high"]] = None
    unknown = replace(inputs, statistics=bare)
    key = Selector(analysis="change", scale="physical", visit="month_1", statistic="median_change")

    ((_, value),) = _shown(unknown, key)

    assert value == "not estimated"
    details = [line.detail for line in comparison.headlines(unknown, Results(bare))]
    assert sum("Median change not estimated. Worsened" in detail for detail in details) == 4


def test_a_figure_that_the_statistics_do_not_have_is_not_estimated(inputs: ReportInputs) -> None:
    ((_, value),) = _shown(inputs, Selector(analysis="stent", statistic="unheard of"))

    assert value == "not estimated"


def test_the_summary_answers_each_question_with_its_denominator(inputs: ReportInputs) -> None:
    lines = comparison.headlines(inputs, Results(inputs.statistics))

    assert [line.question for line in lines] == [
        "Followed",
        "Lower (better) physical score at 1 month",
        "Lower (better) physical score at 6 months",
        "Lower (better) psychological score at 1 month",
        "Lower (better) psychological score at 6 months",
        "Treated again",
        "Adverse event coded serious",
    ]
    assert all("/" in line.detail for line in lines)
    assert all("95 % CI" in line.detail and "Worsened" in line.detail for line in lines[1:5])


def test_a_study_with_other_visits_is_reported_by_their_names(make_inputs: Callable[..., ReportInputs]) -> None:
    inputs = make_inputs(40)
    renamed = replace(
        inputs,
        cohort=inputs.cohort.rename(
            columns=lambda name: name.replace("month_1", "week_4").replace("month_6", "year_1")
        ),
        statistics=inputs.statistics.replace({"visit": {"month_1": "week_4", "month_6": "year_1"}}),
    )

    page = report.write(renamed)

    assert "Physical, 4 weeks" in page
    assert "Seen at 1 year" in page
    assert "6 months only" not in page
