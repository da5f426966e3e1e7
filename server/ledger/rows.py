"""Reading and writing rows of the ledger inside a transaction that is open."""

from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import Collection, Iterable, Sequence
from typing import Any

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql, sqlite

from server.ledger import states
from server.ledger.planning import Change
from server.ledger.schema import outcomes
from server.ledger.states import State

Row = dict[str, Any]


def of_responses(
    connection: sa.Connection,
    site: str,
    response_ids: Collection[str],
    columns: Sequence[sa.Column[Any]] = tuple(outcomes.c),
) -> dict[str, Row]:
    """Return the rows of these responses, by key."""
    query = sa.select(*columns).where(outcomes.c.site == site, outcomes.c.response_id.in_(response_ids))
    return {row["key"]: dict(row) for row in connection.execute(query).mappings()} if response_ids else {}


def of_keys(connection: sa.Connection, site: str, keys: Collection[str]) -> dict[str, Row]:
    """Return the rows of these keys, by key."""
    query = sa.select(outcomes).where(outcomes.c.site == site, outcomes.c.key.in_(keys))
    return {row["key"]: dict(row) for row in connection.execute(query).mappings()} if keys else {}


def locked(connection: sa.Connection, site: str, keys: Collection[str]) -> dict[str, Row]:
    """Return the rows of these keys, by key, which nobody else changes before the transaction ends."""
    query = sa.select(outcomes).where(outcomes.c.site == site, outcomes.c.key.in_(keys))
    query = query.order_by(outcomes.c.key).with_for_update()  # in one order, so that no two wait for each other
    return {row["key"]: dict(row) for row in connection.execute(query).mappings()} if keys else {}


def change_rows(connection: sa.Connection, site: str, changes: Iterable[Change], moment: str) -> None:
    """Write changes of rows; the one place where a state becomes another, besides a claim.

    Raises:
        IllegalTransitionError: a state may not follow the one before; nothing of the transaction is kept.
    """
    changes = list(changes)
    for change in changes:
        states.check(change.key, change.before, change.values["state"])
    for names, alike in itertools.groupby(changes, key=lambda change: tuple(change.values)):
        statement = outcomes.update().where(outcomes.c.site == site, outcomes.c.key == sa.bindparam("of_key"))
        values: dict[str, Any] = {name: sa.bindparam(f"new_{name}") for name in names}
        connection.execute(
            statement.values(**values, changed_at=moment),
            [{"of_key": one.key, **{f"new_{name}": value for name, value in one.values.items()}} for one in alike],
        )


def upsert(connection: sa.Connection, table: sa.Table, rows: Sequence[Row]) -> None:
    """Insert rows, or give those that are there the values that are named; all rows name the same columns."""
    if not rows:
        return
    insert = postgresql.insert if connection.dialect.name == "postgresql" else sqlite.insert
    statement = insert(table)
    keys = [column.name for column in table.primary_key]
    new = {name: statement.excluded[name] for name in rows[0] if name not in keys}
    connection.execute(statement.on_conflict_do_update(index_elements=keys, set_=new), list(rows))


def state_is_one_of(wanted: frozenset[State]) -> sa.ColumnElement[bool]:
    """Filter by state without its index: most rows are in one state, and the key finds those asked for faster."""
    return outcomes.c.state.concat("").in_(sorted(wanted))


def counted(connection: sa.Connection, query: sa.Select[Any]) -> Counter[State]:
    """Return a query's two columns, state and number, as a Counter."""
    return Counter({row[0]: row[1] for row in connection.execute(query)})
