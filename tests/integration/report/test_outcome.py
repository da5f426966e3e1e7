"""What the tables say in words."""

from __future__ import annotations

import pandas as pd
import pytest

from integration.report import outcome
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


def test_rates_without_anybody_make_no_row() -> None:
    assert outcome.rates_table(Results(pd.DataFrame(columns=list(COLUMNS)))).is_empty
