"""Retreatment and stents."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Final

import pandas as pd

from integration.statistics import survival
from integration.statistics.cohort_frame import is_seen, is_true, total
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
    retreatment = Figure(analysis="retreatment", statistic="rate", method="a later treatment session")
    yield from _two_denominators(retreatment, retreated, cohort, plan)
    recurrence = Figure(
        analysis="retreatment",
        statistic="rate_after_improvement",
        method="a later treatment session after a visit at which a score had improved",
    )
    yield from _two_denominators(recurrence, retreated & after_improvement, cohort, plan)
    yield from _by_horizon(cohort, plan)
    stent = Figure(analysis="stent", statistic="rate", method="a venous stent in the index session")
    yield from _two_denominators(stent, is_true(cohort["stent"]), cohort, plan)
    yield _stents_per_session(cohort, plan)


def _two_denominators(template: Figure, event: BoolArray, cohort: pd.DataFrame, plan: AnalysisPlan) -> Iterator[Figure]:
    yield share(
        replace(
            template,
            denominator_kind="cohort",
            method=f"{template.method}; patients of the whole cohort; Clopper-Pearson",
        ),
        events=int(event.sum()),
        total=len(cohort),
        confidence=plan.confidence,
    )
    seen = is_seen(cohort, plan.last_visit)
    yield share(
        replace(
            template,
            visit=plan.last_visit,
            denominator_kind="seen",
            method=f"{template.method}; patients with a scorable response at {plan.last_visit}; Clopper-Pearson",
        ),
        events=int((event & seen).sum()),
        total=int(seen.sum()),
        confidence=plan.confidence,
    )


def _stents_per_session(cohort: pd.DataFrame, plan: AnalysisPlan) -> Figure:
    return share(
        Figure(
            analysis="stent",
            statistic="rate_per_session",
            method="sessions with a venous stent, of all treatment sessions of the cohort (denominator and n count "
            "sessions); Clopper-Pearson, sessions of one patient taken as independent",
        ),
        events=total(cohort["stent_sessions"]),
        total=total(cohort["sessions"]),
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
