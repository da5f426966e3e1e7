"""The inbox's tables, in a SQLite file of their own or in the ledger's PostgreSQL."""

from __future__ import annotations

from pathlib import Path
from typing import Final

import sqlalchemy as sa

from integration.errors import InputError
from integration.warehouse import open_sqlite
from server.ledger import engine as ledger_engine

SCHEMA_VERSION: Final = 3
_PATIENCE_SECONDS: Final = 10
_LOCK: Final = 0x6F75_7463_696E_626F
"""Key of the advisory lock under which one process after the other writes; the ledger has another."""

metadata = sa.MetaData()
_Number = sa.BigInteger().with_variant(sa.Integer, "sqlite")

arrivals = sa.Table(
    "arrival",
    metadata,
    sa.Column("sequence", _Number, primary_key=True, autoincrement=True),
    sa.Column("site", sa.String, nullable=False),
    sa.Column("resource_type", sa.String, nullable=False),
    sa.Column("resource_id", sa.String, nullable=False),
    sa.Column("version", sa.Integer, nullable=False),
    sa.Column("content_hash", sa.String, nullable=False),
    sa.Column("body", sa.LargeBinary, nullable=False),
    sa.Column("received", sa.String, nullable=False),
    sa.Column("request_id", sa.String, nullable=False),
    sa.Column("caller", sa.String, nullable=False),
    sa.Column("is_next", sa.Boolean, nullable=False),
    sa.Column("state", sa.String, nullable=False),
    sa.Column("problem", sa.String, nullable=False),
    sa.UniqueConstraint("site", "resource_type", "resource_id", "version"),
    sa.Index("arrival_by_content", "site", "content_hash"),
    sa.Index("arrival_by_state", "site", "state", "sequence"),
    sqlite_autoincrement=True,
)
exchanges = sa.Table(
    "exchange",
    metadata,
    sa.Column("id", sa.String, primary_key=True),
    sa.Column("site", sa.String, nullable=False),
    sa.Column("caller", sa.String, nullable=False),
    sa.Column("request_id", sa.String, nullable=False),
    sa.Column("content_hash", sa.String, nullable=False),
    sa.Column("status", sa.Integer, nullable=False),
    sa.Column("headers", sa.String, nullable=False),
    sa.Column("body", sa.LargeBinary, nullable=False),
    sa.Column("received", sa.String, nullable=False),
    sa.Index("exchange_by_content", "site", "content_hash"),
)
replay_keys = sa.Table(
    "replay_key",
    metadata,
    sa.Column("site", sa.String, primary_key=True),
    sa.Column("key", sa.String, primary_key=True),
    sa.Column("content_hash", sa.String, nullable=False),
    sa.Column("exchange", sa.String, nullable=False),
)
deferred = sa.Table(
    "deferred",
    metadata,
    sa.Column("id", sa.String, primary_key=True),
    sa.Column("site", sa.String, nullable=False),
    sa.Column("caller", sa.String, nullable=False),
    sa.Column("request", sa.String, nullable=False),
    sa.Column("body", sa.LargeBinary, nullable=False),
    sa.Column("received", sa.String, nullable=False),
    sa.Column("is_open", sa.Boolean, nullable=False),
    sa.Column("status", sa.Integer, nullable=False),
    sa.Column("result", sa.LargeBinary, nullable=False),
    sa.Index("deferred_by_state", "site", "is_open", "received"),
)
leases = sa.Table(
    "planner_lease",
    metadata,
    sa.Column("site", sa.String, primary_key=True),
    sa.Column("holder", sa.String, nullable=False),
    sa.Column("until", sa.String, nullable=False),
)
pulls = sa.Table(
    "pull",
    metadata,
    sa.Column("site", sa.String, primary_key=True),
    sa.Column("asked", sa.Integer, nullable=False),
    sa.Column("served", sa.Integer, nullable=False),
    sa.Column("watermark", sa.String, nullable=False),
)
_version = sa.Table("inbox_schema", metadata, sa.Column("version", sa.Integer, primary_key=True))


def open_engine(place: Path | str) -> sa.Engine:
    """Open or make the inbox.

    Args:
        place: a SQLite file, or the ledger's PostgreSQL URL.

    Raises:
        InputError: it cannot be opened, is no database, or was written by another version.
        ConfigurationError: the URL cannot be used, or the driver is not installed.
    """
    if isinstance(place, Path):
        return open_sqlite(place, metadata, SCHEMA_VERSION)
    engine = ledger_engine.open_ledger_engine(place)
    try:
        _make(engine, place)
    except BaseException:
        engine.dispose()
        raise
    return engine


def reading(engine: sa.Engine) -> sa.Engine:
    """Return the engine for transactions that only read."""
    return ledger_engine.reading(engine)


def writing(engine: sa.Engine) -> sa.Engine:
    """Return the engine for transactions that write the inbox; they wait for `alone`, never for the ledger's."""
    if engine.dialect.name == "postgresql":
        return engine.execution_options(is_read=True)  # of the ledger it writes nothing, so its lock is left alone
    return engine


def alone(connection: sa.Connection, *, seconds: int = _PATIENCE_SECONDS) -> None:
    """Have this transaction write alone until its end, among all processes; SQLite's own lock does that already.

    Args:
        connection: in the transaction.
        seconds: how long it waits for the one before, and how long it may then do nothing before it is ended.

    Raises:
        LedgerError: another transaction did not end in time.
    """
    if connection.dialect.name == "postgresql":
        limits = ("lock_timeout", seconds), ("idle_in_transaction_session_timeout", _PATIENCE_SECONDS)
        told = ", ".join(f"set_config('{name}', '{limit:d}s', true)" for name, limit in limits)
        connection.exec_driver_sql(f"SELECT {told}")
        connection.exec_driver_sql(f"SELECT pg_advisory_xact_lock({_LOCK})")


def _make(engine: sa.Engine, url: str) -> None:
    with writing(engine).begin() as connection:
        alone(connection)
        metadata.create_all(connection)
        found = connection.scalar(sa.select(sa.func.max(_version.c.version)))
        if found is None:
            connection.execute(_version.insert().values(version=SCHEMA_VERSION))
        elif found != SCHEMA_VERSION:
            problem = f"its inbox was written by another version (schema {found}, this is {SCHEMA_VERSION})"
            raise InputError(path=ledger_engine.shown(url), problem=f"{problem}; use that version, or move it away")
