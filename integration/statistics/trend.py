"""Does a number rise or fall along ordered groups?"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations

import numpy as np
from scipy import stats

from integration.statistics.estimate import FloatArray


@dataclass(frozen=True, kw_only=True, slots=True)
class Trend:
    """The Jonckheere-Terpstra test.

    Attributes:
        j: the statistic, NaN where there is no trend to test.
        z: J less its mean, in standard deviations; negative where numbers fall along the groups.
        p_value: two-sided, normal approximation.
        n: observations.
    """

    j: float = math.nan
    z: float = math.nan
    p_value: float = math.nan
    n: int = 0


def jonckheere_terpstra(samples: Sequence[FloatArray]) -> Trend:
    """Test for an ordered trend over groups (Jonckheere, doi:10.1093/biomet/41.1-2.133; Terpstra 1952).

    J counts the pairs of observations from different groups in which the one of the later group is larger, ties one
    half. Normal approximation, no continuity correction, with the variance corrected for ties (Hollander, Wolfe and
    Chicken, Nonparametric Statistical Methods, 3rd ed., section 6.2, doi:10.1002/9781119196037).

    >>> no_information, rough, accurate = (np.array(group, dtype=float) for group in (
    ...     [40, 35, 38, 43, 44, 41], [38, 40, 47, 44, 40, 42], [48, 40, 45, 43, 46, 44]))
    >>> trend = jonckheere_terpstra([no_information, rough, accurate])
    >>> f"{trend.j} {trend.z:.3f} {trend.p_value:.4f}"
    '79.0 2.039 0.0414'

    The data are that book's Example 6.2 (motivational effect of knowledge of performance), which prints J = 79,
    variance 150.29 and 2.04.

    Args:
        samples: one (n,) float array a group without NaN, in the order of the groups; empty ones are passed over.

    Returns:
        No J where fewer than two groups have observations or all observations are equal.
    """
    present = [sample for sample in samples if len(sample)]
    n = sum(len(sample) for sample in present)
    if len(present) < 2:
        return Trend(n=n)
    pooled = np.concatenate(present)
    variance = _variance([len(sample) for sample in present], np.unique(pooled, return_counts=True)[1].tolist())
    if np.ptp(pooled) == 0 or variance <= 0:
        return Trend(n=n)
    j = sum(_larger_in_second(first, second) for first, second in combinations(present, 2))
    mean = (n**2 - sum(len(sample) ** 2 for sample in present)) / 4
    z = (j - mean) / math.sqrt(variance)
    return Trend(j=j, z=z, p_value=2 * float(stats.norm.sf(abs(z))), n=n)


def _larger_in_second(first: FloatArray, second: FloatArray) -> float:
    ordered = np.sort(first)
    below = np.searchsorted(ordered, second, side="left")
    not_above = np.searchsorted(ordered, second, side="right")
    return float(np.sum(below, dtype=np.int64) + np.sum(not_above, dtype=np.int64)) / 2


def _variance(sizes: list[int], ties: list[int]) -> float:
    n = sum(sizes)
    value = (_cubic(n) - sum(map(_cubic, sizes)) - sum(map(_cubic, ties))) / 72
    if n > 2:
        value += sum(map(_triples, sizes)) * sum(map(_triples, ties)) / (36 * _triples(n))
    return value + sum(map(_pairs, sizes)) * sum(map(_pairs, ties)) / (8 * _pairs(n))


def _cubic(count: int) -> int:
    return count * (count - 1) * (2 * count + 5)


def _triples(count: int) -> int:
    return count * (count - 1) * (count - 2)


def _pairs(count: int) -> int:
    return count * (count - 1)
