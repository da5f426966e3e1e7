"""One patient of the cohort as one row: the columns of cohort.csv."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import date
from fractions import Fraction
from typing import Final

from integration import msis29
from integration.cohort import ms, visits
from integration.cohort.eligibility import Candidate, has_imaging_before
from integration.cohort.events import CountedEvent
from integration.cohort.sessions import Session
from integration.records import Patient, PatientRows, Response
from integration.study import BASELINE, StudyFile

Cell = str | int | float | bool | None
Row = dict[str, Cell]
_FULL_DATE_LENGTH: Final = len("1970-05-01")


def row(candidate: Candidate, events: Sequence[CountedEvent], study: StudyFile) -> Row:
    """Return the row of a patient in the cohort; a missing value is None."""
    rows, index = candidate.rows, candidate.sessions[0]
    return {
        "patient_id": rows.patient.patient_id,
        "sex": rows.patient.sex,
        "age_at_procedure": age(rows.patient.birth_date, index.day),
        "ms_type": ms.ms_type(rows.conditions, index.day),
        "procedure_date": index.day.isoformat(),
        "vein_sites": len(index.sites),
        "stent": index.has_stent,
        "imaging_before": has_imaging_before(rows, index, study.imaging.days_before),
        **dict(_visit_columns(candidate, study)),
        **dict(_change_columns(candidate, study)),
        **_retreatment(candidate, study),
        "serious_adverse_event": any(one.event.seriousness == "serious" for one in events),
        "sessions": len(candidate.sessions),
        "stent_sessions": sum(one.has_stent for one in candidate.sessions),
        "last_contact_days": _last_contact_days(candidate),
    }


def columns(study: StudyFile) -> list[str]:
    """Return the names of the columns, in order: those of a row that nobody has."""
    nobody = Patient(patient_id="", sex="", birth_date="", is_synthetic=False)
    never = Session(day=date.min, start=None, procedure_ids=(), sites=frozenset(), has_stent=False)
    return list(row(Candidate(rows=PatientRows(patient=nobody), sessions=[never], chosen={}), (), study))


def age(birth_date: str, on: date) -> int | None:
    """Return completed years; None if the date of birth is missing, partial or not a date."""
    if len(birth_date) != _FULL_DATE_LENGTH:
        return None
    try:
        born = date.fromisoformat(birth_date)
    except ValueError:
        return None
    return on.year - born.year - ((on.month, on.day) < (born.month, born.day))


def change(candidate: Candidate, visit: str, subscale: msis29.Subscale) -> Fraction | None:
    """Return score at the visit minus score at baseline, exact; None unless both exist, in one version."""
    before, after = candidate.chosen.get(BASELINE), candidate.chosen.get(visit)
    if before is None or after is None or before.instrument_version != after.instrument_version:
        return None
    first, second = subscale_score(before, subscale), subscale_score(after, subscale)
    if first is None or second is None or first.score is None or second.score is None:
        return None
    return second.score - first.score


def subscale_score(response: Response, subscale: msis29.Subscale) -> msis29.SubscaleScore | None:
    """Return what a response came to on one subscale."""
    if response.score is None:
        return None
    return response.score.physical if subscale is msis29.PHYSICAL else response.score.psychological


def _visit_columns(candidate: Candidate, study: StudyFile) -> Iterator[tuple[str, Cell]]:
    for visit in study.visits:
        response = candidate.chosen.get(visit)
        moment = response.moment if response else None
        yield f"{visit}_date", moment.day.isoformat() if moment else None
        yield f"{visit}_response", response.response_id if response else None
        yield f"{visit}_version", response.instrument_version if response else None
        for subscale in msis29.SUBSCALES:
            found = subscale_score(response, subscale) if response else None
            yield f"{subscale.name}_{visit}", _number(found.score) if found else None
            yield f"{subscale.name}_sum_{visit}", _number(found.imputed_sum) if found else None
            yield f"{subscale.name}_answered_{visit}", found.answered if found else None


def _change_columns(candidate: Candidate, study: StudyFile) -> Iterator[tuple[str, Cell]]:
    for visit in study.follow_ups:
        for subscale in msis29.SUBSCALES:
            by = change(candidate, visit, subscale)
            yield f"{subscale.name}_change_{visit}", _number(by)
            yield f"{subscale.name}_sum_change_{visit}", _number(_sum_change(candidate, visit, subscale, by))
            yield f"{subscale.name}_improved_{visit}", None if by is None else by < 0


def _sum_change(
    candidate: Candidate, visit: str, subscale: msis29.Subscale, score_change: Fraction | None
) -> Fraction | None:
    """The change of the imputed raw sum: that of the score, in steps of the version's raw range."""
    if score_change is None:
        return None
    version = candidate.chosen[visit].instrument_version or "1"
    steps = len(subscale.items) * (msis29.HIGHEST_ANSWER[version] - msis29.LOWEST_ANSWER)
    return score_change * steps / 100


def _retreatment(candidate: Candidate, study: StudyFile) -> Row:
    index, later = candidate.sessions[0], candidate.sessions[1:]
    if not later:
        return {"retreated": False, "retreatment_days": None, "retreated_after_improvement": False}
    return {
        "retreated": True,
        "retreatment_days": (later[0].day - index.day).days,
        "retreated_after_improvement": any(
            _had_improved(candidate, visit, before=later[0].day) for visit in study.follow_ups
        ),
    }


def _had_improved(candidate: Candidate, visit: str, before: date) -> bool:
    response = candidate.chosen.get(visit)
    if response is None or response.moment is None or response.moment.day >= before:
        return False
    changes = (change(candidate, visit, subscale) for subscale in msis29.SUBSCALES)
    return any(by is not None and by < 0 for by in changes)


def _last_contact_days(candidate: Candidate) -> int:
    """Days to the last scorable response or session: until then a retreatment would have been seen."""
    index_day = candidate.sessions[0].day
    answered = [visits.days_from(index_day, one) for one in candidate.rows.responses if one.is_scorable]
    return max([0, *answered, (candidate.sessions[-1].day - index_day).days])


def _number(value: Fraction | None) -> float | None:
    """The nearest float, not rounded further: equal fractions give equal floats, and opposite ones opposite floats."""
    return None if value is None else float(value)
