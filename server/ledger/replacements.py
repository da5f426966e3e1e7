"""What becomes of a document in the chart when the one that was to replace it never got there."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import sqlalchemy as sa

from server.ledger.planning import REPLACED, Change, left_standing
from server.ledger.rows import Row
from server.ledger.schema import outcomes


def with_older(
    connection: sa.Connection, site: str, held: Mapping[str, Row], changes: Sequence[Change]
) -> list[Change]:
    """Return changes of rows, and those that follow of documents which stay in the chart because of them.

    Args:
        connection: of the transaction that will write them.
        site: whose.
        held: the rows that change, by key.
        changes: what came of requests, or of reading.
    """
    followed: list[Change] = []
    for change in changes:
        followed.append(change)
        row = held[change.key]
        if row["kind"] == "document" and _is_withdrawn_unsent(row, change):
            older = _replaced_by(connection, site, change.key)
            left = left_standing(older, row["observations"]) if older else None
            if left:
                change.values["observations"] = 0
                followed.append(left)
    return followed


def _is_withdrawn_unsent(row: Row, change: Change) -> bool:
    return bool(row["is_withdrawn"]) and change.values["state"] == "retracted" and not change.values["ehr_id"]


def _replaced_by(connection: sa.Connection, site: str, key: str) -> Row | None:
    query = sa.select(outcomes).where(
        outcomes.c.site == site, outcomes.c.state == "retracted", outcomes.c.reason == f"{REPLACED}{key}"
    )
    row = connection.execute(query.with_for_update()).mappings().one_or_none()
    return dict(row) if row else None
