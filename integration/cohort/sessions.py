"""Treatment sessions: all completed venoplasty and venous stent procedures of a patient on one calendar date."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date, datetime

from integration.records import Procedure, Site


@dataclass(frozen=True, kw_only=True, slots=True)
class Session:
    """One session.

    Attributes:
        day: the calendar date.
        start: the earliest time that was written for it, aware; None if no procedure has one.
        procedure_ids: of its procedures, sorted.
        sites: the distinct veins treated.
        has_stent: whether any of them is a venous stent.
    """

    day: date
    start: datetime | None
    procedure_ids: tuple[str, ...]
    sites: frozenset[Site]
    has_stent: bool


def sessions(procedures: Iterable[Procedure]) -> list[Session]:
    """Return a patient's sessions in order of date; the first is the index procedure."""
    by_day: dict[date, list[Procedure]] = {}
    for procedure in procedures:
        if procedure.is_treatment:
            by_day.setdefault(procedure.moment.day, []).append(procedure)
    return [_session(day, by_day[day]) for day in sorted(by_day)]


def _session(day: date, procedures: list[Procedure]) -> Session:
    starts = [one.moment.instant for one in procedures if one.moment.instant is not None]
    return Session(
        day=day,
        start=min(starts, default=None),
        procedure_ids=tuple(sorted(one.procedure_id for one in procedures)),
        sites=frozenset().union(*(one.sites for one in procedures)),
        has_stent=any(one.is_stent for one in procedures),
    )
