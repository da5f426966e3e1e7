"""Adverse events that count: soon after a session, or blamed on one of its procedures."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import date
from typing import Literal

from integration.cohort.sessions import Session
from integration.records import AdverseEvent


@dataclass(frozen=True, kw_only=True, slots=True)
class CountedEvent:
    """An adverse event and the session that it counts for.

    Attributes:
        event: the record.
        session: the linked session, else the last one before the event.
        days: from the session to the event; None if the event is undated.
        linked_by: how it came to count; a named suspect goes before a date.
    """

    event: AdverseEvent
    session: Session
    days: int | None
    linked_by: Literal["date", "suspectEntity"]


def counted(events: Iterable[AdverseEvent], sessions: Sequence[Session], days_after: int) -> Iterator[CountedEvent]:
    """Yield a patient's events that count, in the order given.

    Args:
        events: actual ones.
        sessions: the patient's, in order of date.
        days_after: an event counts from a session's day up to this many days after it.
    """
    for event in events:
        day = event.moment.day if event.moment else None
        suspected = [one for one in sessions if not event.suspects.isdisjoint(one.procedure_ids)]
        if suspected:
            yield _counted(event, _last_before(suspected, day) or suspected[0], day, "suspectEntity")
        elif day is not None and (session := _last_before(sessions, day)) and (day - session.day).days <= days_after:
            yield _counted(event, session, day, "date")


def _last_before(sessions: Sequence[Session], day: date | None) -> Session | None:
    return next((one for one in reversed(sessions) if day is not None and one.day <= day), None)


def _counted(
    event: AdverseEvent, session: Session, day: date | None, linked_by: Literal["date", "suspectEntity"]
) -> CountedEvent:
    days = (day - session.day).days if day is not None else None
    return CountedEvent(event=event, session=session, days=days, linked_by=linked_by)
