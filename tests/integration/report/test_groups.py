"""Subgroups: every number from the statistics, the questions of the abstract before the exploratory ones."""

from __future__ import annotations

from integration.report import groups
from integration.report.inputs import ReportInputs
from integration.report.results import Results


def test_every_group_with_a_change_has_its_n_and_rate(inputs: ReportInputs) -> None:
    frame = inputs.statistics.query("analysis == 'sex' and statistic == 'rate'")

    sex, _, _ = groups.group_tables(Results(inputs.statistics))

    rows = [row for body in sex.bodies for row in body.rows]
    assert [row[1] for row in rows] == [str(number) for number in frame["denominator"]]
    assert [row[4].split(" ")[0] for row in rows] == [
        f"{row.numerator}/{row.denominator}" for row in frame.itertuples()
    ]


QUESTION = " (question of the abstract, not adjusted)"


def test_what_the_abstract_reports_is_called_its_question_and_all_else_exploratory(inputs: ReportInputs) -> None:
    sex, ms_type, vein_sites = groups.group_tables(Results(inputs.statistics))

    asked = [
        [body.label.removesuffix(QUESTION) for body in one.bodies if body.label.endswith(QUESTION)]
        for one in (sex, ms_type, vein_sites)
    ]
    assert asked == [["Physical, 6 months"], ["Psychological, 1 month"], ["Physical, 1 month", "Physical, 6 months"]]
    others = [body.label for one in (sex, ms_type, vein_sites) for body in one.bodies if QUESTION not in body.label]
    assert len(others) == 8
    assert all(label.endswith(" (exploratory)") for label in others)


def test_headings_agree_with_the_methods_of_the_statistics(inputs: ReportInputs) -> None:
    of_groups = inputs.statistics[inputs.statistics["analysis"].isin(groups.PRIMARY)]
    asked = of_groups[of_groups["method"].str.contains(groups.QUESTION, regex=False)]

    assert set(asked[["analysis", "scale", "visit"]].itertuples(index=False, name=None)) == {
        (analysis, scale, visit) for analysis, cells in groups.PRIMARY.items() for scale, visit in cells
    }


def test_pairs_beside_the_question_on_types_are_marked_exploratory(inputs: ReportInputs) -> None:
    _, ms_type, _ = groups.comparison_tables(Results(inputs.statistics))

    names = [row[0] for row in ms_type.bodies[0].rows if row[0].startswith("Mann-Whitney")]

    assert names == [
        "Mann-Whitney, W: Relapsing-remitting vs Secondary progressive (exploratory)",
        "Mann-Whitney, W: Relapsing-remitting vs Primary progressive",
        "Mann-Whitney, W: Secondary progressive vs Primary progressive (exploratory)",
    ]


def test_asked_and_other_comparisons_share_no_question_and_leave_none_out(inputs: ReportInputs) -> None:
    results = Results(inputs.statistics)

    pairs = zip(groups.comparison_tables(results), groups.other_comparison_tables(results), strict=True)

    for asked, others in pairs:
        labels = [body.label.split(" (")[0] for one in (asked, others) for body in one.bodies]
        assert sorted(labels) == sorted(
            ["Physical, 1 month", "Physical, 6 months", "Psychological, 1 month", "Psychological, 6 months"]
        )


def test_the_forest_says_each_groups_mean_and_interval_in_words(inputs: ReportInputs) -> None:
    women = inputs.statistics.query(
        "analysis == 'sex' and scale == 'physical' and visit == 'month_1' and group == 'female' "
        "and statistic == 'mean_change'"
    ).iloc[0]

    said = groups.forest_figures(Results(inputs.statistics))[0].alternative.replace("\N{MINUS SIGN}", "-")

    expected = f"Women, n {women['n']}: {women['value']:.1f} ({women['ci_low']:.1f} to {women['ci_high']:.1f})"
    assert expected in said
