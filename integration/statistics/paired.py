"""One group, twice: tests and estimates on differences.

Every function takes `differences`, (n,) float without NaN, visit minus baseline. Ties must be ties already: see
`integration.statistics.differences`, which puts the numbers on their exact grid.
"""

from __future__ import annotations

import math
from typing import Literal

import numpy as np
from scipy import stats

from integration.statistics.estimate import Estimate, FloatArray
from integration.statistics.order_statistics import counted, walsh_sum


def signed_rank(differences: FloatArray, zeros: Literal["wilcox", "pratt"] = "wilcox") -> Estimate:
    """Test whether differences are symmetric about zero: Wilcoxon's signed-rank test (doi:10.2307/3001968).

    Normal approximation with tie and continuity correction, which is R's default from 50 pairs on and wherever there
    are ties or zeros. The value is R's V, the sum of the ranks of positive differences.

    >>> depression = np.array([0.878, 0.647, 0.598, 2.05, 1.06, 1.29, 1.06, 3.14, 1.29]) - np.array(
    ...     [1.83, 0.5, 1.62, 2.48, 1.68, 1.88, 1.55, 3.06, 1.3])
    >>> result = signed_rank(depression)
    >>> f"{result.value:.0f} {result.p_value:.7f}"
    '5 0.0440110'

    The same in R: `wilcox.test(y - x, exact = FALSE)`.

    Args:
        differences: (n,) float.
        zeros: `wilcox` drops them before ranking; `pratt` ranks them and then drops their ranks
            (doi:10.1080/01621459.1959.10501526; variance of Cureton, doi:10.1080/01621459.1967.10500917).

    Returns:
        V, P value, and n, the number of non-zero differences; nothing if all are zero.
    """
    nonzero = int(np.count_nonzero(differences))
    if not nonzero:
        return Estimate()
    result = stats.wilcoxon(differences, zero_method=zeros, correction=True, method="approx")
    # Two-sided, scipy gives the smaller of the two rank sums; R's V is the one of the positive ranks.
    one_sided = stats.wilcoxon(differences, zero_method=zeros, alternative="greater", method="approx")
    return Estimate(value=float(one_sided.statistic), p_value=min(1.0, float(result.pvalue)), n=nonzero)


