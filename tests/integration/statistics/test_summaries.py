"""Distributions and the baseline table."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from integration.statistics import AnalysisPlan, baseline, scores
from integration.statistics.summaries import DISTRIBUTION, distribution


def test_distributions_are_what_r_says(cohort: pd.DataFrame, oracles: Path) -> None:
    expected = pd.read_csv(oracles / "statistics_scores.csv")

    found = scores(cohort, AnalysisPlan())

    pd.testing.assert_frame_equal(found, expected, check_dtype=False, rtol=1e-9)


def test_categories_add_up_in_every_group(cohort: pd.DataFrame) -> None:
    table = baseline(cohort, AnalysisPlan())

    categories = table[table["characteristic"].isin(("sex", "ms_type", "vein_sites"))]
    sums = categories.groupby(["characteristic", "group"])[["n", "share"]].sum()
    denominators = categories.groupby(["characteristic", "group"])["denominator"].first()
    assert (sums["n"] == denominators).all()
    np.testing.assert_allclose(sums["share"].to_numpy(dtype=float), 1.0)


def test_those_seen_and_not_seen_are_the_cohort(cohort: pd.DataFrame) -> None:
    table = baseline(cohort, AnalysisPlan())
    women = table[table["level"] == "female"].set_index("group")

    for count in ("n", "denominator"):
        assert women.loc["seen", count] + women.loc["not_seen", count] == women.loc["all", count]
    assert women.loc["all", "denominator"] == 240


def test_baseline_scores_are_described_in_each_group(cohort: pd.DataFrame) -> None:
    table = baseline(cohort, AnalysisPlan())
    row = table[(table["characteristic"] == "physical_baseline") & (table["group"] == "not_seen")].iloc[0]

    left = cohort.loc[cohort["month_6_date"].isna(), "physical_baseline"]
    assert row["mean"] == pytest.approx(left.mean())
    assert row["n"] == left.notna().sum()


def test_an_empty_sample_has_only_its_size() -> None:
    empty = distribution(np.array([np.nan]))

    assert empty["n"] == 0
    assert all(np.isnan(empty[name]) for name in DISTRIBUTION[1:])


def test_one_number_has_no_deviation() -> None:
    assert np.isnan(distribution(np.array([3.0]))["sd"])
