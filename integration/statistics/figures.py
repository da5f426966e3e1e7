"""One row of `statistics.csv`, and the frame of all rows."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from typing import Final, Literal

import numpy as np
import pandas as pd

from integration.statistics import proportions
from integration.statistics.estimate import Estimate

DenominatorKind = Literal["cohort", "seen", "with_change", ""]

COLUMNS: Final = (
    "analysis", "scale", "visit", "group", "responder", "category", "statistic", "value", "ci_low", "ci_high",
    "numerator", "denominator", "denominator_kind", "n", "p_value", "p_adjusted", "method",
)  # fmt: skip


@dataclass(frozen=True, kw_only=True, slots=True)
class Figure:
    """A number of the study and what it is.

    Attributes:
        analysis: the question it belongs to.
        statistic: what the value is; the package's docstring lists all.
        method: in words how it was computed, and which is minus which.
        estimate: value, interval, P value and the number of observations that entered.
        scale: `physical`, `psychological`, or empty.
        visit: the follow-up visit, or empty.
        group: empty for everybody, one group, or two joined by ` vs `.
        responder: the definition of a responder, or empty.
        category: `improved`, `unchanged`, `worsened`, or empty.
        numerator: of a share; of a rank test the non-zero differences; None otherwise.
        denominator: patients, or sessions or pairs where the method says so; None if there is none.
        denominator_kind: which patients the denominator counts; empty where it counts something else, as sessions.
        p_adjusted: by Holm within the family that the method names, NaN if it is in none.
    """

    analysis: str
    statistic: str
    method: str
    estimate: Estimate = field(default_factory=Estimate)
    scale: str = ""
    visit: str = ""
    group: str = ""
    responder: str = ""
    category: str = ""
    numerator: int | None = None
    denominator: int | None = None
    denominator_kind: DenominatorKind = ""
    p_adjusted: float = math.nan


def share(template: Figure, *, events: int, total: int, confidence: float) -> Figure:
    """Return a figure completed with a share, its exact interval, numerator and denominator."""
    estimate = proportions.clopper_pearson(events, total, confidence)
    return replace(template, estimate=estimate, numerator=events, denominator=total)


def holm(family: Sequence[Figure]) -> list[Figure]:
    """Return the figures with P values adjusted by Holm (1979, Scand J Stat 6:65-70) among those that have one.

    >>> p_values = (0.01, 0.02, 0.03)
    >>> family = [Figure(analysis="", statistic="", method="", estimate=Estimate(p_value=p)) for p in p_values]
    >>> [round(figure.p_adjusted, 3) for figure in holm(family)]
    [0.03, 0.04, 0.04]

    The same in R: `p.adjust(p, "holm")`. (statsmodels' `multipletests` runs a full garbage collection at every call,
    which costs more than all else here.)
    """
    p_values = np.array([figure.estimate.p_value for figure in family])
    tested = int(np.count_nonzero(~np.isnan(p_values)))
    order = np.argsort(p_values)[:tested]  # NaN sorts last
    adjusted = np.full(len(family), np.nan)
    adjusted[order] = np.minimum(1.0, np.maximum.accumulate(p_values[order] * np.arange(tested, 0, -1)))
    return [replace(figure, p_adjusted=float(p)) for figure, p in zip(family, adjusted, strict=True)]


def frame(figures: Iterable[Figure]) -> pd.DataFrame:
    """Return the figures as a frame, one row each in the order given.

    Returns:
        Columns `COLUMNS`. Text is never missing (empty instead); `value, ci_low, ci_high, p_value, p_adjusted`
        float64 with NaN; `numerator, denominator, n` Int64 with NA.
    """
    rows = [_row(figure) for figure in figures]
    counts = dict.fromkeys(("numerator", "denominator", "n"), "Int64")
    numbers = dict.fromkeys(("value", "ci_low", "ci_high", "p_value", "p_adjusted"), "float64")
    return pd.DataFrame(rows, columns=list(COLUMNS)).astype(counts | numbers)


def _row(figure: Figure) -> tuple[object, ...]:
    estimate = figure.estimate
    return (
        figure.analysis, figure.scale, figure.visit, figure.group, figure.responder, figure.category, figure.statistic,
        estimate.value, estimate.ci_low, estimate.ci_high, figure.numerator, figure.denominator,
        figure.denominator_kind, estimate.n, estimate.p_value, figure.p_adjusted, figure.method,
    )  # fmt: skip
