"""Comparisons of groups against published examples and R."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from integration.statistics import groups

AT_TERM = np.array([0.80, 0.83, 1.89, 1.04, 1.45, 1.38, 1.91, 1.64, 0.73, 1.46])
EARLY = np.array([1.15, 0.88, 0.90, 0.74, 1.21])
FIRST = (np.arange(100) * 31 % 17 - 9).astype(float)
SECOND = (np.arange(70) * 29 % 19 - 7).astype(float)
CASES = {"permeability": (AT_TERM, EARLY), "modular_groups": (FIRST, SECOND)}
Examples = dict[str, dict[str, float]]


@pytest.mark.parametrize("case", CASES)
def test_mann_whitney_is_what_r_says(case: str, r_examples: Examples) -> None:
    result = groups.mann_whitney(*CASES[case])

    assert result.value == r_examples[case]["w"]
    assert result.p_value == pytest.approx(r_examples[case]["p"], rel=1e-9)


@pytest.mark.parametrize("case", CASES)
def test_location_shift_and_its_interval_are_what_r_says(case: str, r_examples: Examples) -> None:
    result = groups.location_shift(*CASES[case])

    expected = r_examples[case]
    assert result.value == pytest.approx(expected["estimate"], abs=1e-9)
    assert (result.ci_low, result.ci_high) == pytest.approx((expected["low"], expected["high"]), abs=1e-8)


def test_kruskal_wallis_is_the_published_one() -> None:
    # R's ?kruskal.test, Hollander and Wolfe.
    result = groups.kruskal_wallis(
        [np.array([2.9, 3.0, 2.5, 2.6, 3.2]), np.array([3.8, 2.7, 4.0, 2.4]), np.array([2.8, 3.4, 3.7, 2.2, 2.0])]
    )

    assert result.value == pytest.approx(0.7714286, abs=1e-7)
    assert result.p_value == pytest.approx(0.6799648, abs=1e-7)


@given(
    st.lists(st.integers(-20, 20), min_size=1, max_size=25),
    st.lists(st.integers(-20, 20), min_size=1, max_size=25),
)
def test_location_shift_is_the_median_of_all_differences(first: list[int], second: list[int]) -> None:
    left, right = np.array(first) * 1.25, np.array(second) * 1.25

    assert groups.location_shift(left, right).value == pytest.approx(np.median(np.subtract.outer(left, right)))


def test_an_empty_group_gives_the_other_ones_size_and_nothing_else() -> None:
    nobody = np.array([])

    for result in (groups.mann_whitney(AT_TERM, nobody), groups.location_shift(nobody, AT_TERM)):
        assert result.n == 10
        assert np.isnan([result.value, result.p_value]).all()
    assert np.isnan(groups.kruskal_wallis([AT_TERM, nobody]).value)
    assert groups.kruskal_wallis([]).n == 0


def test_groups_without_variance_have_no_statistic() -> None:
    same = np.zeros(8)

    assert np.isnan(groups.mann_whitney(same, same).value)
    assert np.isnan(groups.kruskal_wallis([same, same]).value)
    assert groups.location_shift(same, same).value == 0
    assert np.isnan(groups.location_shift(same, same).ci_low)


def test_the_shift_is_first_minus_second() -> None:
    assert groups.location_shift(np.array([-5.0, -6.0]), np.array([1.0, 2.0])).value == -7.0
