"""Change from baseline: the four primary tests, and what stands beside them.

Rank tests take differences of raw sums, each within one version of the instrument, whichever version it is. Where both
versions are among those who changed, a raw point is not the same in everybody, and the test on the common scale of
0-100 stands beside the primary one.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Final

import numpy as np
import pandas as pd

from integration.statistics import paired, proportions
from integration.statistics.differences import Changes, changes, raw_point_sizes
from integration.statistics.estimate import Estimate, FloatArray
from integration.statistics.figures import Figure, holm
from integration.statistics.plan import AnalysisPlan

_DIRECTION: Final = "visit minus baseline, negative = improvement"
_APPROXIMATION: Final = "normal approximation with tie and continuity correction"
_RAW: Final = "differences of raw sums"
_POINTS: Final = "differences in points of 0-100, equal ones kept equal"
_WALSH: Final = "interval: shifts that the signed-rank test keeps (an end that is tied, such as 0, is not included)"
_NON_ZERO: Final = f"R's pseudo-median: median of the Walsh averages of the non-zero differences only; {_WALSH}"
_ALL: Final = f"median of the Walsh averages of all differences, zeros kept; {_WALSH}"


@dataclass(frozen=True, kw_only=True, slots=True)
class _Cell:
    """One scale at one visit."""

    scale: str
    visit: str
    changes: Changes
    confidence: float

    @property
    def raw(self) -> str:
        """What the raw differences are, in words, and how far those of several versions can be compared."""
        if not self.changes.is_mixed:
            return _RAW
        sizes = " or ".join(f"{size:.4g} (version {version})" for version, size in raw_point_sizes(self.scale).items())
        return f"{_RAW}, each within one version, pooled over versions whose raw points differ: {sizes} points of 0-100"

    def figure(self, statistic: str, estimate: Estimate, method: str) -> Figure:
        """Return a figure of the change of this scale at this visit."""
        return Figure(
            analysis="change",
            scale=self.scale,
            visit=self.visit,
            statistic=statistic,
            estimate=estimate,
            denominator=len(self.changes.points),
            denominator_kind="with_change",
            method=f"{method}; {_DIRECTION}",
        )


def figures(cohort: pd.DataFrame, plan: AnalysisPlan) -> list[Figure]:
    """Return every figure of change; the Wilcoxon tests of all scales and visits are one family under Holm.

    Args:
        cohort: one row a patient, columns as in `cohort_frame`.
        plan: what to compute.
    """
    cells = [
        _Cell(scale=scale, visit=visit, changes=changes(cohort, scale, visit), confidence=plan.confidence)
        for scale in plan.scales
        for visit in plan.visits
    ]
    primary = holm([_primary(cell, len(cells)) for cell in cells])
    return [*primary, *(figure for cell in cells for figure in _beside(cell))]


def _primary(cell: _Cell, tests: int) -> Figure:
    method = (
        f"Wilcoxon signed-rank, sum of the ranks of rises (R's V) on {cell.raw}; zeros dropped, {_APPROXIMATION}; "
        f"primary, P adjusted by Holm over {tests} tests"
    )
    return _with_nonzero(cell, cell.figure("wilcoxon_w", paired.signed_rank(cell.changes.sums), method))


def _beside(cell: _Cell) -> Iterator[Figure]:
    yield from _ranked(cell)
    yield from _locations(cell)
    yield from _means(cell)
    sums = cell.changes.sums
    falls, rises = int(np.sum(sums < 0)), int(np.sum(sums > 0))
    sign = cell.figure(
        "sign_test",
        proportions.sign_split(falls, rises, cell.confidence),
        "share of falls among the differences that are not zero; exact binomial test of one half; Clopper-Pearson",
    )
    yield replace(sign, numerator=falls, denominator=falls + rises, denominator_kind="")


def _ranked(cell: _Cell) -> Iterator[Figure]:
    pratt = cell.figure(
        "wilcoxon_w_pratt",
        paired.signed_rank(cell.changes.sums, zeros="pratt"),
        f"sensitivity: as wilcoxon_w, with zeros ranked and then dropped (Pratt), on {cell.raw}; {_APPROXIMATION}",
    )
    yield _with_nonzero(cell, pratt)
    if cell.changes.is_mixed:
        common = cell.figure(
            "wilcoxon_w_0_100",
            paired.signed_rank(cell.changes.points),
            f"sensitivity, since versions are mixed: as wilcoxon_w, on {_POINTS}; {_APPROXIMATION}",
        )
        yield _with_nonzero(cell, common)
    yield cell.figure(
        "rank_biserial",
        paired.rank_biserial(cell.changes.sums),
        f"matched rank-biserial correlation, (R+ - R-) / (R+ + R-), zeros dropped, on {cell.raw}",
    )


def _locations(cell: _Cell) -> Iterator[Figure]:
    scales: tuple[tuple[str, FloatArray, str], ...] = (
        ("", cell.changes.sums, cell.raw),
        ("_0_100", cell.changes.points, _POINTS),
    )
    for suffix, differences, unit in scales:
        r = paired.hodges_lehmann(differences, cell.confidence)
        yield cell.figure(f"hodges_lehmann{suffix}", r, f"{_NON_ZERO}; {unit}")
        everybody = paired.hodges_lehmann(differences, cell.confidence, zeros="keep")
        yield cell.figure(f"hodges_lehmann_all{suffix}", everybody, f"{_ALL}; {unit}")


def _means(cell: _Cell) -> Iterator[Figure]:
    points, confidence = cell.changes.points, cell.confidence
    yield cell.figure(
        "paired_t", paired.paired_t(points, confidence), "paired t; interval of the mean difference, points of 0-100"
    )
    yield cell.figure(
        "mean_change", paired.mean_change(points, confidence), "mean, interval by Student's t; points of 0-100"
    )
    yield cell.figure(
        "median_change",
        paired.median_change(points, confidence),
        "median, interval by order statistics (binomial), at least the stated confidence; points of 0-100",
    )
    yield cell.figure(
        "srm",
        paired.standardised_response_mean(points, confidence),
        "standardised response mean: mean / SD of the differences; large-sample interval",
    )
    yield cell.figure(
        "ses",
        paired.standardised_effect_size(points, cell.changes.baseline, confidence),
        "standardised effect size: mean difference / SD of the baseline of these patients, those with a change score; "
        "large-sample interval (Becker)",
    )


def _with_nonzero(cell: _Cell, figure: Figure) -> Figure:
    return replace(figure, numerator=int(np.count_nonzero(cell.changes.sums)))
