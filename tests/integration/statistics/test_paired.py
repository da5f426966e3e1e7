"""Paired tests against published examples and R (`tests/oracles/statistics.R`)."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from integration.statistics import paired
from integration.statistics.estimate import Estimate, FloatArray

MAIZE = np.array([6, 8, 14, 16, 23, 24, 28, 29, 41, -48, 49, 56, 60, -67, 75], dtype=float)
SLEEP = np.array([-1.2, -2.4, -1.3, -1.3, 0.0, -1.0, -1.8, -0.8, -4.6, -1.4])
DEPRESSION = np.array([0.952, -0.147, 1.022, 0.43, 0.62, 0.59, 0.49, -0.08, 0.01])
MODULAR = (np.arange(200) * 37 % 23 - 13).astype(float)
CASES = {"maize": MAIZE, "sleep": SLEEP, "depression": DEPRESSION, "modular": MODULAR}
Examples = dict[str, dict[str, float]]


@pytest.mark.parametrize("case", CASES)
def test_signed_rank_is_what_r_says(case: str, r_examples: Examples) -> None:
    result = paired.signed_rank(CASES[case])

    assert result.value == r_examples[case]["v"]
    assert result.p_value == pytest.approx(r_examples[case]["p"], rel=1e-9)
    assert result.n == np.count_nonzero(CASES[case])


@pytest.mark.parametrize("case", ["maize", "sleep", "modular"])
def test_pratt_is_what_the_formula_says_in_r(case: str, r_examples: Examples) -> None:
    result = paired.signed_rank(CASES[case], zeros="pratt")

    assert result.value == r_examples[case]["pratt_v"]
    assert result.p_value == pytest.approx(r_examples[case]["pratt_p"], rel=1e-9)


@pytest.mark.parametrize("case", CASES)
def test_hodges_lehmann_and_its_interval_are_what_r_says(case: str, r_examples: Examples) -> None:
    result = paired.hodges_lehmann(CASES[case])

    expected = r_examples[case]
    assert result.value == pytest.approx(expected["estimate"], abs=1e-9)
    assert (result.ci_low, result.ci_high) == pytest.approx((expected["low"], expected["high"]), abs=1e-8)


@pytest.mark.parametrize("case", ["sleep", "modular"])
def test_hodges_lehmann_of_all_differences_is_what_r_says_of_them_moved_off_zero(
    case: str, r_examples: Examples
) -> None:
    result = paired.hodges_lehmann(CASES[case], zeros="keep")

    expected = r_examples[case]
    assert result.value == pytest.approx(expected["all"], abs=1e-9)
    assert (result.ci_low, result.ci_high) == pytest.approx((expected["all_low"], expected["all_high"]), abs=1e-8)
    assert result.n == len(CASES[case])


def test_hodges_lehmann_of_nobody_changed_is_zero_where_zeros_are_kept() -> None:
    nothing = np.zeros(5)

    assert paired.hodges_lehmann(nothing, zeros="keep").value == 0.0
    assert np.isnan(paired.hodges_lehmann(nothing).value)
    assert np.isnan(paired.hodges_lehmann(np.array([]), zeros="keep").value)


def test_hodges_lehmann_turns_round_with_the_sign() -> None:
    straight, turned = paired.hodges_lehmann(MODULAR), paired.hodges_lehmann(-MODULAR)

    assert (turned.value, turned.ci_low, turned.ci_high) == (-straight.value, -straight.ci_high, -straight.ci_low)


def test_hodges_lehmann_needs_no_room_for_all_pairs() -> None:
    differences = np.tile(MODULAR, 1000)  # 200,000 differences, 2e10 pairs

    result = paired.hodges_lehmann(differences)

    assert result.value == -2.0
    assert result.n == np.count_nonzero(differences)


def test_too_few_differences_have_no_interval() -> None:
    result = paired.hodges_lehmann(np.array([-1.0, -2.0]))

    assert result.value == -1.5
    assert np.isnan([result.ci_low, result.ci_high]).all()


def test_paired_t_of_the_sleep_data_is_the_published_one(r_examples: Examples) -> None:
    result = paired.paired_t(SLEEP)

    assert result.value == pytest.approx(-4.0621277, abs=1e-7)
    assert result.p_value == pytest.approx(r_examples["sleep"]["t_p"], rel=1e-9)
    assert result.ci_low == pytest.approx(r_examples["sleep"]["t_low"], rel=1e-9)
    assert result.ci_high == pytest.approx(r_examples["sleep"]["t_high"], rel=1e-9)


def test_median_is_bounded_by_rs_order_statistics(r_examples: Examples) -> None:
    result = paired.median_change(MODULAR)

    expected = r_examples["modular"]
    assert (result.value, result.ci_low, result.ci_high) == (
        expected["median"],
        expected["median_low"],
        expected["median_high"],
    )


def test_effect_sizes_agree_with_a_published_analysis() -> None:
    # Morris 2008, first study, as analysed on metafor's pages: SMCR of means 30.6 and 38.5, SD 15.0, r .47, n 20 has
    # variance .0594 about the (corrected) 0.5056. Built here from a sample with exactly these moments.
    random = np.random.default_rng(5)
    before, noise = random.standard_normal((2, 20))
    before = (before - before.mean()) / before.std(ddof=1)
    noise -= noise.mean() + before * (noise @ before) / (before @ before)
    noise /= noise.std(ddof=1)
    baseline, after = 30.6 + 15.0 * before, 38.5 + 11.6 * (0.47 * before + np.sqrt(1 - 0.47**2) * noise)

    result = paired.standardised_effect_size(after - baseline, baseline)

    assert result.value == pytest.approx((38.5 - 30.6) / 15.0)
    variance = 2 * (1 - 0.47) / 20 + result.value**2 / 40
    assert (result.ci_high - result.ci_low) / (2 * 1.959963984540054) == pytest.approx(np.sqrt(variance))
    assert pytest.approx(0.0594, abs=5e-5) == 2 * (1 - 0.47) / 20 + 0.5056**2 / 40


def test_srm_is_the_t_statistic_over_the_root_of_n() -> None:
    assert paired.standardised_response_mean(MODULAR).value == pytest.approx(
        paired.paired_t(MODULAR).value / np.sqrt(200)
    )


def test_rank_biserial_is_the_difference_of_the_rank_sums() -> None:
    # Ranks of 1, 2, 3 and 4: positive 1 + 3, negative 2 + 4, of 10.
    assert paired.rank_biserial(np.array([1.0, -2.0, 3.0, -4.0, 0.0])).value == pytest.approx(-0.2)


@pytest.mark.parametrize(
    "compute",
    [
        paired.signed_rank,
        paired.hodges_lehmann,
        paired.rank_biserial,
        paired.paired_t,
        paired.mean_change,
        paired.median_change,
        paired.standardised_response_mean,
    ],
)
def test_no_differences_give_nothing(compute: Callable[[FloatArray], Estimate]) -> None:
    result = compute(np.array([]))

    assert result.n == 0
    assert np.isnan([result.value, result.ci_low, result.ci_high, result.p_value]).all()


def test_differences_without_variance_have_a_mean_and_no_test() -> None:
    differences = np.full(30, -0.1)

    assert paired.mean_change(differences).value == pytest.approx(-0.1)
    assert paired.hodges_lehmann(differences).value == pytest.approx(-0.1)
    assert np.isnan(paired.hodges_lehmann(differences).ci_low)
    assert np.isnan(paired.mean_change(differences).ci_low)
    assert np.isnan(paired.paired_t(differences).value)
    assert np.isnan(paired.standardised_response_mean(differences).value)
    assert np.isnan(paired.standardised_effect_size(differences, np.full(30, 50.0)).value)


def test_one_difference_has_a_p_value_of_one() -> None:
    assert paired.signed_rank(np.array([-3.0])).p_value == 1.0
