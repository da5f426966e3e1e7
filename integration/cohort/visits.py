"""Which response counts at which visit."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import UTC, date, datetime

from integration.cohort.sessions import Session
from integration.records import Response
from integration.study import BASELINE, Visit

_BEFORE_ANY_TIME = datetime.min.replace(tzinfo=UTC)
Chosen = dict[str, Response]
"""Visit name to the response that counts; a visit without one is absent."""


def days_from(index_day: date, response: Response) -> int:
    """Return the days from the index procedure to the response; negative before it."""
    if response.moment is None:
        raise ValueError(f"QuestionnaireResponse/{response.response_id} has no date")
    return (response.moment.day - index_day).days


def choose(responses: Iterable[Response], index: Session, visits: Mapping[str, Visit]) -> Chosen:
    """Choose among a patient's scorable responses.

    Args:
        responses: of one patient, scorable or not.
        index: the index session.
        visits: the windows; `baseline` on day 0 must not be later than the procedure's start where both have a time.
    """
    scorable = [one for one in responses if one.is_scorable]
    chosen: Chosen = {}
    for name, visit in visits.items():
        candidates = [one for one in scorable if visit.first_day <= days_from(index.day, one) <= visit.last_day]
        if name == BASELINE:
            candidates = [one for one in candidates if not is_after_start(one, index)]
        if candidates:
            chosen[name] = _best(candidates, visit, index.day)
    return chosen


def is_after_start(response: Response, index: Session) -> bool:
    """Return whether a response of day 0 was given after the procedure had begun, as far as both have a time."""
    moment = response.moment
    if moment is None or moment.day != index.day or moment.instant is None or index.start is None:
        return False
    return moment.instant > index.start


def _best(candidates: list[Response], visit: Visit, index_day: date) -> Response:
    if visit.choose == "last" or visit.target_day is None:
        return max(candidates, key=_order)
    target = visit.target_day
    nearest = min(abs(days_from(index_day, one) - target) for one in candidates)
    return min((one for one in candidates if abs(days_from(index_day, one) - target) == nearest), key=_order)


def _order(response: Response) -> tuple[date, datetime, str]:
    moment = response.moment
    if moment is None:
        raise ValueError(f"QuestionnaireResponse/{response.response_id} has no date")
    return moment.day, moment.instant or _BEFORE_ANY_TIME, response.response_id
