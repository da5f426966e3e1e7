"""What is in some states, response by response: for whoever looks often into a ledger where few are."""

from __future__ import annotations

from collections.abc import Iterable

from server.ledger import queries
from server.ledger.entries import Entry
from server.ledger.schema import outcomes
from server.ledger.states import State
from server.ledger.store import Ledger


def in_state(ledger: Ledger, site: str, wanted: Iterable[State], *, after: str | None, limit: int) -> list[Entry]:
    """Return entries in these states, in order of response id after `after`, whole responses only.

    What it costs is by how many are returned, whatever else the ledger holds: one query a state, by the index.

    Args:
        ledger: which.
        site: whose.
        wanted: the states.
        after: a response id; None for the first, which gives the Devices (response id empty) too.
        limit: entries at most, unless one response has more.
    """
    found: list[Entry] = []
    with ledger.reading.connect() as connection:
        for state in wanted:
            query = queries.of(site, outcomes.c.state == state)
            if after is not None:
                query = query.where(outcomes.c.response_id > after)
            query = query.order_by(outcomes.c.response_id).limit(limit + 1)
            found += queries.entries_of(query, connection)
    entries = sorted(found, key=queries.sending_order)
    if len(entries) > limit:
        last = entries[limit].response_id
        entries = [one for one in entries[:limit] if one.response_id < last] or [
            one for one in entries if one.response_id == entries[0].response_id
        ]
    return entries
