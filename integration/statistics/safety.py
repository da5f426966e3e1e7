"""Adverse events per patient and per session; serious ones by themselves."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Final

import pandas as pd

from integration.statistics import proportions
from integration.statistics.cohort_frame import total
from integration.statistics.estimate import Estimate
from integration.statistics.figures import Figure, share
from integration.statistics.plan import AnalysisPlan

_SERIOUS: Final = "serious = AdverseEvent.seriousness `serious`, FHIR's word, which is not the regulatory definition"


def figures(cohort: pd.DataFrame, adverse_events: pd.DataFrame, plan: AnalysisPlan) -> Iterator[Figure]:
    """Yield the rates of adverse and of serious adverse events.

    Args:
        cohort: one row a patient, columns as in `cohort_frame`.
        adverse_events: one row a counted event; reads `patient_id`, `seriousness`, `session_date`. Events of patients
            outside the cohort are passed over.
        plan: what to compute.
    """
    of_cohort = adverse_events.loc[adverse_events["patient_id"].isin(cohort["patient_id"])]
    is_serious = of_cohort["seriousness"].fillna("").astype(str).str.lower().eq("serious")
    counted = f"events 0 to {plan.adverse_event_days} days after a session, or that name a session's Procedure"
    yield from _rates(_figure("adverse_event", counted), of_cohort, cohort, plan)
    serious = _figure("serious_adverse_event", f"{counted}; {_SERIOUS}")
    yield from _rates(serious, of_cohort.loc[is_serious], cohort, plan)


def _rates(template: Figure, events: pd.DataFrame, cohort: pd.DataFrame, plan: AnalysisPlan) -> Iterator[Figure]:
    patients, with_event = len(cohort), int(events["patient_id"].nunique())
    counted = template.method
    yield share(
        replace(template, method=f"patients with at least one; {counted}; Clopper-Pearson"),
        events=with_event,
        total=patients,
        confidence=plan.confidence,
    )
    per_session = (
        f"sessions with at least one, of all treatment sessions of the cohort (denominator and n count sessions); "
        f"{counted}; Clopper-Pearson, sessions of one patient taken as independent"
    )
    yield share(
        replace(template, statistic="rate_per_session", denominator_kind="", method=per_session),
        events=_sessions_with_event(events),
        total=total(cohort["sessions"]),
        confidence=plan.confidence,
    )
    yield replace(
        template,
        statistic="events",
        estimate=Estimate(value=len(events), n=patients),
        method=f"number of events, not of patients; {counted}",
    )
    if not with_event:
        yield replace(
            template,
            statistic="rate_upper_bound",
            estimate=proportions.zero_event_bound(patients, plan.confidence),
            method=f"no patient has one: one-sided upper bound of the share, 1 - (1 - confidence)^(1/n); {counted}",
        )


def _sessions_with_event(events: pd.DataFrame) -> int:
    sessions = pd.DataFrame({"patient": events["patient_id"], "session": events["session_date"].fillna("").astype(str)})
    return len(sessions.drop_duplicates())


def _figure(analysis: str, counted: str) -> Figure:
    return Figure(analysis=analysis, statistic="rate", denominator_kind="cohort", method=counted)
