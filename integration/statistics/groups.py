"""Two groups or more, side by side. Samples are (n,) float without NaN, ties already ties."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from scipy import stats

from integration.statistics.estimate import Estimate, FloatArray
from integration.statistics.order_statistics import Counted, counted, pair_sum


def mann_whitney(first: FloatArray, second: FloatArray) -> Estimate:
    """Test whether one group tends to larger numbers: Mann and Whitney (doi:10.1214/aoms/1177730491).

    Normal approximation with tie and continuity correction, R's default from 50 in a group on and wherever there are
    ties. The value is R's W: the number of pairs in which the first group's number is larger, a tie counting one
    half.

    >>> result = mann_whitney(np.array([0.8, 0.83, 1.89, 1.04, 1.45, 1.38, 1.91, 1.64, 0.73, 1.46]),
    ...                       np.array([1.15, 0.88, 0.9, 0.74, 1.21]))
    >>> f"{result.value:.0f} {result.p_value:.6f}"
    '35 0.244624'

    The same in R: `wilcox.test(first, second, exact = FALSE)`.

    Returns:
        W, P value, and n, both groups together; no W where a group is empty or all numbers are equal.
    """
    n = len(first) + len(second)
    if not len(first) or not len(second) or _all_equal((first, second)):
        return Estimate(n=n)
    result = stats.mannwhitneyu(first, second, use_continuity=True, method="asymptotic")
    return Estimate(value=float(result.statistic), p_value=min(1.0, float(result.pvalue)), n=n)


def location_shift(first: FloatArray, second: FloatArray, confidence: float = 0.95) -> Estimate:
    """Return the Hodges-Lehmann shift: the median of all differences `first - second` (doi:10.1214/aoms/1177704172).

    The interval is the set of shifts that the Mann-Whitney test with continuity correction does not reject. With N =
    n x m differences and sigma corrected for ties inside each group, its ends are the differences of rank `j =
    ceil(N/2 - 1/2 - z sigma)` and `N + 1 - j`; R's `wilcox.test(first, second, conf.int = TRUE)` searches the same
    two steps to its `tol.root` of 1e-4.

    Returns:
        Shift and interval in the unit of the samples, and n, both groups together. Where differences are tied the
        interval may end at a shift, even 0, that the test itself rejects: that end is not included. No interval where
        the groups are too small to reach the confidence or no number differs inside them; nothing where a group is
        empty.
    """
    n = len(first) + len(second)
    if not len(first) or not len(second):
        return Estimate(n=n)
    left, right = counted(first), counted(-second)
    pairs = len(first) * len(second)
    value = (pair_sum(left, right, (pairs + 1) // 2) + pair_sum(left, right, pairs // 2 + 1)) / 2
    sigma = _shift_deviation(left, right)
    rank = math.ceil(pairs / 2 - 0.5 - float(stats.norm.ppf((1 + confidence) / 2)) * sigma)
    if rank < 1 or len(left.values) == len(right.values) == 1:
        return Estimate(value=value, n=n)
    return Estimate(
        value=value,
        ci_low=pair_sum(left, right, rank),
        ci_high=pair_sum(left, right, pairs + 1 - rank),
        n=n,
    )


def kruskal_wallis(samples: Sequence[FloatArray]) -> Estimate:
    """Test whether any group differs: Kruskal and Wallis with tie correction (doi:10.1080/01621459.1952.10483441).

    >>> groups = [np.array(group) for group in (
    ...     [2.9, 3.0, 2.5, 2.6, 3.2], [3.8, 2.7, 4.0, 2.4], [2.8, 3.4, 3.7, 2.2, 2.0])]
    >>> result = kruskal_wallis(groups)
    >>> f"{result.value:.7f} {result.p_value:.7f}"
    '0.7714286 0.6799648'

    The same in R: `kruskal.test(groups)`.

    Returns:
        H, P value by chi-squared with one degree of freedom fewer than there are groups that are not empty, and n.
    """
    present = [sample for sample in samples if len(sample)]
    n = sum(len(sample) for sample in present)
    if len(present) < 2 or _all_equal(present):
        return Estimate(n=n)
    result = stats.kruskal(*present)
    return Estimate(value=float(result.statistic), p_value=float(result.pvalue), n=n)


def _shift_deviation(left: Counted, right: Counted) -> float:
    n, m = left.size, right.size
    ties = sum(count**3 - count for count in (*left.counts.tolist(), *right.counts.tolist()))
    return math.sqrt(max(0.0, n * m / 12 * (n + m + 1 - ties / ((n + m) * (n + m - 1)))))


def _all_equal(samples: Sequence[FloatArray]) -> bool:
    return bool(np.ptp(np.concatenate(samples)) == 0)
