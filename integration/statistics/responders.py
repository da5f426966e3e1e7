"""Who improved, who did not change, who got worse: one definition a responder.

The change of an instrument of whole answers moves in steps, so a threshold such as 7.5 is often met exactly (6 raw
points of version 1 are 7.5 of 0-100). Thresholds are therefore compared with a tolerance far above rounding and far
below one step.
"""

from __future__ import annotations

import math
from typing import Final, Literal

import numpy as np

from integration.statistics.estimate import BoolArray, FloatArray
from integration.statistics.plan import ANY_DECREASE, RELIABLE

Category = Literal["improved", "unchanged", "worsened"]
CATEGORIES: Final[tuple[Category, ...]] = ("improved", "unchanged", "worsened")
TOLERANCE: Final = 1e-6


def reliable_change_limit(baseline: FloatArray, test_retest: float) -> float:
    """Return how far a score must move to exceed measurement error at the 5 % level, in points of 0-100.

    `1.96 x SD x sqrt(2) x sqrt(1 - r)` (Jacobson and Truax, doi:10.1037/0022-006X.59.1.12), with the standard
    deviation of the baseline and the test-retest correlation. A denominator is disputed (Maassen 2004,
    doi:10.1017/S1355617704106097); this is the original one.

    >>> f"{reliable_change_limit(np.array([0.0, 25.0, 50.0]), 0.94):.3f}"
    '16.974'

    Args:
        baseline: (n,) float, scores of everybody at baseline; fewer than two give NaN.
        test_retest: r, 0-1.
    """
    if len(baseline) < 2:
        return math.nan
    return 1.96 * float(np.std(baseline, ddof=1)) * math.sqrt(2 * (1 - test_retest))


def members(points: FloatArray, responder: str, category: Category, reliable_limit: float) -> BoolArray:
    """Return who falls into a category under a definition of a responder: (n,) bool.

    Improved is `change < 0` under `any_decrease`, `change <= -t` under t points, `change < -limit` under `reliable`;
    worsened is the mirror image, and unchanged is everybody else.

    >>> members(np.array([-7.5, -6.25, 7.5]), "7.5", "improved", 17.0).tolist()
    [True, False, False]

    Args:
        points: (n,) float, change in points of 0-100.
        responder: `any_decrease`, `reliable`, or a number of points as text.
        category: one of `CATEGORIES`.
        reliable_limit: points, see `reliable_change_limit`; NaN makes nobody reliably changed.
    """
    improved, worsened = _reached(-points, responder, reliable_limit), _reached(points, responder, reliable_limit)
    if category == "unchanged":
        return ~(improved | worsened)
    return improved if category == "improved" else worsened


def wording(responder: str, reliable_limit: float, test_retest: float) -> str:
    """Return in words when a change counts as improvement under a definition of a responder."""
    if responder == ANY_DECREASE:
        return "change < 0"
    if responder == RELIABLE and math.isnan(reliable_limit):
        return "change beyond the Jacobson-Truax limit, which fewer than two scores at baseline do not determine"
    if responder == RELIABLE:
        return (
            f"change < -{reliable_limit:.2f}: Jacobson-Truax, 1.96 x SD x sqrt(2(1 - r)), SD of this cohort's "
            f"baseline, test-retest r = {test_retest} (not verified in its source)"
        )
    return f"change <= -{responder}"


def _reached(fall: FloatArray, responder: str, reliable_limit: float) -> BoolArray:
    reached: BoolArray
    if responder == ANY_DECREASE:
        reached = fall > TOLERANCE
    elif responder == RELIABLE:
        reached = fall > reliable_limit + TOLERANCE
    else:
        reached = fall >= float(responder) - TOLERANCE
    return reached
