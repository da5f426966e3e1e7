"""The cohort: pure functions of one patient's rows, so that the same run here, in a worker process, or under Spark."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from integration.cohort import visits
from integration.cohort.eligibility import Candidate, Failure, first_failure
from integration.cohort.events import CountedEvent, counted
from integration.cohort.member import Cell, Row, age, row
from integration.cohort.sessions import Session, sessions
from integration.records import PatientRows
from integration.study import StudyFile

__all__ = ["Assessment", "Cell", "CountedEvent", "Failure", "Row", "Session", "age", "assess"]


@dataclass(frozen=True, kw_only=True, slots=True)
class Assessment:
    """What became of one patient.

    Attributes:
        patient_id: who.
        failure: the first criterion that failed; None for the cohort.
        index_resource: `Procedure/id` that the index session begins with; empty without a session.
        row: the cells of cohort.csv, in the order of `member.columns`; None outside the cohort.
        events: the adverse events that count, of any patient with a session.
        visits: response id to the visit that it was chosen for; empty outside the cohort.
    """

    patient_id: str
    failure: Failure | None
    index_resource: str
    row: tuple[Cell, ...] | None
    events: tuple[CountedEvent, ...]
    visits: Mapping[str, str]


def assess(rows: PatientRows, study: StudyFile) -> Assessment:
    """Decide whether a patient is in the cohort, and with which values."""
    treated = sessions(rows.procedures)
    chosen = visits.choose(rows.responses, treated[0], study.visits) if treated else {}
    candidate = Candidate(rows=rows, sessions=treated, chosen=chosen)
    failure = first_failure(candidate, study)
    events = tuple(counted(rows.adverse_events, treated, study.adverse_events.days_after))
    return Assessment(
        patient_id=rows.patient.patient_id,
        failure=failure,
        index_resource=f"Procedure/{treated[0].procedure_ids[0]}" if treated else "",
        row=None if failure else tuple(row(candidate, events, study).values()),
        events=events,
        visits={} if failure else {response.response_id: visit for visit, response in chosen.items()},
    )
