"""Who counts as improved."""

from __future__ import annotations

import numpy as np
import pytest

from integration.statistics import responders

# Smallest whole fall of the raw sum that reaches a threshold, complete forms: computed from 100 x raw / (items x span).
SMALLEST = [
    ("7", 80, 6),
    ("7.5", 80, 6),
    ("8", 80, 7),
    ("10", 80, 8),
    ("7", 60, 5),
    ("7.5", 60, 5),
    ("8", 60, 5),
    ("10", 60, 6),
    ("6", 36, 3),
    ("10", 36, 4),
    ("6", 27, 2),
    ("10", 27, 3),
]


@pytest.mark.parametrize(("responder", "span", "raw"), SMALLEST)
def test_the_smallest_fall_that_reaches_a_threshold(responder: str, span: int, raw: int) -> None:
    starts = np.arange(raw, span + 1)  # every score from which one can fall that far, each with its own rounding
    falls = 100 * (starts - raw) / span - 100 * starts / span
    one_less = 100 * (starts - raw + 1) / span - 100 * starts / span

    assert responders.members(falls, responder, "improved", np.nan).all()
    assert not responders.members(one_less, responder, "improved", np.nan).any()


def test_every_change_is_in_one_category() -> None:
    points = np.arange(-40, 41) * 1.25
    for responder in ("any_decrease", "7.5", "reliable"):
        sizes = [responders.members(points, responder, category, 17.0).sum() for category in responders.CATEGORIES]

        assert sum(sizes) == len(points)
        assert sizes[0] == sizes[2]


def test_any_decrease_is_below_zero() -> None:
    points = np.array([-0.3, 0.0, 0.3])

    assert responders.members(points, "any_decrease", "improved", np.nan).tolist() == [True, False, False]
    assert responders.members(points, "any_decrease", "unchanged", np.nan).tolist() == [False, True, False]
    assert responders.members(points, "any_decrease", "worsened", np.nan).tolist() == [False, False, True]


def test_reliable_change_exceeds_the_limit() -> None:
    points = np.array([-17.5, -17.0, 17.5])

    assert responders.members(points, "reliable", "improved", 17.0).tolist() == [True, False, False]
    assert responders.members(points, "reliable", "worsened", 17.0).tolist() == [False, False, True]


def test_reliable_change_limit_of_known_deviation() -> None:
    # SD 25 and r .94 give SEM 6.1 and 17.0 points; SD 23 and r .87 give 8.3 and 23.0.
    for deviation, r, points in ((25.0, 0.94, 17.0), (23.0, 0.87, 23.0)):
        baseline = 50 + deviation * np.array([-1.0, 0.0, 1.0])

        assert responders.reliable_change_limit(baseline, r) == pytest.approx(points, abs=0.05)


def test_one_baseline_makes_nobody_reliably_changed() -> None:
    limit = responders.reliable_change_limit(np.array([50.0]), 0.94)

    assert np.isnan(limit)
    assert responders.members(np.array([-90.0]), "reliable", "unchanged", limit).all()
