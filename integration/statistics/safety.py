"""Adverse events per patient and per session; serious ones by themselves."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

import pandas as pd

from integration.statistics import proportions
from integration.statistics.cohort_frame import floats
from integration.statistics.estimate import Estimate
from integration.statistics.figures import Figure, share
from integration.statistics.plan import AnalysisPlan

_COUNTED: Final = "events 0 to 30 days after a session, or that name a session's Procedure"
_SERIOUS: Final = (
    f"{_COUNTED}; serious = AdverseEvent.seriousness `serious`, FHIR's word, which is not the regulatory definition"
)


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
    yield from _rates("adverse_event", of_cohort, cohort, plan, _COUNTED)
    yield from _rates("serious_adverse_event", of_cohort.loc[is_serious], cohort, plan, _SERIOUS)


def _rates(
    analysis: str, events: pd.DataFrame, cohort: pd.DataFrame, plan: AnalysisPlan, wording: str
) -> Iterator[Figure]:
    patients, sessions = len(cohort), int(pd.Series(floats(cohort["sessions"])).sum())
    with_event = int(events["patient_id"].nunique())
    yield share(
        _figure(analysis, "rate", f"patients with at least one; {wording}; Clopper-Pearson"),
        events=with_event,
        total=patients,
        confidence=plan.confidence,
    )
    yield share(
        _figure(
            analysis,
            "rate_per_session",
            f"sessions with at least one, of all treatment sessions of the cohort; {wording}; Clopper-Pearson, "
            "sessions of one patient taken as independent",
        ),
        events=_sessions_with_event(events),
        total=sessions,
        confidence=plan.confidence,
    )
    yield _figure(
        analysis, "events", f"number of events, not of patients; {wording}", Estimate(value=len(events), n=patients)
    )
    if not with_event:
        yield _figure(
            analysis,
            "rate_upper_bound",
            f"no patient has one: one-sided upper bound of the share, 1 - (1 - confidence)^(1/n); {wording}",
            proportions.zero_event_bound(patients, plan.confidence),
        )


def _sessions_with_event(events: pd.DataFrame) -> int:
    sessions = pd.DataFrame({"patient": events["patient_id"], "session": events["session_date"].fillna("").astype(str)})
    return len(sessions.drop_duplicates())


def _figure(analysis: str, statistic: str, method: str, estimate: Estimate | None = None) -> Figure:
    return Figure(
        analysis=analysis,
        statistic=statistic,
        denominator_kind="cohort",
        method=method,
        estimate=estimate or Estimate(),
    )
