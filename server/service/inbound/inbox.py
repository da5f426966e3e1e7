"""What was sent to the service, stored before it is answered; the inbox loses nothing and takes nothing twice.

One SQLite file of its own. Every version of every response stays, with what became of it:

received -> planned            its outcome is in the ledger
         -> without_outcome    it is unusable (entered-in-error, another instrument); an outcome planned before was
         withdrawn -> superseded         another version counts -> rejected           it was taken, but can no
         longer be read (its patient is gone); `problem` says why

`received` is the only state that asks for work, so a crash at any point is repaired by looking for it again.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final, Literal

import sqlalchemy as sa

from integration.warehouse import open_sqlite

SCHEMA_VERSION: Final = 1
State = Literal["received", "planned", "without_outcome", "superseded", "rejected"]
_BATCH: Final = 100

_metadata = sa.MetaData()
_arrivals = sa.Table(
    "arrival",
    _metadata,
    sa.Column("sequence", sa.Integer, primary_key=True, autoincrement=True),
    sa.Column("site", sa.String, nullable=False),
    sa.Column("response_id", sa.String, nullable=False),
    sa.Column("version", sa.Integer, nullable=False),
    sa.Column("content_hash", sa.String, nullable=False),
    sa.Column("body", sa.LargeBinary, nullable=False),
    sa.Column("received", sa.String, nullable=False),
    sa.Column("request_id", sa.String, nullable=False),
    sa.Column("state", sa.String, nullable=False),
    sa.Column("problem", sa.String, nullable=False),
    sa.UniqueConstraint("site", "response_id", "version"),
    sa.UniqueConstraint("site", "content_hash"),
    sa.Index("arrival_by_state", "site", "state", "sequence"),
    sqlite_autoincrement=True,
)


@dataclass(frozen=True, kw_only=True, slots=True)
class Arrival:
    """A response to store.

    Attributes:
        response_id: logical id, from the sender or given by the service.
        content_hash: of all that was sent; the same hash is the same request.
        body: the resource as JSON, with its id.
        request_id: of the HTTP request.
        expected_version: the version that must be the latest one (If-Match); None if any may be.
    """

    response_id: str
    content_hash: str
    body: bytes
    request_id: str
    expected_version: int | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class Receipt:
    """That a response is stored.

    Attributes:
        response_id: logical id.
        version: counted by the service for this id, from 1.
        is_replay: whether it had been stored before.
    """

    response_id: str
    version: int
    is_replay: bool


@dataclass(frozen=True, kw_only=True, slots=True)
class Entry:
    """A stored response.

    Attributes:
        sequence: position in the inbox.
        response_id: logical id.
        body: the resource as JSON.
    """

    sequence: int
    response_id: str
    body: bytes


class VersionConflictError(Exception):
    """The latest version is not the one that the sender expected."""


class Inbox:
    """The responses sent to one site's service. One object serves several threads."""

    def __init__(self, engine: sa.Engine, site: str, now: Callable[[], datetime]) -> None:
        self._engine, self._site, self._now = engine, site, now
        self._reading = engine.execution_options(is_read=True)

    @classmethod
    def open(cls, path: Path, site: str, *, now: Callable[[], datetime] = lambda: datetime.now(UTC)) -> Inbox:
        """Open or make the file.

        Raises:
            InputError: it cannot be opened, is no database, or was written by a newer version.
        """
        return cls(open_sqlite(path, _metadata, SCHEMA_VERSION), site, now)

    def close(self) -> None:
        """Close the file."""
        self._engine.dispose()

    def find(self, content_hash: str) -> Receipt | None:
        """Return the receipt of what was stored with this content, None if nothing was."""
        with self._reading.connect() as connection:
            return self._replay(connection, content_hash)

    def store(self, arrival: Arrival) -> Receipt:
        """Store a response; when this returns, it is on the disk. The same content again gives the first receipt.

        Raises:
            VersionConflictError: `expected_version` is not the latest version.
            sqlalchemy.exc.DBAPIError: the disk or the database refuses.
        """
        with self._engine.begin() as connection:
            if replay := self._replay(connection, arrival.content_hash):
                return replay
            latest = self._latest_version(connection, arrival.response_id)
            if arrival.expected_version not in (None, latest):
                raise VersionConflictError
            connection.execute(_arrivals.insert().values(self._row(arrival, latest + 1)))
        return Receipt(response_id=arrival.response_id, version=latest + 1, is_replay=False)

    def waiting(self, after: int = 0) -> list[Entry]:
        """Return the next responses, in order of arrival, that nothing was made of yet."""
        columns = _arrivals.c
        query = self._entries().where(columns.state == "received", columns.sequence > after).limit(_BATCH)
        return self._read(query)

    def versions(self, response_id: str) -> list[Entry]:
        """Return all versions of a response in order of arrival."""
        return self._read(self._entries().where(_arrivals.c.response_id == response_id))

    def settle(self, sequence: int, state: State, problem: str = "") -> None:
        """Record what became of a response; `problem` holds paths and reasons, no values."""
        statement = _arrivals.update().where(_arrivals.c.sequence == sequence)
        with self._engine.begin() as connection:
            connection.execute(statement.values(state=state, problem=problem))

    def counts(self) -> dict[str, int]:
        """Return how many stored versions are in each state."""
        query = sa.select(_arrivals.c.state, sa.func.count()).where(_arrivals.c.site == self._site)
        with self._reading.connect() as connection:
            return {row[0]: row[1] for row in connection.execute(query.group_by(_arrivals.c.state))}

    def _entries(self) -> sa.Select[Any]:
        columns = _arrivals.c
        query = sa.select(columns.sequence, columns.response_id, columns.body)
        return query.where(columns.site == self._site).order_by(columns.sequence)

    def _read(self, query: sa.Select[Any]) -> list[Entry]:
        with self._reading.connect() as connection:
            rows = connection.execute(query)
            return [Entry(sequence=row.sequence, response_id=row.response_id, body=row.body) for row in rows]

    def _replay(self, connection: sa.Connection, content_hash: str) -> Receipt | None:
        columns = _arrivals.c
        query = sa.select(columns.response_id, columns.version).where(
            columns.site == self._site, columns.content_hash == content_hash
        )
        row = connection.execute(query).first()
        return Receipt(response_id=row.response_id, version=row.version, is_replay=True) if row else None

    def _latest_version(self, connection: sa.Connection, response_id: str) -> int:
        columns = _arrivals.c
        query = sa.select(sa.func.max(columns.version)).where(
            columns.site == self._site, columns.response_id == response_id
        )
        return connection.scalar(query) or 0

    def _row(self, arrival: Arrival, version: int) -> dict[str, Any]:
        return {
            "site": self._site,
            "response_id": arrival.response_id,
            "version": version,
            "content_hash": arrival.content_hash,
            "body": arrival.body,
            "received": self._now().isoformat(timespec="milliseconds"),
            "request_id": arrival.request_id,
            "state": "received",
            "problem": "",
        }
