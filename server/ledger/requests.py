"""Which request a row belongs to while it is on its way: only that one's answer changes the row.

A claim writes the id of its request on the row. Any settlement, and a worker that takes the response over after the
lease ended, takes it off: an answer that comes later is noted with its attempt, and the row is left to who has it now.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence

import sqlalchemy as sa

from server.ledger.entries import Settlement
from server.ledger.rows import Row
from server.ledger.schema import attempts, outcomes


def of_key(request_id: str | Mapping[str, str], key: str) -> str:
    """Return the id of the request that a resource goes in: the one of all, or its own."""
    return request_id if isinstance(request_id, str) else request_id[key]


def own(
    held: Mapping[str, Row], settlements: Sequence[Settlement], request_id: str | Mapping[str, str]
) -> list[Settlement]:
    """Return the settlements that may change their rows: no request, or no other one, is on its way with them."""
    return [one for one in settlements if held[one.key]["request_id"] == of_key(request_id, one.key)]


def take_over(connection: sa.Connection, site: str, response_ids: Sequence[str]) -> None:
    """Take rows on their way from the requests of workers that are gone; whoever calls it leases the responses."""
    if not response_ids:
        return
    is_taken = sa.and_(outcomes.c.site == site, outcomes.c.response_id.in_(response_ids), outcomes.c.request_id != "")
    query = sa.select(outcomes.c.key).where(is_taken).order_by(outcomes.c.key).with_for_update()
    if keys := list(connection.scalars(query)):
        connection.execute(
            outcomes.update().where(outcomes.c.site == site, outcomes.c.key.in_(keys)).values(request_id="")
        )


def on_rows(request_id: str | Mapping[str, str]) -> str | sa.ColumnElement[str]:
    """Return the value that a claim gives the column of each of its rows."""
    if isinstance(request_id, str):
        return request_id
    return sa.case(dict(request_id), value=outcomes.c.key)


def note_answered(
    connection: sa.Connection,
    site: str,
    settlements: Sequence[Settlement],
    request_id: str | Mapping[str, str],
    moment: str,
    *,
    own_keys: Collection[str],
) -> None:
    """Write down what a request came to with its attempts; the id out of a late answer too, which no row gets.

    Args:
        connection: of the transaction.
        site: whose.
        settlements: what came of each resource.
        request_id: of the request, or of each one's own, by key.
        moment: when.
        own_keys: of what changed its row.
    """
    of_request = attempts.c.request_id == sa.bindparam("of_request")
    attempt = attempts.update().where(attempts.c.site == site, of_request, attempts.c.key == sa.bindparam("of_key"))
    names = ("http_status", "result", "reason", "ehr_id")
    answered = attempt.values(settled_at=moment, **{name: sa.bindparam(f"new_{name}") for name in names})
    rows = [
        {"of_key": one.key, "of_request": of_key(request_id, one.key), "new_http_status": one.http_status,
         "new_result": one.state, "new_reason": one.reason, "new_ehr_id": "" if one.key in own_keys else one.ehr_id}
        for one in settlements
    ]  # fmt: skip
    connection.execute(answered, rows)
