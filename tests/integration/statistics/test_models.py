"""Linear models where the answer is known; R's `lm` is compared in test_study."""

from __future__ import annotations

import numpy as np
import pytest

from integration.statistics import models

RANDOM = np.random.default_rng(11)
BASELINE = RANDOM.uniform(20, 80, 90)
GROUP = np.arange(90) % 3
NOISE = RANDOM.normal(0, 1e-3, 90)


def test_ancova_finds_the_differences_that_were_put_in() -> None:
    centred = BASELINE - BASELINE.mean()
    change = np.array([-5.0, -3.0, 1.0])[GROUP] + np.array([-0.2, -0.1, 0.0])[GROUP] * centred + NOISE

    fit = models.ancova(change, BASELINE, GROUP, groups=3)

    assert fit.difference(0, 2).value == pytest.approx(-6.0, abs=1e-2)
    assert fit.difference(1, 0).value == pytest.approx(2.0, abs=1e-2)
    assert fit.interaction(0, 1).value == pytest.approx(-0.1, abs=1e-3)
    assert fit.any_interaction().p_value < 1e-12
    assert fit.n == 90


def test_interval_and_p_value_turn_round_with_the_groups() -> None:
    fit = models.ancova(NOISE, BASELINE, GROUP, groups=3)
    there, back = fit.difference(0, 1), fit.difference(1, 0)

    assert there.p_value == pytest.approx(back.p_value)
    assert (there.ci_low, there.ci_high) == pytest.approx((-back.ci_high, -back.ci_low))


def test_two_groups_have_one_interaction_and_its_f_is_its_t_squared() -> None:
    fit = models.ancova(NOISE, BASELINE, GROUP // 2, groups=2)

    assert fit.any_interaction().p_value == pytest.approx(fit.interaction(0, 1).p_value)


@pytest.mark.parametrize(
    ("change", "baseline", "group"),
    [
        (np.array([]), np.array([]), np.array([], dtype=np.int64)),
        (NOISE, BASELINE, np.zeros(90, dtype=np.int64)),  # nobody in the second group
        (NOISE, np.full(90, 50.0), GROUP // 2),  # no variance of baseline
        (np.zeros(90), BASELINE, GROUP // 2),  # no variance of change
        (NOISE[:4], BASELINE[:4], GROUP[:4] // 2),  # as many parameters as patients
    ],
)
def test_what_the_groups_do_not_determine_is_missing(
    change: np.ndarray, baseline: np.ndarray, group: np.ndarray
) -> None:
    fit = models.ancova(change, baseline, group, groups=2)

    for estimate in (fit.difference(0, 1), fit.interaction(0, 1), fit.any_interaction()):
        assert estimate.n == len(change)
        assert np.isnan([estimate.value, estimate.ci_low, estimate.p_value]).all()


def test_slope_is_adjusted_for_baseline() -> None:
    sites = 1.0 + GROUP
    change = -2.0 * sites - 0.5 * (BASELINE + 10 * sites) + NOISE

    assert models.slope(change, sites, BASELINE + 10 * sites).value == pytest.approx(-2.0, abs=1e-2)
    assert models.slope(change, sites).value == pytest.approx(-7.0, abs=2.0)


def test_a_slope_along_one_number_is_missing() -> None:
    assert np.isnan(models.slope(NOISE, np.ones(90)).value)
    assert models.slope(np.array([]), np.array([])).n == 0
