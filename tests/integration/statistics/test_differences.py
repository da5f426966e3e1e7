"""Ties that are ties."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from integration.statistics.differences import changes, on_grid, score_step, sum_step

SCALES = {"physical": 20, "psychological": 9}
forms = st.sampled_from(sorted(SCALES)).flatmap(
    lambda scale: st.tuples(st.just(scale), *[st.integers(1, SCALES[scale])] * 2, *[st.floats(1, 5)] * 2)
)


@given(forms)
def test_a_rounded_difference_of_sums_becomes_the_exact_one(form: tuple[str, int, int, float, float]) -> None:
    scale, answered_before, answered_after, mean_before, mean_after = form
    before = Fraction(round(mean_before * answered_before) * SCALES[scale], answered_before)
    after = Fraction(round(mean_after * answered_after) * SCALES[scale], answered_after)
    rounded = round(round(float(after), 9) - round(float(before), 9), 9)

    exact = on_grid(np.array([rounded, float(after - before), -rounded]), sum_step(scale))

    assert exact[0] == exact[1] == -exact[2]
    assert exact[0] == pytest.approx(float(after - before), abs=1e-12)


@given(forms, st.sampled_from([4, 3]))
def test_a_change_of_scores_becomes_the_exact_one(form: tuple[str, int, int, float, float], span: int) -> None:
    scale, answered_before, answered_after, mean_before, mean_after = form
    before, after = (
        100 * Fraction(round((mean - 1) / 4 * span * answered), span * answered)
        for mean, answered in ((mean_before, answered_before), (mean_after, answered_after))
    )

    exact = on_grid(np.array([float(after) - float(before), float(after - before)]), score_step(scale))

    assert exact[0] == exact[1]
    assert exact[0] == pytest.approx(float(after - before), abs=1e-11)


def test_the_steps_are_the_documented_ones() -> None:
    assert sum_step("physical") == Fraction(1, 11639628)
    assert sum_step("psychological") == Fraction(1, 280)
    assert score_step("psychological") == Fraction(100, 9 * 12 * 280)


def test_who_has_no_change_is_left_out() -> None:
    cohort = pd.DataFrame(
        {
            "physical_baseline": [50.0, 40.0, 30.0],
            "physical_change_month_1": [-1.25, np.nan, 2.5],
            "physical_sum_change_month_1": [-1.0, np.nan, 2.0],
            "month_1_version": ["1", "2", "1"],
        }
    )

    found = changes(cohort, "physical", "month_1")

    assert found.has_change.tolist() == [True, False, True]
    assert found.points.tolist() == [-1.25, 2.5]
    assert found.sums.tolist() == [-1.0, 2.0]
    assert found.baseline.tolist() == [50.0, 30.0]
    assert found.versions == ("1",)
    assert not found.is_mixed
    assert found.of(np.array([False, True, True])).tolist() == [2.5]


def test_floats_lose_ties_that_the_grid_keeps() -> None:
    starts = np.arange(1, 36)
    naive = 100 * (starts + 1) / 36 - 100 * starts / 36

    assert len(np.unique(naive)) > 1
    assert len(np.unique(on_grid(naive, score_step("psychological")))) == 1
