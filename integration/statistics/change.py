"""Change from baseline: the four primary tests, and what stands beside them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Final

import numpy as np
import pandas as pd

from integration.statistics import paired, proportions
from integration.statistics.differences import Changes, changes
from integration.statistics.estimate import Estimate
from integration.statistics.figures import Figure, holm
from integration.statistics.plan import AnalysisPlan

_DIRECTION: Final = "visit minus baseline, negative = improvement"
_APPROXIMATION: Final = "normal approximation with tie and continuity correction"
_WALSH: Final = (
    "median of the Walsh averages of the non-zero differences; interval: shifts that the signed-rank test keeps"
)


@dataclass(frozen=True, kw_only=True, slots=True)
class _Cell:
    """One scale at one visit."""

    scale: str
    visit: str
    changes: Changes
    confidence: float

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
        f"Wilcoxon signed-rank, sum of the ranks of rises (R's V) on differences in {cell.changes.unit}, "
        f"zeros dropped, {_APPROXIMATION}; primary, P adjusted by Holm over {tests} tests"
    )
    return _with_nonzero(cell, cell.figure("wilcoxon_w", paired.signed_rank(cell.changes.ranked), method))


def _beside(cell: _Cell) -> Iterator[Figure]:
    yield from _ranked(cell)
    yield from _means(cell)
    ranked = cell.changes.ranked
    falls, rises = int(np.sum(ranked < 0)), int(np.sum(ranked > 0))
    sign = cell.figure(
        "sign_test",
        proportions.sign_split(falls, rises, cell.confidence),
        "share of falls among the differences that are not zero; exact binomial test of one half; Clopper-Pearson",
    )
    yield replace(sign, numerator=falls, denominator=falls + rises)


def _ranked(cell: _Cell) -> Iterator[Figure]:
    ranked, unit = cell.changes.ranked, cell.changes.unit
    pratt = cell.figure(
        "wilcoxon_w_pratt",
        paired.signed_rank(ranked, zeros="pratt"),
        f"sensitivity: as wilcoxon_w with zeros ranked and then dropped (Pratt), in {unit}, {_APPROXIMATION}",
    )
    yield _with_nonzero(cell, pratt)
    yield cell.figure(
        "hodges_lehmann", paired.hodges_lehmann(ranked, cell.confidence), f"{_WALSH}; differences in {unit}"
    )
    yield cell.figure(
        "hodges_lehmann_0_100",
        paired.hodges_lehmann(cell.changes.points, cell.confidence),
        f"{_WALSH}; in points of 0-100",
    )
    yield cell.figure(
        "rank_biserial",
        paired.rank_biserial(ranked),
        "matched rank-biserial correlation, (R+ - R-) / (R+ + R-), zeros dropped",
    )


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
        "standardised effect size: mean difference / SD of these patients' baseline; large-sample interval (Becker)",
    )


def _with_nonzero(cell: _Cell, figure: Figure) -> Figure:
    return replace(figure, numerator=int(np.count_nonzero(cell.changes.ranked)))
