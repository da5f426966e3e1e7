"""The criteria of the flow: what fails, and the resource that decided it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from typing import Final

from integration.cohort import ms, visits
from integration.cohort.sessions import Session
from integration.records import PatientRows, Procedure, Response
from integration.study import BASELINE, Criterion, StudyFile, Visit


@dataclass(frozen=True, kw_only=True, slots=True)
class Failure:
    """Why a patient is not in the cohort.

    Attributes:
        criterion: the first that failed.
        detail: in words; days and statuses, no answers.
        resource: `Type/id` of what decided it or came nearest; empty if there is nothing at all.
    """

    criterion: Criterion
    detail: str
    resource: str


@dataclass(frozen=True, kw_only=True, slots=True)
class Candidate:
    """A patient with what the criteria look at.

    Attributes:
        rows: everything of the patient.
        sessions: in order of date.
        chosen: the responses that count, by visit; empty without a session.
    """

    rows: PatientRows
    sessions: Sequence[Session]
    chosen: visits.Chosen


def first_failure(candidate: Candidate, study: StudyFile) -> Failure | None:
    """Return the first criterion that fails, None if all hold."""
    for criterion in study.flow.criteria:
        failure = _CHECKS[criterion](candidate, study)
        if failure:
            return failure
    return None


def has_imaging_before(rows: PatientRows, index: Session, days_before: int) -> bool:
    """Return whether completed imaging lies in the days up to the index date, both ends in."""
    return any(
        one.is_imaging and one.status == "completed" and 0 <= (index.day - one.moment.day).days <= days_before
        for one in rows.procedures
    )


def _venoplasty(candidate: Candidate, _: StudyFile) -> Failure | None:
    if candidate.sessions:
        return None
    near = [one for one in candidate.rows.procedures if one.near_miss or one.is_venoplasty or one.is_stent]
    if not near:
        return Failure(criterion="venoplasty", detail="no venoplasty or venous stent", resource="")
    nearest = max(near, key=_nearness)
    return Failure(
        criterion="venoplasty", detail=_why_no_treatment(nearest), resource=f"Procedure/{nearest.procedure_id}"
    )


def _nearness(procedure: Procedure) -> tuple[bool, bool, date, str]:
    is_coded = procedure.is_venoplasty or procedure.is_stent
    return is_coded, procedure.status == "completed", procedure.moment.day, procedure.procedure_id


def _why_no_treatment(procedure: Procedure) -> str:
    if procedure.status != "completed":
        return f"nearest: status {procedure.status or 'missing'}, not completed"
    return f"nearest: {procedure.near_miss}"


def _multiple_sclerosis(candidate: Candidate, _: StudyFile) -> Failure | None:
    conditions = candidate.rows.conditions
    if ms.usable(conditions):
        return None
    if not conditions:
        return Failure(criterion="multiple_sclerosis", detail="no Condition coded as multiple sclerosis", resource="")
    nearest = max(conditions, key=lambda one: one.condition_id)
    detail = "nearest: refuted or entered in error"
    return Failure(criterion="multiple_sclerosis", detail=detail, resource=f"Condition/{nearest.condition_id}")


def _baseline(candidate: Candidate, study: StudyFile) -> Failure | None:
    if BASELINE in candidate.chosen:
        return None
    if not candidate.sessions:
        return Failure(criterion=BASELINE, detail="no index procedure to count days from", resource="")
    index, window = candidate.sessions[0], study.visits[BASELINE]
    dated = [one for one in candidate.rows.responses if one.moment is not None and one.instrument_version]
    if not dated:
        return Failure(criterion=BASELINE, detail="no MSIS-29 response with a date", resource="")
    nearest = min(dated, key=lambda one: (*_distance(one, index, window), one.response_id))
    detail = f"nearest: {_why_no_baseline(nearest, index, window)}"
    return Failure(criterion=BASELINE, detail=detail, resource=f"QuestionnaireResponse/{nearest.response_id}")


def _distance(response: Response, index: Session, window: Visit) -> tuple[int, bool]:
    days = visits.days_from(index.day, response)
    return max(window.first_day - days, days - window.last_day, 0), not response.is_scorable


def _why_no_baseline(response: Response, index: Session, window: Visit) -> str:
    days = visits.days_from(index.day, response)
    if not window.first_day <= days <= window.last_day:
        return f"day {days}, outside {window.first_day} to {window.last_day}"
    return response.reason or "day 0, after the procedure had begun"


def _imaging_before(candidate: Candidate, study: StudyFile) -> Failure | None:
    days = study.imaging.days_before
    if candidate.sessions and has_imaging_before(candidate.rows, candidate.sessions[0], days):
        return None
    images = [one for one in candidate.rows.procedures if one.is_imaging]
    if not images:
        return Failure(criterion="imaging_before", detail="no imaging", resource="")
    nearest = max(images, key=_nearness)
    detail = f"nearest: status {nearest.status or 'missing'}, not in the {days} days up to the procedure"
    return Failure(criterion="imaging_before", detail=detail, resource=f"Procedure/{nearest.procedure_id}")


_CHECKS: Final[Mapping[Criterion, Callable[[Candidate, StudyFile], Failure | None]]] = {
    "venoplasty": _venoplasty,
    "multiple_sclerosis": _multiple_sclerosis,
    "baseline": _baseline,
    "imaging_before": _imaging_before,
}
