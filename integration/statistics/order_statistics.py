"""Order statistics of all sums of two numbers, without ever forming the sums.

The Hodges-Lehmann estimates are medians of n(n + 1)/2 Walsh averages or of n x m differences. For 24,000 pairs that
would be 288 million numbers. But how many sums are at most s can be counted in O(k log k) from the k distinct numbers
and their multiplicities, so the sum of a given rank is found by bisection on s; memory is O(k).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from integration.statistics.estimate import FloatArray, IntArray

_RELATIVE_WIDTH = 1e-13


@dataclass(frozen=True, kw_only=True, slots=True)
class Counted:
    """A sample as its distinct numbers.

    Attributes:
        values: (k,) float, increasing.
        counts: (k,) int, how often each occurs.
        cumulative: (k + 1,) int, how many observations lie below each distinct number; the last is the sample's size.
    """

    values: FloatArray
    counts: IntArray
    cumulative: IntArray

    @property
    def size(self) -> int:
        """Number of observations."""
        return int(self.cumulative[-1])

    def at_most(self, limits: FloatArray) -> IntArray:
        """Return how many observations are at most each of the limits: (m,) int."""
        found: IntArray = self.cumulative[np.searchsorted(self.values, limits, side="right")]
        return found


def counted(sample: FloatArray) -> Counted:
    """Return the distinct numbers of a sample (n,) float without NaN, with their counts."""
    values, counts = np.unique(sample, return_counts=True)
    counts = counts.astype(np.int64)
    return Counted(values=values, counts=counts, cumulative=np.concatenate(([0], np.cumsum(counts))))


def walsh_sum(sample: Counted, rank: int) -> float:
    """Return the sum `x_i + x_j, i <= j` of the given rank, 1 the smallest of n(n + 1)/2.

    >>> walsh_sum(counted(np.array([1.0, 2.0, 4.0])), 4)  # 2 3 4 5 6 8
    5.0
    """

    def count(limit: float) -> int:
        ordered = int(sample.counts @ sample.at_most(limit - sample.values))
        on_the_diagonal = int(sample.at_most(np.array([limit / 2]))[0])
        return (ordered + on_the_diagonal) // 2

    return _select(sample, sample, rank, count)


def pair_sum(left: Counted, right: Counted, rank: int) -> float:
    """Return the sum `x_i + y_j` of the given rank, 1 the smallest of n x m.

    >>> pair_sum(counted(np.array([0.0, 10.0])), counted(np.array([1.0, 2.0])), 3)  # 1 2 11 12
    11.0
    """
    return _select(left, right, rank, lambda limit: int(left.counts @ right.at_most(limit - left.values)))


def _select(left: Counted, right: Counted, rank: int, count: Callable[[float], int]) -> float:
    smallest, largest = float(left.values[0] + right.values[0]), float(left.values[-1] + right.values[-1])
    margin = 1e-9 * max(1.0, abs(smallest), abs(largest))  # so that rounding cannot put an extreme sum outside
    low, high = smallest - margin, largest + margin
    width = _RELATIVE_WIDTH * max(abs(low), abs(high))
    while high - low > width:
        middle = (low + high) / 2
        if not low < middle < high:
            break
        low, high = (low, middle) if count(middle) >= rank else (middle, high)
    return _largest_sum_at_most(left, right, high)


def _largest_sum_at_most(left: Counted, right: Counted, limit: float) -> float:
    position = np.searchsorted(right.values, limit - left.values, side="right") - 1
    reached = position >= 0
    return float(np.max(left.values[reached] + right.values[position[reached]]))
