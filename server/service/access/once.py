"""What may be used once only: a token's `jti`, a login's `state`; and sessions that were ended before their time.

One table that every process of an installation shares, in the state folder or in the ledger's PostgreSQL. It holds
hashes, each until what it stands for would have expired anyway.
"""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Final, Literal

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql, sqlite

from server.ledger.tables import open_tables

SCHEMA_VERSION: Final = 1
Kind = Literal["jti", "login", "launch", "session-ended"]

_LOCK: Final = 0x6F75_7463_6F6D_6574
"""Key of the advisory lock under which the table is made; one more than the ledger's own."""
_PRUNE_EVERY: Final = 200
_metadata = sa.MetaData()
_once = sa.Table(
    "access_once",
    _metadata,
    sa.Column("kind", sa.String(16), primary_key=True),
    sa.Column("digest", sa.String(64), primary_key=True),
    sa.Column("until", sa.BigInteger, nullable=False, index=True),
)


class Once:
    """What was used, and until when that matters. Threads share one object."""

    def __init__(self, engine: sa.Engine, now: Callable[[], datetime]) -> None:
        self._engine, self._now = engine, now
        self._uses = 0
        self._counting = threading.Lock()

    @classmethod
    def open(cls, place: Path | str, *, now: Callable[[], datetime] = lambda: datetime.now(UTC)) -> Once:
        """Open or make the table: in a SQLite file, or in the database of a PostgreSQL URL.

        Raises:
            InputError: it cannot be opened.
        """
        name = "the table of what was used once"
        engine = open_tables(place, _metadata, schema_version=SCHEMA_VERSION, lock=_LOCK, name=name)
        return cls(engine, now)

    def close(self) -> None:
        """Close it."""
        self._engine.dispose()

    def is_first(self, kind: Kind, value: str, until: float) -> bool:
        """Record a use, and return whether it is the first.

        Args:
            kind: what it is; equal values of different kinds have nothing to do with each other.
            value: what is used; only its hash is kept.
            until: seconds since 1970 after which it is refused for its age.

        Raises:
            sqlalchemy.exc.DBAPIError: the disk or the database refuses; then nobody knows.
        """
        self._prune()
        insert = postgresql.insert if self._engine.dialect.name == "postgresql" else sqlite.insert
        row = {"kind": kind, "digest": _digest(value), "until": int(until) + 1}
        statement = insert(_once).values(row).on_conflict_do_nothing().returning(_once.c.kind)
        with self._engine.begin() as connection:  # no driver's count of rows is relied on: psycopg's is unknown here
            return connection.execute(statement).first() is not None

    def was_used(self, kind: Kind, value: str) -> bool:
        """Whether it was used before."""
        query = sa.select(_once.c.until).where(_once.c.kind == kind, _once.c.digest == _digest(value))
        with self._engine.execution_options(is_read=True).connect() as connection:
            return connection.execute(query).first() is not None

    def _prune(self) -> None:
        """Forget what has expired, now and then."""
        with self._counting:
            is_due = self._uses % _PRUNE_EVERY == 0
            self._uses += 1
        if is_due:
            with self._engine.begin() as connection:
                connection.execute(_once.delete().where(_once.c.until < int(self._now().timestamp())))


def make_table(engine: sa.Engine) -> None:
    """Make the table in a database of its own."""
    _metadata.create_all(engine)


def _digest(value: str) -> str:
    return hashlib.sha256(value.encode("utf-8", "surrogatepass")).hexdigest()
