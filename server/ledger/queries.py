"""What a ledger knows of its outcomes: reading only. Each method sees one state of the ledger, and blocks nobody."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Collection, Iterable
from typing import Any, Final

import sqlalchemy as sa

from server.ledger import engine, planning, states
from server.ledger.entries import Entry
from server.ledger.rows import counted, state_is_one_of
from server.ledger.schema import outcomes, responses
from server.ledger.states import State

BATCH: Final = 250
ENTRY_COLUMNS: Final = [outcomes.c[name] for name in Entry.__slots__]


class Queries:
    """The reading half of a ledger.

    Args:
        opened: the ledger's database.
        now: the time as the ledger writes it.
    """

    def __init__(self, opened: sa.Engine, now: Callable[[], str]) -> None:
        self._reading, self._moment = engine.reading(opened), now

    @property
    def reading(self) -> sa.Engine:
        """The engine for transactions that only read, for what asks more of a ledger than is asked here."""
        return self._reading

    def due(self, site: str, *, after: str | None, limit: int) -> list[Entry]:
        """Return what could be sent now, in order of response id after `after`, whole responses only, taking no lease.

        At most `limit` entries, which must exceed those of one response. The Devices (response id empty) come first.
        """
        query = of(site, outcomes.c.due <= self._moment())
        if after is not None:
            query = query.where(outcomes.c.response_id > after)
        query = query.order_by(outcomes.c.response_id).limit(limit)
        with self._reading.connect() as connection:
            # One query a state: then the index gives them in order, whatever else the ledger holds.
            found = [e for state in states.DUE for e in entries_of(query.where(outcomes.c.state == state), connection)]
        entries = sorted(found, key=sending_order)[:limit]
        if len(entries) == limit and entries[0].response_id != entries[-1].response_id:
            entries = [entry for entry in entries if entry.response_id != entries[-1].response_id]
        return entries

    def in_chart(self, site: str, *, after: str, limit: int) -> list[Entry]:
        """Return what the chart is said to hold, and what a person was asked to mend there, in order of key."""
        may_be_there = sa.or_(outcomes.c.ehr_id != "", outcomes.c.sent_hash != "")
        is_not_replaced = outcomes.c.reason.not_like(f"{planning.REPLACED}%")
        is_by_hand = outcomes.c.reason.contains(planning.BY_HAND)
        in_chart = sa.or_(
            sa.and_(outcomes.c.state == "manual", is_by_hand),
            state_is_one_of(states.IN_CHART - {"retracted"}),
            sa.and_(outcomes.c.state.in_(("retracted", "manual")), may_be_there, is_not_replaced),
        )
        return self._read(of(site, outcomes.c.key > after, in_chart).order_by(outcomes.c.key).limit(limit))

    def in_state(self, site: str, wanted: Iterable[State], *, after: str = "", limit: int = BATCH) -> list[Entry]:
        """Return entries in these states, in order of response id and key, behind the entry of key `after`.

        What it costs is by how many are returned, whatever else the ledger holds: one query a state, by the index.
        """
        its_response = sa.select(outcomes.c.response_id).where(outcomes.c.site == site, outcomes.c.key == after)
        with self._reading.connect() as connection:
            last = (connection.scalar(its_response) if after else None) or ""
            is_behind = sa.or_(outcomes.c.response_id > last, outcomes.c.key > after)
            query = of(site, outcomes.c.response_id >= last, is_behind)
            query = query.order_by(outcomes.c.response_id, outcomes.c.key).limit(limit)
            found = [
                e for state in sorted(wanted) for e in entries_of(query.where(outcomes.c.state == state), connection)
            ]
        return sorted(found, key=lambda entry: (entry.response_id, entry.key))[:limit]

    def entries(self, site: str, keys: Iterable[str]) -> list[Entry]:
        """Return these entries, in order of key."""
        return self._read(of(site, outcomes.c.key.in_(list(keys))).order_by(outcomes.c.key))

    def keys_beginning(self, site: str, beginning: str, *, limit: int) -> list[str]:
        """Return the keys that begin so, in order; empty for an empty beginning."""
        query = sa.select(outcomes.c.key).where(
            outcomes.c.site == site, outcomes.c.key >= beginning, outcomes.c.key < f"{beginning}\uffff"
        )
        with self._reading.connect() as connection:
            return list(connection.scalars(query.order_by(outcomes.c.key).limit(limit))) if beginning else []

    def of_responses(self, site: str, response_ids: Collection[str]) -> list[Entry]:
        """Return every entry of these responses, in order of response id, then of sending."""
        return sorted(self._read(of(site, outcomes.c.response_id.in_(response_ids))), key=sending_order)

    def being_taken_back(self, site: str, response_ids: Collection[str]) -> list[Entry]:
        """Return what of these responses was withdrawn, and the chart was not seen to have taken back."""
        is_open = sa.and_(outcomes.c.is_withdrawn, outcomes.c.state != "retracted")
        has_status = outcomes.c.kind.not_in(sorted(planning.GOES_ALONG))
        return self._read(of(site, outcomes.c.response_id.in_(response_ids), is_open, has_status))

    def ehr_ids(self, site: str, keys: Iterable[str]) -> dict[str, str]:
        """Return the server's id of each of these keys that it is known for."""
        query = sa.select(outcomes.c.key, outcomes.c.ehr_id).where(
            outcomes.c.site == site, outcomes.c.key.in_(list(keys)), outcomes.c.ehr_id != ""
        )
        with self._reading.connect() as connection:
            return {row.key: row.ehr_id for row in connection.execute(query)}

    def holders(self, site: str, resource_type: str, ehr_ids: Collection[str]) -> dict[str, str]:
        """Return, by the server's id, the key of what of ours is known to be there; others are left out."""
        query = sa.select(outcomes.c.ehr_id, outcomes.c.key).where(
            outcomes.c.site == site, outcomes.c.ehr_id.in_(ehr_ids), outcomes.c.ehr_id != sa.literal_column("''")
        )
        with self._reading.connect() as connection:
            found = connection.execute(query.where(outcomes.c.resource_type == resource_type))
            return {row.ehr_id: row.key for row in found}

    def counts(self, site: str, *, resource_type: str = "") -> Counter[State]:
        """Return how many resources are in each state; only those of one type if it is named."""
        with self._reading.connect() as connection:
            query = sa.select(outcomes.c.state, sa.func.count()).where(outcomes.c.site == site)
            if resource_type:
                query = query.where(outcomes.c.resource_type == resource_type)
            return counted(connection, query.group_by(outcomes.c.state))

    def books(self, site: str) -> states.Books:
        """Count every outcome of a site, in one view of the ledger."""
        noting = sa.select(responses.c.reason, sa.func.count(), sa.func.sum(responses.c.observations))
        noting = noting.where(responses.c.site == site, responses.c.response_id != "").group_by(responses.c.reason)
        held = sa.select(outcomes.c.state, sa.func.sum(outcomes.c.observations)).where(outcomes.c.site == site)
        is_document = outcomes.c.kind == sa.literal_column("'document'")  # the index's own words, so that it is used
        left = sa.select(sa.func.count()).where(
            outcomes.c.site == site, is_document, outcomes.c.is_withdrawn.is_(True), outcomes.c.state != "retracted"
        )
        with self._reading.connect() as connection:
            noted = connection.execute(noting).all()
            by_state = counted(connection, held.group_by(outcomes.c.state))
            leftover = connection.execute(left).scalar_one()
        lines = Counter(dict.fromkeys(states.LINES, 0))
        for state, count in by_state.items():
            lines[states.line(state)] += count
        by_reason = {reason: count for reason, count, _ in noted}
        return states.Books(
            site=site,
            outcomes=sum(observations for _, _, observations in noted),
            lines=lines,
            responses=sum(by_reason.values()),
            scored=by_reason.pop("", 0),
            not_scorable=dict(sorted(by_reason.items())),
            leftover=leftover,
        )

    def due_types(self, site: str) -> set[str]:
        """Return the FHIR types of everything that is due now or later."""
        query = sa.select(outcomes.c.resource_type).distinct()
        with self._reading.connect() as connection:
            return set(connection.scalars(query.where(outcomes.c.site == site, outcomes.c.state.in_(states.DUE))))

    def _read(self, query: sa.Select[Any]) -> list[Entry]:
        with self._reading.connect() as connection:
            return entries_of(query, connection)


def of(site: str, *conditions: sa.ColumnElement[bool]) -> sa.Select[Any]:
    """Return the query for entries of a site."""
    return sa.select(*ENTRY_COLUMNS).where(outcomes.c.site == site, *conditions)


def entries_of(query: sa.Select[Any], connection: sa.Connection) -> list[Entry]:
    """Run such a query."""
    return [entry(row) for row in connection.execute(query).mappings()]


def entry(row: sa.RowMapping) -> Entry:
    """Return a row of such a query as an entry."""
    return Entry(**row)


def sending_order(entry: Entry) -> tuple[str, int]:
    """Return what entries are sorted by to be sent: by response, then each after what it refers to."""
    return entry.response_id, planning.RANKS[entry.kind]
