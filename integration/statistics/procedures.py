"""Retreatment and stents."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

import pandas as pd

from integration.statistics import survival
from integration.statistics.cohort_frame import floats, is_seen, is_true
from integration.statistics.estimate import BoolArray, Estimate
from integration.statistics.figures import Figure, share
from integration.statistics.plan import AnalysisPlan

HORIZONS_DAYS: Final = (30, 91, 183, 365)
"""When the Kaplan-Meier estimate is read: 1, 3, 6 and 12 months."""


def figures(cohort: pd.DataFrame, plan: AnalysisPlan) -> Iterator[Figure]:
    """Yield the counts of retreatment and stents, and the Kaplan-Meier estimates of retreatment.

    Args:
        cohort: one row a patient, columns as in `cohort_frame`.
        plan: what to compute.
    """
    retreated, after_improvement = is_true(cohort["retreated"]), is_true(cohort["retreated_after_improvement"])
    yield from _two_denominators(cohort, plan, "retreatment", "rate", retreated, "a later treatment session")
    yield from _two_denominators(
        cohort,
        plan,
        "retreatment",
        "rate_after_improvement",
        retreated & after_improvement,
        "a later treatment session after a visit at which a score had improved",
    )
    yield from _by_horizon(cohort, plan)
    stented = is_true(cohort["stent"])
    yield from _two_denominators(cohort, plan, "stent", "rate", stented, "a venous stent in the index session")
    yield share(
        Figure(
            analysis="stent",
            statistic="rate_per_session",
            denominator_kind="cohort",
            method="sessions with a venous stent of all treatment sessions of the cohort; Clopper-Pearson, "
            "sessions of one patient taken as independent",
        ),
        events=_total(cohort["stent_sessions"]),
        total=_total(cohort["sessions"]),
        confidence=plan.confidence,
    )


def _two_denominators(
    cohort: pd.DataFrame, plan: AnalysisPlan, analysis: str, statistic: str, event: BoolArray, wording: str
) -> Iterator[Figure]:
    yield share(
        Figure(
            analysis=analysis,
            statistic=statistic,
            denominator_kind="cohort",
            method=f"{wording}; patients of the whole cohort; Clopper-Pearson",
        ),
        events=int(event.sum()),
        total=len(cohort),
        confidence=plan.confidence,
    )
    seen = is_seen(cohort, plan.last_visit)
    yield share(
        Figure(
            analysis=analysis,
            statistic=statistic,
            visit=plan.last_visit,
            denominator_kind="seen",
            method=f"{wording}; patients with a scorable response at {plan.last_visit}; Clopper-Pearson",
        ),
        events=int((event & seen).sum()),
        total=int(seen.sum()),
        confidence=plan.confidence,
    )


def _by_horizon(cohort: pd.DataFrame, plan: AnalysisPlan) -> Iterator[Figure]:
    curve = survival.kaplan_meier(cohort, plan.confidence)
    for day in HORIZONS_DAYS:
        by_then = survival.cumulative_by(curve, day)
        yield Figure(
            analysis="retreatment",
            statistic=f"km_retreated_day_{day}",
            estimate=by_then,
            numerator=int(curve.loc[curve["days"] <= day, "events"].sum()) if by_then.n else None,
            denominator=len(cohort),
            denominator_kind="cohort",
            method=(
                f"1 - Kaplan-Meier at day {day}, interval of log(-log S), censored at the last scorable response or "
                "session; n is the number at risk that day; empty after the last day anybody was followed"
            ),
        )
    yield Figure(
        analysis="retreatment",
        statistic="km_median_days",
        estimate=_median(curve),
        denominator=len(cohort),
        denominator_kind="cohort",
        method="first day on which the Kaplan-Meier estimate is at most one half; empty where it is not reached",
    )


def _median(curve: pd.DataFrame) -> Estimate:
    reached = curve.loc[curve["survival"] <= 0.5, "days"]
    n = int(curve["at_risk"].iloc[0]) if len(curve) else 0
    return Estimate(value=float(reached.iloc[0]), n=n) if len(reached) else Estimate(n=n)


def _total(column: pd.Series) -> int:
    return int(pd.Series(floats(column)).sum())
