"""What the tables say in words."""

from __future__ import annotations

from collections.abc import Callable

import pandas as pd
import pytest

from integration.report import outcome
from integration.report.inputs import ReportInputs
from integration.report.results import Results

COLUMNS = (
    "analysis", "scale", "visit", "group", "responder", "category", "statistic", "value", "ci_low", "ci_high",
    "numerator", "denominator", "denominator_kind", "n", "p_value", "p_adjusted", "method",
)  # fmt: skip


def _results(improved: int, unchanged: int, worsened: int, p_value: float) -> Results:
    total = improved + unchanged + worsened
    where = {"scale": "physical", "visit": "month_1", "denominator": total, "denominator_kind": "with_change"}
    rows = [
        {"analysis": "improvement_rate", "responder": "any_decrease", "category": category, "statistic": "rate",
         "numerator": number, "value": number / total, **where}
        for category, number in (("improved", improved), ("unchanged", unchanged), ("worsened", worsened))
    ]  # fmt: skip
    rows.append({"analysis": "change", "statistic": "median_change", "value": -1.25, "n": total, **where})
    rows.append({"analysis": "change", "statistic": "wilcoxon_w", "value": 99.0, "p_value": p_value, **where})
    return Results(pd.DataFrame(rows, columns=list(COLUMNS)))


@pytest.mark.parametrize(
    ("counts", "p_value", "said"),
    [
        ((106, 57, 76), 0.0004, "Fewer than half improved. The small P comes from falls that outweigh the rises"),
        ((159, 33, 42), 0.0004, "it does not say why"),
        ((106, 57, 76), 0.30, "No clear shift in either direction"),
    ],
)
def test_a_test_is_put_into_words_with_median_and_counts(
    counts: tuple[int, int, int], p_value: float, said: str
) -> None:
    words = outcome.in_words(_results(*counts, p_value), "physical", "month_1")

    assert said in words
    assert f"improved {counts[0]}/{sum(counts)}" in words
    assert f"worsened {counts[2]}/{sum(counts)}" in words
    assert "Median change \N{MINUS SIGN}1.3 points" in words


def _with_versions(frame: pd.DataFrame) -> pd.DataFrame:
    """Every third patient answered version 2 throughout."""
    second = frame.index % 3 == 0
    names = [f"{visit}_version" for visit in ("baseline", "month_1", "month_6")]
    return frame.assign(**{name: frame[name].mask(second & frame[name].notna(), "2") for name in names})


def test_with_both_versions_the_common_scale_stands_beside_the_primary_test(
    make_inputs: Callable[..., ReportInputs],
) -> None:
    mixed = make_inputs(60, change=_with_versions)

    table = outcome.tests_table(Results(mixed.statistics))

    heads = [column.label for column in table.columns]
    assert heads[3:] == ["P", "P, Holm", "P, 0 to 100", "P, Pratt", "P, paired t"]
    assert all(len(row) == len(heads) for body in table.bodies for row in body.rows)
    assert "1.667 in version 2" in table.note


def test_with_one_version_no_test_on_the_common_scale_is_shown(inputs: ReportInputs) -> None:
    table = outcome.tests_table(Results(inputs.statistics))

    assert "P, 0 to 100" not in [column.label for column in table.columns]
    assert "Both versions" not in table.note


def test_the_change_table_shows_the_estimate_of_all_differences(inputs: ReportInputs) -> None:
    table = outcome.change_table(Results(inputs.statistics))
    frame = inputs.statistics.query("statistic == 'hodges_lehmann_all_0_100'")

    rows = [row for body in table.bodies for row in body.rows]
    shown = [row[4].split(" [")[0].replace("\N{MINUS SIGN}", "-") for row in rows]
    assert [float(cell) for cell in shown] == pytest.approx(frame["value"].tolist(), abs=0.0500001)
    assert [row[1] for row in rows] == [str(number) for number in frame["n"]]
    assert "those of zero kept" in table.note
    assert "SD of the baseline of those with a change score" in table.note


def test_rates_without_anybody_make_no_row() -> None:
    assert outcome.rates_table(Results(pd.DataFrame(columns=list(COLUMNS)))).is_empty
