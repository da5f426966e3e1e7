"""Change from baseline: the four primary tests, and what stands beside them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
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


def figures(cohort: pd.DataFrame, plan: AnalysisPlan) -> list[Figure]:
    """Return every figure of change; the Wilcoxon tests of all scales and visits are one family under Holm.

    Args:
        cohort: one row a patient, columns as in `cohort_frame`.
        plan: what to compute.
    """
    cells = [(scale, visit, changes(cohort, scale, visit)) for scale in plan.scales for visit in plan.visits]
    primary = holm([_primary(scale, visit, cell, len(cells)) for scale, visit, cell in cells])
    others = (figure for scale, visit, cell in cells for figure in _beside(scale, visit, cell, plan.confidence))
    return [*primary, *others]


def _primary(scale: str, visit: str, cell: Changes, tests: int) -> Figure:
    return _figure(
        scale,
        visit,
        cell,
        "wilcoxon_w",
        paired.signed_rank(cell.ranked),
        f"Wilcoxon signed-rank, sum of the ranks of rises (R's V) on differences in {cell.unit}, zeros dropped, "
        f"{_APPROXIMATION}; primary, P adjusted by Holm over {tests} tests",
    )


def _beside(scale: str, visit: str, cell: Changes, confidence: float) -> Iterator[Figure]:
    for statistic, estimate, method in (*_ranked(cell, confidence), *_means(cell, confidence)):
        yield _figure(scale, visit, cell, statistic, estimate, method)
    falls, rises = int(np.sum(cell.ranked < 0)), int(np.sum(cell.ranked > 0))
    sign = _figure(
        scale,
        visit,
        cell,
        "sign_test",
        proportions.sign_split(falls, rises, confidence),
        "share of falls among the differences that are not zero; exact binomial test of one half; Clopper-Pearson",
    )
    yield replace(sign, numerator=falls, denominator=falls + rises)


def _ranked(cell: Changes, confidence: float) -> Iterator[tuple[str, Estimate, str]]:
    yield (
        "wilcoxon_w_pratt",
        paired.signed_rank(cell.ranked, zeros="pratt"),
        f"sensitivity: as wilcoxon_w with zeros ranked and then dropped (Pratt), in {cell.unit}, {_APPROXIMATION}",
    )
    yield (
        "hodges_lehmann",
        paired.hodges_lehmann(cell.ranked, confidence),
        f"{_WALSH}; in {cell.unit}",
    )
    yield (
        "hodges_lehmann_0_100",
        paired.hodges_lehmann(cell.points, confidence),
        f"{_WALSH}; in points of 0-100",
    )
    yield (
        "rank_biserial",
        paired.rank_biserial(cell.ranked),
        "matched rank-biserial correlation, (R+ - R-) / (R+ + R-), zeros dropped",
    )


def _means(cell: Changes, confidence: float) -> Iterator[tuple[str, Estimate, str]]:
    points = cell.points
    yield "paired_t", paired.paired_t(points, confidence), "paired t; interval of the mean difference, points of 0-100"
    yield "mean_change", paired.mean_change(points, confidence), "mean, interval by Student's t; points of 0-100"
    yield (
        "median_change",
        paired.median_change(points, confidence),
        "median, interval by order statistics (binomial), at least the stated confidence; points of 0-100",
    )
    yield (
        "srm",
        paired.standardised_response_mean(points, confidence),
        "standardised response mean: mean / SD of the differences; large-sample interval",
    )
    yield (
        "ses",
        paired.standardised_effect_size(points, cell.baseline, confidence),
        "standardised effect size: mean difference / SD of these patients' baseline; large-sample interval (Becker)",
    )


def _figure(scale: str, visit: str, cell: Changes, statistic: str, estimate: Estimate, method: str) -> Figure:
    is_rank_test = statistic.startswith("wilcoxon")
    return Figure(
        analysis="change",
        scale=scale,
        visit=visit,
        statistic=statistic,
        estimate=estimate,
        numerator=int(np.count_nonzero(cell.ranked)) if is_rank_test else None,
        denominator=len(cell.points),
        denominator_kind="with_change",
        method=f"{method}; {_DIRECTION}",
    )
