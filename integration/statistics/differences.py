"""Change between baseline and a visit, with ties that are ties.

Rank tests need equal differences to be equal. As floats they are not: two sums with the person's mean for missing
items, or two scores on 0-100, differ in the last bits although the answers changed by the same amount (the
signed-rank statistic of 300 patients moved from 20615 to 20655 in one trial of this). But every number here is
rational with a known denominator: an imputed sum is `items x raw / answered`. So each is put on the grid of the
smallest step that the instrument can make, where equal answers give the same float, and a fall and a rise of one size
give floats of one size.
"""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from functools import cache
from math import lcm
from typing import Final

import numpy as np
import pandas as pd

from integration import msis29
from integration.statistics.cohort_frame import floats
from integration.statistics.estimate import BoolArray, FloatArray

BASELINE: Final = "baseline"
_ITEMS: Final = {subscale.name: len(subscale.items) for subscale in msis29.SUBSCALES}
_SPANS: Final = tuple(highest - msis29.LOWEST_ANSWER for highest in msis29.HIGHEST_ANSWER.values())


@dataclass(frozen=True, kw_only=True, slots=True)
class Changes:
    """The change of one scale at one visit of the patients who have one: scored at both times, in one version.

    Attributes:
        has_change: (patients,) bool, who of the frame they are.
        points: (n,) float, visit minus baseline in points of 0-100, negative = improvement.
        sums: (n,) float, visit minus baseline in points of the raw sum.
        baseline: (n,) float, the score at baseline, 0-100.
        versions: versions of the instrument among them, sorted.
    """

    has_change: BoolArray
    points: FloatArray
    sums: FloatArray
    baseline: FloatArray
    versions: tuple[str, ...]

    @property
    def is_mixed(self) -> bool:
        """Whether several versions are among them, so that a point of the raw sum is not the same in everybody."""
        return len(self.versions) > 1

    def of(self, members: BoolArray) -> FloatArray:
        """Return the change in points of some of the patients: members (patients,) bool -> (m,) float."""
        return self.points[members[self.has_change]]


def changes(cohort: pd.DataFrame, scale: str, visit: str) -> Changes:
    """Return the changes of one scale at one visit.

    Args:
        cohort: one row a patient; reads `{scale}_change_{visit}`, `{scale}_sum_change_{visit}`, `{scale}_baseline` and
            `{visit}_version`.
        scale: `physical` or `psychological`.
        visit: a follow-up visit.
    """
    points = floats(cohort[f"{scale}_change_{visit}"])
    has_change = ~np.isnan(points)
    return Changes(
        has_change=has_change,
        points=on_grid(points[has_change], score_step(scale)),
        sums=on_grid(floats(cohort[f"{scale}_sum_change_{visit}"])[has_change], sum_step(scale)),
        baseline=floats(cohort[f"{scale}_{BASELINE}"])[has_change],
        versions=tuple(sorted(set(cohort.loc[has_change, f"{visit}_version"].dropna().astype(str)))),
    )


def on_grid(values: FloatArray, step: Fraction) -> FloatArray:
    """Return each value as the nearest multiple of `step`, so that equal multiples are equal floats.

    >>> third = on_grid(np.array([20 * 31 / 13 - 40, round(20 * 31 / 13, 9) - 40]), sum_step("physical"))
    >>> bool(third[0] == third[1])
    True

    Args:
        values: (n,) float within a tenth of a step of a multiple.
        step: the smallest difference between two possible values.
    """
    return np.rint(values * step.denominator / step.numerator) * step.numerator / step.denominator + 0.0


@cache
def sum_step(scale: str) -> Fraction:
    """Return what every difference of imputed raw sums is a multiple of: 1/11639628 physical, 1/280 psychological."""
    items = _ITEMS[scale]
    return Fraction(1, lcm(*(Fraction(items, answered).denominator for answered in range(1, items + 1))))


@cache
def score_step(scale: str) -> Fraction:
    """Return the step of which every change on 0-100 is a multiple, whichever the version.

    One point of a raw sum is `100 / (items x span)` points, the span 4 in version 1 and 3 in version 2.
    """
    return sum_step(scale) * Fraction(100, _ITEMS[scale] * lcm(*_SPANS))


def raw_point_sizes(scale: str) -> dict[str, float]:
    """Return how many points of 0-100 one point of the raw sum is in each version of the instrument.

    >>> {version: round(size, 3) for version, size in raw_point_sizes("physical").items()}
    {'1': 1.25, '2': 1.667}
    """
    return {
        version: 100 / (_ITEMS[scale] * (highest - msis29.LOWEST_ANSWER))
        for version, highest in msis29.HIGHEST_ANSWER.items()
    }
