"""How many improved, did not change, got worse: the panel of responders over all three denominators."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Final

import pandas as pd

from integration.statistics import proportions, responders
from integration.statistics.cohort_frame import floats, is_seen
from integration.statistics.differences import BASELINE, Changes, changes
from integration.statistics.estimate import Estimate
from integration.statistics.figures import DenominatorKind, Figure, share
from integration.statistics.plan import ANY_DECREASE, RELIABLE, AnalysisPlan

_DENOMINATORS: Final[dict[DenominatorKind, str]] = {
    "with_change": "patients scored at baseline and visit in one version",
    "seen": "patients with a scorable response at the visit",
    "cohort": "the whole cohort",
}


@dataclass(frozen=True, kw_only=True, slots=True)
class _Panel:
    """One scale at one visit, and what its responders are counted with."""

    scale: str
    visit: str
    changes: Changes
    totals: dict[DenominatorKind, int]
    reliable_limit: float


def figures(cohort: pd.DataFrame, plan: AnalysisPlan) -> Iterator[Figure]:
    """Yield the rates of improvement, the limits of reliable change, and the comparison of first and last visit.

    Args:
        cohort: one row a patient, columns as in `cohort_frame`.
        plan: what to compute.
    """
    for scale in plan.scales:
        baseline = floats(cohort[f"{scale}_{BASELINE}"])
        scored = baseline[~pd.isna(baseline)]
        limit = responders.reliable_change_limit(scored, plan.test_retest[scale])
        yield Figure(
            analysis="improvement_rate",
            scale=scale,
            responder=RELIABLE,
            statistic="reliable_change_limit",
            estimate=Estimate(value=limit, n=len(scored)),
            method="points of 0-100; " + responders.wording(RELIABLE, limit, plan.test_retest[scale]),
        )
        for visit in plan.visits:
            yield from _panel_figures(_panel(cohort, scale, visit, limit), plan)
        if len(plan.visits) > 1:
            yield _first_against_last(cohort, scale, plan)


def improved(points: Changes) -> list[bool]:
    """Return who improved by the plainest reading, change < 0: one of those with a change each."""
    return [bool(value) for value in responders.members(points.points, ANY_DECREASE, "improved", 0.0)]


def _panel(cohort: pd.DataFrame, scale: str, visit: str, limit: float) -> _Panel:
    at_visit = changes(cohort, scale, visit)
    totals: dict[DenominatorKind, int] = {
        "with_change": len(at_visit.points),
        "seen": int(is_seen(cohort, visit).sum()),
        "cohort": len(cohort),
    }
    return _Panel(scale=scale, visit=visit, changes=at_visit, totals=totals, reliable_limit=limit)


def _panel_figures(panel: _Panel, plan: AnalysisPlan) -> Iterator[Figure]:
    for responder in plan.responders[panel.scale]:
        wording = responders.wording(responder, panel.reliable_limit, plan.test_retest[panel.scale])
        for category in responders.CATEGORIES:
            is_member = responders.members(panel.changes.points, responder, category, panel.reliable_limit)
            is_defined = responder != RELIABLE or not math.isnan(panel.reliable_limit)
            template = Figure(
                analysis="improvement_rate",
                scale=panel.scale,
                visit=panel.visit,
                responder=responder,
                category=category,
                statistic="rate",
                method=_method(category, wording),
            )
            events = int(is_member.sum()) if is_defined else None
            yield from _over_all_denominators(template, events, panel, plan.confidence)


def _over_all_denominators(template: Figure, events: int | None, panel: _Panel, confidence: float) -> Iterator[Figure]:
    for kind, total in panel.totals.items():
        method = f"{template.method}; of {_DENOMINATORS[kind]}; Clopper-Pearson"
        figure = replace(template, denominator_kind=kind, method=method)
        if events is None:
            yield replace(figure, denominator=total, estimate=Estimate(n=total))
        else:
            yield share(figure, events=events, total=total, confidence=confidence)
    if template.responder == ANY_DECREASE and events is not None:
        total = panel.totals["with_change"]
        yield replace(
            template,
            statistic="rate_wilson",
            denominator_kind="with_change",
            numerator=events,
            denominator=total,
            estimate=proportions.wilson(events, total, confidence),
            method=f"{template.method}; of {_DENOMINATORS['with_change']}; Wilson score",
        )


def _first_against_last(cohort: pd.DataFrame, scale: str, plan: AnalysisPlan) -> Figure:
    first, last = plan.visits[0], plan.visits[-1]
    at_first, at_last = (changes(cohort, scale, visit) for visit in (first, last))
    status = pd.DataFrame(
        {
            "first": pd.Series(improved(at_first), index=at_first.has_change.nonzero()[0], dtype="boolean"),
            "last": pd.Series(improved(at_last), index=at_last.has_change.nonzero()[0], dtype="boolean"),
        }
    ).dropna()
    lost = int((status["first"] & ~status["last"]).sum())
    gained = int((~status["first"] & status["last"]).sum())
    return Figure(
        analysis="improvement_rate",
        scale=scale,
        visit=last,
        responder=ANY_DECREASE,
        statistic="mcnemar",
        estimate=proportions.sign_split(lost, gained, plan.confidence),
        numerator=lost,
        denominator=lost + gained,
        method=(
            f"McNemar exact, {first} against {last}, change < 0: of the patients who differ between the two visits, "
            f"the share improved at {first} only; {len(status)} have a change at both; Clopper-Pearson; exploratory"
        ),
    )


def _method(category: str, wording: str) -> str:
    rule = f"change = visit minus baseline, improved when {wording}"
    return rule if category == "improved" else f"{category}; {rule}, worsened its mirror image, unchanged the rest"
