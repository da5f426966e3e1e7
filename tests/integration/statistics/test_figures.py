"""Rows, their frame, and Holm."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from statsmodels.stats.multitest import multipletests

from integration.statistics.estimate import Estimate
from integration.statistics.figures import COLUMNS, Figure, frame, holm, share


def with_p(p_value: float) -> Figure:
    return Figure(analysis="change", statistic="wilcoxon_w", method="", estimate=Estimate(p_value=p_value))


def adjusted(*p_values: float) -> list[float]:
    return [figure.p_adjusted for figure in holm([with_p(p_value) for p_value in p_values])]


def test_holm_is_what_r_says(r_examples: dict[str, dict[str, float]]) -> None:
    expected = r_examples["holm"]

    assert adjusted(0.01, 0.02, 0.03, 0.04, 0.05) == pytest.approx([expected[f"p{i}"] for i in range(1, 6)])
    assert adjusted(0.01, 0.02, 0.03, 0.04, 0.05) == pytest.approx([0.05, 0.08, 0.09, 0.09, 0.09])


def test_holm_passes_over_a_missing_p_value(r_examples: dict[str, dict[str, float]]) -> None:
    expected = r_examples["holm_missing"]
    found = adjusted(0.04, 0.001, np.nan, 0.03)

    assert found[:2] + found[3:] == pytest.approx([expected["p1"], expected["p2"], expected["p4"]])
    assert np.isnan(found[2])


@pytest.mark.parametrize("p_values", [(0.5,), (0.0, 1.0), (0.04, 0.04, 0.001), (0.3, 0.01, 0.9, 0.02, 0.02, 0.6)])
def test_holm_is_what_statsmodels_says(p_values: tuple[float, ...]) -> None:
    assert adjusted(*p_values) == pytest.approx(list(multipletests(p_values, method="holm")[1]))


def test_a_frame_of_nothing_has_its_columns() -> None:
    table = frame([])

    assert tuple(table.columns) == COLUMNS
    assert table.empty


def test_missing_counts_are_na_and_missing_numbers_nan() -> None:
    table = frame([with_p(0.5)])

    assert table["numerator"].dtype == table["n"].dtype == pd.Int64Dtype()
    assert pd.isna(table.loc[0, "numerator"])
    assert table["value"].dtype == np.float64
    assert table.loc[0, "group"] == ""


def test_a_share_keeps_what_it_is_of() -> None:
    template = Figure(analysis="stent", statistic="rate", method="", denominator_kind="seen")

    figure = share(template, events=6, total=239, confidence=0.95)

    assert (figure.numerator, figure.denominator, figure.denominator_kind) == (6, 239, "seen")
    assert figure.estimate.value == 6 / 239