def hodges_lehmann(
    differences: FloatArray, confidence: float = 0.95, *, zeros: Literal["drop", "keep"] = "drop"
) -> Estimate:
    """Return the pseudo-median, the median of the Walsh averages of the differences (doi:10.1214/aoms/1177704172).

    R leaves out the differences that are zero, as the signed-rank test does; `keep` takes them all, so that who did not
    change pulls the estimate towards zero.

    The interval is the set of shifts that the signed-rank test with continuity correction does not reject. The number
    of Walsh averages above a shift falls by one at each of them, so the ends are Walsh averages: with N = n(n + 1)/2
    of them and sigma corrected for equal differences, those of rank `j = ceil(N/2 - 1/2 - z sigma)` and `N + 1 - j`.
    R's `wilcox.test(..., conf.int = TRUE)` searches the same two steps with `uniroot` and finds them to its
    `tol.root` of 1e-4.

    >>> sleep = np.array([1.2, 2.4, 1.3, 1.3, 0.0, 1.0, 1.8, 0.8, 4.6, 1.4])
    >>> shift = hodges_lehmann(sleep)
    >>> f"{shift.value:.2f} {shift.ci_low:.2f} {shift.ci_high:.2f} {shift.n}"
    '1.40 1.05 2.95 9'
    >>> shift = hodges_lehmann(sleep, zeros="keep")
    >>> f"{shift.value:.2f} {shift.n}"
    '1.30 10'

    The same in R: `wilcox.test(extra ~ group, data = sleep, paired = TRUE, conf.int = TRUE)`, with the sign turned;
    with zeros kept, `wilcox.test(differences + 1000, conf.int = TRUE)$conf.int - 1000`, where none is zero any more.

    Args:
        differences: (n,) float.
        confidence: of the interval, 0-1.
        zeros: `drop` leaves out differences of zero, `keep` does not.

    Returns:
        Pseudo-median and interval in the unit of the differences, and n, how many entered. Where differences are tied
        the interval may end at a shift that the test itself rejects: that end is not included. No interval where so
        few differences cannot reach the confidence (R then lowers it) or all are equal; nothing if none entered.
    """
    sample = counted(differences if zeros == "keep" else differences[differences != 0])
    n = sample.size
    if not n:
        return Estimate()
    averages = n * (n + 1) // 2
    value = (walsh_sum(sample, (averages + 1) // 2) + walsh_sum(sample, averages // 2 + 1)) / 4
    ties = sum(count**3 - count for count in sample.counts.tolist())
    sigma = math.sqrt(n * (n + 1) * (2 * n + 1) / 24 - ties / 48)
    rank = math.ceil(averages / 2 - 0.5 - float(stats.norm.ppf((1 + confidence) / 2)) * sigma)
    if rank < 1 or len(sample.values) == 1:
        return Estimate(value=value, n=n)
    low, high = walsh_sum(sample, rank) / 2, walsh_sum(sample, averages + 1 - rank) / 2
    return Estimate(value=value, ci_low=low, ci_high=high, n=n)


def rank_biserial(differences: FloatArray) -> Estimate:
    """Return the matched rank-biserial correlation, (R+ - R-) / (R+ + R-) (Kerby, doi:10.2466/11.IT.3.1).

    -1 if every difference is a fall, 1 if every one is a rise; zeros are dropped.

    >>> rank_biserial(np.array([-2.0, -1.0, 0.0])).value
    -1.0
    """
    result = signed_rank(differences)
    if not result.n:
        return Estimate()
    return Estimate(value=4 * result.value / (result.n * (result.n + 1)) - 1, n=result.n)


def mean_change(differences: FloatArray, confidence: float = 0.95) -> Estimate:
    """Return the mean difference with its interval by Student's t.

    The same in R: `t.test(differences)`. One difference, or no variance, gives the mean alone.
    """
    n = len(differences)
    if not n:
        return Estimate()
    value, error = float(np.mean(differences)), _standard_error(differences)
    if not error:
        return Estimate(value=value, n=n)
    half = float(stats.t.ppf((1 + confidence) / 2, n - 1)) * error
    return Estimate(value=value, ci_low=value - half, ci_high=value + half, n=n)


def paired_t(differences: FloatArray, confidence: float = 0.95) -> Estimate:
    """Test whether the mean difference is zero: Student's paired t test.

    >>> sleep = np.array([-1.2, -2.4, -1.3, -1.3, 0.0, -1.0, -1.8, -0.8, -4.6, -1.4])
    >>> result = paired_t(sleep)
    >>> f"{result.value:.7f} {result.p_value:.8f} {result.ci_low:.7f} {result.ci_high:.7f}"
    '-4.0621277 0.00283289 -2.4598858 -0.7001142'

    The same in R: `t.test(extra ~ group, data = sleep, paired = TRUE)`.

    Returns:
        t, the interval of the mean difference (not of t), and the P value; nothing with one difference or no variance.
    """
    mean, error = mean_change(differences, confidence), _standard_error(differences)
    if not error:
        return Estimate(n=mean.n)
    t = mean.value / error
    p_value = 2 * float(stats.t.sf(abs(t), mean.n - 1))
    return Estimate(value=t, ci_low=mean.ci_low, ci_high=mean.ci_high, p_value=p_value, n=mean.n)


def median_change(differences: FloatArray, confidence: float = 0.95) -> Estimate:
    """Return the median with its distribution-free interval (Conover, Practical Nonparametric Statistics, 1999, 3.2).

    The ranks are `q` and `n + 1 - q` with q the `(1 - confidence)/2` quantile of the binomial (n, 1/2), so the
    coverage is at least `confidence`. No interval where n is too small to reach it.

    >>> result = median_change(np.arange(1.0, 11.0))
    >>> result.value, result.ci_low, result.ci_high
    (5.5, 2.0, 9.0)

    The same in R: `q <- qbinom(.025, n, .5); sort(x)[c(q, n + 1 - q)]`.
    """
    n = len(differences)
    if not n:
        return Estimate()
    value, rank = float(np.median(differences)), int(stats.binom.ppf((1 - confidence) / 2, n, 0.5))
    if rank < 1:
        return Estimate(value=value, n=n)
    ordered = np.sort(differences)
    return Estimate(value=value, ci_low=float(ordered[rank - 1]), ci_high=float(ordered[n - rank]), n=n)


def standardised_response_mean(differences: FloatArray, confidence: float = 0.95) -> Estimate:
    """Return the mean difference in standard deviations of the differences (SRM).

    Liang, Fossel and Larson, doi:10.1097/00005650-199007000-00008. Interval: large-sample variance
    `1/n + SRM^2 / (2n)`.

    >>> f"{standardised_response_mean(np.array([-3.0, -1.0, -2.0, 0.0])).value:.4f}"
    '-1.1619'
    """
    deviation = _deviation(differences)
    if not deviation:
        return Estimate(n=len(differences))
    return _effect(float(np.mean(differences)) / deviation, 1.0, len(differences), confidence)


def standardised_effect_size(differences: FloatArray, baseline: FloatArray, confidence: float = 0.95) -> Estimate:
    """Return the mean difference in standard deviations of the baseline (SES).

    Kazis, Anderson and Meenan, doi:10.1097/00005650-198903001-00015. Interval: large-sample variance
    `2(1 - r)/n + SES^2 / (2n)` of Becker (doi:10.1111/j.2044-8317.1988.tb00901.x), with r the correlation between
    baseline and visit.

    Args:
        differences: (n,) float.
        baseline: (n,) float, the same patients' baseline in the same unit.
        confidence: of the interval, 0-1.
    """
    n, deviation = len(differences), _deviation(baseline)
    if not deviation:
        return Estimate(n=n)
    value = float(np.mean(differences)) / deviation
    if not _deviation(baseline + differences):
        return Estimate(value=value, n=n)
    r = float(np.corrcoef(baseline, baseline + differences)[0, 1])
    return _effect(value, 2 * (1 - r), n, confidence)


def _effect(value: float, spread: float, n: int, confidence: float) -> Estimate:
    half = float(stats.norm.ppf((1 + confidence) / 2)) * math.sqrt(spread / n + value**2 / (2 * n))
    return Estimate(value=value, ci_low=value - half, ci_high=value + half, n=n)


def _deviation(sample: FloatArray) -> float:
    """Return the standard deviation, 0 where it is not defined or only rounding makes it differ from zero."""
    if len(sample) < 2 or np.ptp(sample) <= 1e-9 * max(1.0, float(np.max(np.abs(sample)))):
        return 0.0
    return float(np.std(sample, ddof=1))


def _standard_error(sample: FloatArray) -> float:
    return _deviation(sample) / math.sqrt(len(sample)) if len(sample) else 0.0
