"""Women and men, types of MS, number of vein sites, on the change in points of 0-100.

What the abstract of 2012 reports is labelled as its question; it is not adjusted for the number of questions. All other
scales, visits and pairs are exploratory. Points of 0-100 are one scale for both versions of the instrument, and equal
changes are kept equal, so ranks across groups are those of the answers.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from itertools import combinations
from typing import Final

import numpy as np
import pandas as pd

from integration.statistics import groups, models, paired, responders, trend
from integration.statistics.cohort_frame import floats, in_group
from integration.statistics.differences import Changes, changes
from integration.statistics.estimate import BoolArray, Estimate, FloatArray
from integration.statistics.figures import Figure, holm, share
from integration.statistics.plan import ANY_DECREASE, AnalysisPlan

_SEXES: Final = ("female", "male")
_SPECIFIED_TYPES: Final = ("RRMS", "SPMS", "PPMS")
_TYPES: Final = (*_SPECIFIED_TYPES, "unspecified")
_CHANGE: Final = (
    "change = visit minus baseline in points of 0-100, one scale for both versions, equal changes kept equal; "
    "negative = improvement"
)
_QUESTION: Final = "question of the abstract, not adjusted"
_QUESTIONS: Final[Mapping[str, tuple[tuple[str, str], ...]]] = {
    "sex": (("physical", "month_6"),),
    "ms_type": (("psychological", "month_1"),),
    "vein_sites": (("physical", "month_1"), ("physical", "month_6")),
}
_TYPES_ASKED: Final = ("RRMS", "PPMS", "RRMS vs PPMS")
_MODEL: Final = "least squares, change ~ baseline x group in one model"


@dataclass(frozen=True, kw_only=True, slots=True)
class _Cell:
    """One question at one scale and visit: who belongs to which group.

    `members` maps a label to (patients,) bool over the whole frame.
    """

    analysis: str
    scale: str
    visit: str
    changes: Changes
    members: Mapping[str, BoolArray]
    confidence: float

    def points(self, label: str) -> FloatArray:
        """Return the changes of a group: (n,) float."""
        return self.changes.of(self.members[label])

    def figure(self, statistic: str, estimate: Estimate, method: str, group: str = "") -> Figure:
        """Return a figure of this question."""
        return Figure(
            analysis=self.analysis,
            scale=self.scale,
            visit=self.visit,
            group=group,
            statistic=statistic,
            estimate=estimate,
            denominator=estimate.n,
            denominator_kind="with_change",
            method=f"{method}; {_CHANGE}; {self._standing(group)}",
        )

    def _standing(self, group: str) -> str:
        """Return whether a figure answers a question of the abstract or is exploratory."""
        is_asked = (self.scale, self.visit) in _QUESTIONS[self.analysis]
        is_asked = is_asked and (self.analysis != "ms_type" or group in _TYPES_ASKED)
        return _QUESTION if is_asked else "exploratory"


def figures(cohort: pd.DataFrame, plan: AnalysisPlan) -> Iterator[Figure]:
    """Yield the comparisons of women and men, of types of MS, and along the number of vein sites.

    Args:
        cohort: one row a patient, columns as in `cohort_frame`.
        plan: what to compute.
    """
    sites = floats(cohort["vein_sites"])
    sexes = {sex: in_group(cohort["sex"], sex) for sex in _SEXES}
    types = {ms_type: in_group(cohort["ms_type"], ms_type) for ms_type in _TYPES}
    numbers = {"1": sites == 1, "2": sites == 2, "3+": sites >= 3}
    for scale in plan.scales:
        for visit in plan.visits:
            points = changes(cohort, scale, visit)
            for analysis, members in (("sex", sexes), ("ms_type", types), ("vein_sites", numbers)):
                cell = _Cell(
                    analysis=analysis,
                    scale=scale,
                    visit=visit,
                    changes=points,
                    members=members,
                    confidence=plan.confidence,
                )
                yield from _each_group(cell)
                yield from _comparison(cell, sites)


def _comparison(cell: _Cell, sites: FloatArray) -> Iterator[Figure]:
    if cell.analysis == "sex":
        yield from _pairwise(cell, _SEXES)
    elif cell.analysis == "ms_type":
        yield _kruskal_wallis(cell, _SPECIFIED_TYPES)
        yield from _pairwise(cell, _SPECIFIED_TYPES)
    else:
        yield from _along_the_sites(cell, sites)


def _each_group(cell: _Cell) -> Iterator[Figure]:
    for label in cell.members:
        points = cell.points(label)
        improved = responders.members(points, ANY_DECREASE, "improved", 0.0)
        rate = cell.figure("rate", Estimate(), "improved when change < 0; Clopper-Pearson", label)
        yield share(
            replace(rate, responder=ANY_DECREASE, category="improved"),
            events=int(improved.sum()),
            total=len(points),
            confidence=cell.confidence,
        )
        mean, median = (
            paired.mean_change(points, cell.confidence),
            paired.median_change(points, cell.confidence),
        )
        yield cell.figure("mean_change", mean, "mean, interval by Student's t", label)
        yield cell.figure("median_change", median, "median, interval by order statistics (binomial)", label)


def _pairwise(cell: _Cell, labels: tuple[str, ...]) -> Iterator[Figure]:
    """Yield every comparison of two of the groups; more than two groups make a family under Holm for each test."""
    pairs = list(combinations(range(len(labels)), 2))
    fit = _ancova(cell, labels)
    tests = [_mann_whitney(cell, labels[i], labels[j]) for i, j in pairs]
    differences = [_difference(cell, fit, labels, pair) for pair in pairs]
    if len(pairs) > 1:
        tests, differences = _adjusted(tests), _adjusted(differences)
    yield from tests
    yield from (_shift(cell, labels[i], labels[j]) for i, j in pairs)
    yield from differences
    yield from (_interaction(cell, fit, labels, pair) for pair in pairs)
    if len(pairs) > 1:
        yield cell.figure(
            "model_interaction_f",
            fit.any_interaction(),
            f"{_MODEL} ({', '.join(labels)}); F test that all slopes on baseline are equal",
        )


def _adjusted(family: list[Figure]) -> list[Figure]:
    named = [replace(figure, method=f"{figure.method}; p_adjusted: Holm over {len(family)} pairs") for figure in family]
    return holm(named)


def _mann_whitney(cell: _Cell, first: str, second: str) -> Figure:
    return cell.figure(
        "mann_whitney_u",
        groups.mann_whitney(cell.points(first), cell.points(second)),
        f"Mann-Whitney, pairs in which the change of {first} is the larger (R's W), normal approximation with tie and "
        "continuity correction",
        f"{first} vs {second}",
    )


def _shift(cell: _Cell, first: str, second: str) -> Figure:
    return cell.figure(
        "hodges_lehmann_shift",
        groups.location_shift(cell.points(first), cell.points(second), cell.confidence),
        f"median of all differences, {first} minus {second}; interval: shifts that the Mann-Whitney test keeps "
        "(an end that is tied, such as 0, is not included)",
        f"{first} vs {second}",
    )


def _ancova(cell: _Cell, labels: tuple[str, ...]) -> models.Ancova:
    codes = np.full(len(cell.changes.has_change), -1, dtype=np.int64)
    for code, label in enumerate(labels):
        codes[cell.members[label]] = code
    codes = codes[cell.changes.has_change]
    in_model = codes >= 0
    return models.ancova(
        cell.changes.points[in_model],
        cell.changes.baseline[in_model],
        codes[in_model],
        len(labels),
        cell.confidence,
    )


def _difference(cell: _Cell, fit: models.Ancova, labels: tuple[str, ...], pair: tuple[int, int]) -> Figure:
    first, second = labels[pair[0]], labels[pair[1]]
    return cell.figure(
        "model_difference",
        fit.difference(*pair),
        f"{_MODEL} ({', '.join(labels)}); term: {first} minus {second} at the mean baseline of everybody in the model",
        f"{first} vs {second}",
    )


def _interaction(cell: _Cell, fit: models.Ancova, labels: tuple[str, ...], pair: tuple[int, int]) -> Figure:
    first, second = labels[pair[0]], labels[pair[1]]
    return cell.figure(
        "model_interaction",
        fit.interaction(*pair),
        f"{_MODEL} ({', '.join(labels)}); term: slope on baseline of {first} minus that of {second}",
        f"{first} vs {second}",
    )


def _kruskal_wallis(cell: _Cell, labels: tuple[str, ...]) -> Figure:
    result = groups.kruskal_wallis([cell.points(label) for label in labels])
    return cell.figure("kruskal_wallis_h", result, f"Kruskal-Wallis over {', '.join(labels)}, tie correction")


def _along_the_sites(cell: _Cell, sites: FloatArray) -> Iterator[Figure]:
    labels = tuple(cell.members)
    ordered = trend.jonckheere_terpstra([cell.points(label) for label in labels])
    method = f"Jonckheere-Terpstra over {', '.join(labels)}, two-sided, normal approximation with tie correction"
    for statistic, value in (("jonckheere_j", ordered.j), ("jonckheere_z", ordered.z)):
        estimate = Estimate(value=value, p_value=ordered.p_value, n=ordered.n)
        yield cell.figure(statistic, estimate, f"{method}; z < 0: more sites, more improvement")
    yield _kruskal_wallis(cell, labels)
    number = sites[cell.changes.has_change]
    known = number >= 1
    points, baseline = cell.changes.points[known], cell.changes.baseline[known]
    plain = models.slope(points, number[known], None, cell.confidence)
    adjusted = models.slope(points, number[known], baseline, cell.confidence)
    yield cell.figure("slope_per_site", plain, "least squares, change ~ vein_sites; points for one site more")
    yield cell.figure(
        "slope_per_site_adjusted", adjusted, "least squares, change ~ vein_sites + baseline; points for one site more"
    )
