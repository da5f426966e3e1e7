"""The Jonckheere-Terpstra test against a textbook, every assignment, and the test it generalises."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from integration.statistics.trend import jonckheere_terpstra

NONE = np.array([40, 35, 38, 43, 44, 41], dtype=float)
ROUGH = np.array([38, 40, 47, 44, 40, 42], dtype=float)
ACCURATE = np.array([48, 40, 45, 43, 46, 44], dtype=float)
Examples = dict[str, dict[str, float]]


def test_textbook_example() -> None:
    # Hollander and Wolfe, Example 6.2: J = 79, variance 150.29, large-sample statistic 2.04, upper P .0207.
    trend = jonckheere_terpstra([NONE, ROUGH, ACCURATE])

    assert trend.j == 79
    assert trend.z == pytest.approx(25 / np.sqrt(150.29), abs=1e-4)
    assert trend.p_value / 2 == pytest.approx(0.0207, abs=5e-5)


def test_r_counts_and_computes_the_same(r_examples: Examples) -> None:
    trend = jonckheere_terpstra([NONE, ROUGH, ACCURATE])

    assert trend.j == r_examples["knowledge"]["j"]
    assert trend.z == pytest.approx(r_examples["knowledge"]["z"], rel=1e-12)
    assert trend.p_value == pytest.approx(r_examples["knowledge"]["p"], rel=1e-10)


def test_the_tie_corrected_variance_is_that_of_every_assignment(r_examples: Examples) -> None:
    # All 1,260 ways of giving nine numbers with ties to groups of 2, 3 and 4, enumerated in R.
    every = r_examples["every_assignment"]
    trend = jonckheere_terpstra([np.array([1.0, 1.0]), np.array([2.0, 2.0, 2.0]), np.array([3.0, 4.0, 4.0, 5.0])])

    assert every["assignments"] == 1260
    assert trend.j == every["j"]
    assert trend.z == pytest.approx((every["j"] - every["mean"]) / np.sqrt(every["var"]), rel=1e-12)


def test_two_groups_are_the_mann_whitney_test_without_correction(r_examples: Examples) -> None:
    first = (np.arange(100) * 31 % 17 - 9).astype(float)
    second = (np.arange(70) * 29 % 19 - 7).astype(float)

    trend = jonckheere_terpstra([first, second])

    assert trend.j == r_examples["two_groups"]["j"]
    assert trend.p_value == pytest.approx(r_examples["two_groups"]["p"], rel=1e-9)


@given(st.lists(st.lists(st.integers(0, 6), max_size=8), min_size=2, max_size=4))
def test_j_is_the_count_of_pairs(samples: list[list[int]]) -> None:
    trend = jonckheere_terpstra([np.array(sample, dtype=float) for sample in samples])

    pairs = [(u, v) for i, first in enumerate(samples) for second in samples[i + 1 :] for u in first for v in second]
    if np.isnan(trend.j):
        values = [value for sample in samples for value in sample]
        assert len(set(values)) < 2 or sum(1 for sample in samples if sample) < 2
    else:
        assert trend.j == sum((v > u) + (v == u) / 2 for u, v in pairs)


def test_falling_numbers_have_a_negative_z() -> None:
    samples = [np.array([5.0, 6.0]), np.array([3.0, 4.0]), np.array([1.0, 2.0])]

    assert jonckheere_terpstra(samples).z < 0
    assert jonckheere_terpstra(samples[::-1]).z > 0


def test_empty_groups_are_passed_over() -> None:
    nobody = np.array([])

    assert jonckheere_terpstra([NONE, nobody, ROUGH, ACCURATE]) == jonckheere_terpstra([NONE, ROUGH, ACCURATE])
    assert np.isnan(jonckheere_terpstra([NONE, nobody]).j)
    assert jonckheere_terpstra([]).n == 0


def test_equal_numbers_have_no_trend() -> None:
    assert np.isnan(jonckheere_terpstra([np.ones(3), np.ones(4)]).j)
