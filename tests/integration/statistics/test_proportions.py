"""Shares and their intervals against published ones and R."""

from __future__ import annotations

import numpy as np
import pytest

from integration.statistics import proportions

Examples = dict[str, dict[str, float]]
PAIRS = [(81, 263), (15, 148), (0, 20), (1, 29), (1, 259), (0, 259), (259, 259), (15, 239), (128, 239)]


@pytest.mark.parametrize(("events", "total"), PAIRS)
def test_intervals_are_what_r_says(events: int, total: int, r_examples: Examples) -> None:
    expected = r_examples[f"{events}/{total}"]
    exact, score = proportions.clopper_pearson(events, total), proportions.wilson(events, total)

    assert (exact.ci_low, exact.ci_high) == pytest.approx((expected["cp_low"], expected["cp_high"]), abs=1e-9)
    assert (score.ci_low, score.ci_high) == pytest.approx((expected["wilson_low"], expected["wilson_high"]), abs=1e-9)
    assert exact.value == score.value == events / total


@pytest.mark.parametrize(
    ("events", "total", "exact", "score"),
    [
        (81, 263, (0.2527, 0.3676), (0.2553, 0.3662)),
        (15, 148, (0.0578, 0.1617), (0.0624, 0.1605)),
        (0, 20, (0, 0.1684), (0, 0.1611)),
        (1, 29, (0.0009, 0.1776), (0.0061, 0.1718)),
    ],
)
def test_intervals_are_newcombes(
    events: int, total: int, exact: tuple[float, float], score: tuple[float, float]
) -> None:
    # Newcombe, Stat Med 1998;17:857-72, to the four places printed there.
    ours, wilson = proportions.clopper_pearson(events, total), proportions.wilson(events, total)

    assert (ours.ci_low, ours.ci_high) == pytest.approx(exact, abs=5.1e-5)
    assert (wilson.ci_low, wilson.ci_high) == pytest.approx(score, abs=5.1e-5)


def test_rs_own_example() -> None:
    # R's ?binom.test: 682 of 925.
    share = proportions.clopper_pearson(682, 925)

    assert (share.ci_low, share.ci_high) == pytest.approx((0.7076683, 0.7654066), abs=1e-7)


@pytest.mark.parametrize("total", [20, 259])
def test_zero_events_have_the_one_sided_bound_of_r(total: int, r_examples: Examples) -> None:
    assert proportions.zero_event_bound(total).value == pytest.approx(r_examples[f"0/{total}"]["below"], rel=1e-9)


@pytest.mark.parametrize(("events", "total"), PAIRS)
def test_a_split_is_tested_against_one_half(events: int, total: int, r_examples: Examples) -> None:
    split = proportions.sign_split(events, total - events)

    assert split.p_value == pytest.approx(r_examples[f"{events}/{total}"]["half_p"], rel=1e-7, abs=1e-300)
    assert split.n == total


def test_nobody_has_no_share() -> None:
    for estimate in (
        proportions.clopper_pearson(0, 0),
        proportions.wilson(0, 0),
        proportions.zero_event_bound(0),
        proportions.sign_split(0, 0),
    ):
        assert estimate.n == 0
        assert np.isnan([estimate.value, estimate.ci_low, estimate.ci_high]).all()


def test_the_ends_are_exact_where_the_count_is() -> None:
    assert proportions.clopper_pearson(0, 10).ci_low == 0.0
    assert proportions.wilson(0, 10).ci_low == 0.0
    assert proportions.clopper_pearson(10, 10).ci_high == 1.0
    assert proportions.wilson(10, 10).ci_high == 1.0
