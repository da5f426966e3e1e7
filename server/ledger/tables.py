"""Tables that stand beside the ledger's and know nothing of it: in a SQLite file of their own, or in its PostgreSQL."""

from __future__ import annotations

from pathlib import Path

import sqlalchemy as sa

from integration.errors import InputError
from integration.warehouse import open_sqlite
from server.ledger.engine import postgresql_engine, shown


def open_tables(place: Path | str, metadata: sa.MetaData, *, schema_version: int, lock: int, name: str) -> sa.Engine:
    """Open or make tables that every process of an installation shares.

    Args:
        place: a SQLite file, or a PostgreSQL URL.
        metadata: the tables.
        schema_version: of the file.
        lock: key of the advisory lock under which they are made in PostgreSQL, any that nothing else there has.
        name: what they are, for a sentence: `the table of …`.

    Raises:
        InputError: they cannot be opened or made.
    """
    if isinstance(place, Path):
        return open_sqlite(place, metadata, schema_version)
    try:
        engine = postgresql_engine(place, pool_pre_ping=True)
        with engine.begin() as connection:
            connection.exec_driver_sql(f"SELECT pg_advisory_xact_lock({lock:d})")
            metadata.create_all(connection)
    except sa.exc.DBAPIError as error:
        raise InputError(path=shown(place), problem=f"{name} cannot be made") from error
    return engine
