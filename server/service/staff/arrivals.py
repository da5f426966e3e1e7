"""What of the inbox a person looks at: who sent what was set aside, and what came late; reading only, no content."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import sqlalchemy as sa

from server.service.inbound.inbox import Inbox
from server.service.inbound.schema import arrivals

_COUNTS_NOT: Final = ("quarantined", "superseded")


@dataclass(frozen=True, kw_only=True, slots=True)
class Late:
    """A version that came last and does not count, for one that came before is newer by its own numbering.

    Attributes:
        sequence: position in the inbox.
        resource_type: FHIR type.
        resource_id: logical id.
        version: as the service counts them, from 1.
        counting: the version that counts, counted likewise.
        caller: who sent it.
        request_id: of the HTTP request.
        received: when it was stored; ISO 8601, UTC.
    """

    sequence: int
    resource_type: str
    resource_id: str
    version: int
    counting: int
    caller: str
    request_id: str
    received: str


def late(inbox: Inbox, *, after: int, limit: int) -> list[Late]:
    """Return the late versions behind a position, in order of arrival; one a resource at most."""
    others = arrivals.alias()
    counting = sa.select(sa.func.max(others.c.version)).where(*_are_one(others), others.c.state.not_in(_COUNTS_NOT))
    names = [name for name in Late.__slots__ if name != "counting"]
    query = sa.select(*(arrivals.c[name] for name in names), counting.scalar_subquery().label("counting"))
    query = query.where(*_are_late(inbox), arrivals.c.sequence > after).order_by(arrivals.c.sequence).limit(limit)
    with inbox.reading.connect() as connection:
        return [Late(**row) for row in connection.execute(query).mappings()]


def count_late(inbox: Inbox) -> int:
    """Return how many late versions there are."""
    query = sa.select(sa.func.count()).select_from(arrivals).where(*_are_late(inbox))
    with inbox.reading.connect() as connection:
        return connection.scalar(query) or 0


def senders(inbox: Inbox) -> Sequence[str]:
    """Return who sent what was set aside, each once, in order."""
    query = sa.select(arrivals.c.caller).distinct().order_by(arrivals.c.caller)
    with inbox.reading.connect() as connection:
        return list(connection.scalars(query.where(arrivals.c.site == inbox.site, arrivals.c.state == "quarantined")))


def _are_late(inbox: Inbox) -> list[sa.ColumnElement[bool]]:
    later = arrivals.alias()
    is_newer = (later.c.version > arrivals.c.version, later.c.state != "quarantined")  # what is set aside is no version
    is_last = ~sa.exists().where(*_are_one(later), *is_newer)
    return [arrivals.c.site == inbox.site, arrivals.c.state == "superseded", is_last]


def _are_one(others: sa.FromClause) -> list[sa.ColumnElement[bool]]:
    """Return the conditions that rows are of the same resource."""
    return [others.c[name] == arrivals.c[name] for name in ("site", "resource_type", "resource_id")]
