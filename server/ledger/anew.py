"""What refers to a resource that is written anew, under another id of the server, is written again with it."""

from __future__ import annotations

from collections.abc import Collection
from typing import Final

import sqlalchemy as sa

from server.ledger.planning import Change
from server.ledger.rows import change_rows, of_responses
from server.ledger.schema import outcomes
from server.ledger.states import State

REFERS_ANEW: Final = "refers to an outcome that is written anew"
_AT_REST: Final[frozenset[State]] = frozenset(("verified", "accepted", "already_there"))


def follow(connection: sa.Connection, site: str, keys: Collection[str], moment: str) -> int:
    """Plan again what is in the chart and refers to resources that get a new id there; returns how many that are.

    Args:
        connection: of the transaction.
        site: whose.
        keys: of what is written anew.
        moment: now, as the ledger writes it.
    """
    if not keys:
        return 0
    query = sa.select(outcomes.c.response_id).distinct()
    query = query.where(outcomes.c.site == site, outcomes.c.key.in_(keys), outcomes.c.response_id != "")
    held = of_responses(connection, site, list(connection.scalars(query)))
    values = {"state": "planned", "reason": REFERS_ANEW, "due": ""}
    changes = [
        Change(key=key, before=row["state"], values=values)
        for key, row in held.items()
        if row["ehr_id"] and row["state"] in _AT_REST and not row["is_withdrawn"] and _refers(row["content"], keys, key)
    ]
    change_rows(connection, site, changes, moment)
    return len(changes)


def _refers(content: bytes, keys: Collection[str], own: str) -> bool:
    """Whether a content names one of the keys, which are long enough to be nothing else."""
    return any(key.encode() in content for key in keys if key != own)
