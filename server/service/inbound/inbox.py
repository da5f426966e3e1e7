"""What was sent to the service, stored before it is answered; the inbox loses nothing and takes nothing twice.

A SQLite file of its own, or tables in the ledger's PostgreSQL; several processes may work on either. Every version of
every resource stays, with what became of it:

received -> planned            a response's outcome is in the ledger
         -> without_outcome    the response is unusable (entered-in-error, another instrument); an outcome planned
                               before was withdrawn
         -> kept               another resource is in the warehouse
         -> superseded         another version counts
         -> rejected           it was taken, but can no longer be read (its patient is gone); `problem` says why
quarantined -> received        a person had it taken again

`received` is the only state that asks for work, so a crash at any point is repaired by looking for it again. What is
`quarantined` was never read: its source wants what cannot be used set aside, and `problem` says why it is.
"""

from __future__ import annotations

import uuid
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

import sqlalchemy as sa

from server.service.inbound import schema, statements
from server.service.inbound.commits import Commit
from server.service.inbound.counting import Sent
from server.service.inbound.deferred import Deferred
from server.service.inbound.deposits import Answer, State, Taken, Unit
from server.service.inbound.lease import Lease
from server.service.inbound.pulls import Pulls
from server.service.inbound.schema import arrivals
from server.service.inbound.submission import INPUT_TYPES

_BATCH: Final = 100
_CHECK_SECONDS: Final = 2


@dataclass(frozen=True, kw_only=True, slots=True)
class Entry:
    """A stored version of a resource.

    Attributes:
        sequence: position in the inbox.
        resource_type: FHIR type.
        resource_id: logical id.
        version: from 1.
        body: the resource as JSON.
        received: when it was stored; ISO 8601, UTC.
        problem: why it is or was set aside; empty if it never was.
    """

    sequence: int
    resource_type: str
    resource_id: str
    version: int
    body: bytes
    received: str
    problem: str

    @property
    def was_quarantined(self) -> bool:
        """Whether it waits because a person had it taken again."""
        return bool(self.problem)


@dataclass(frozen=True, kw_only=True, slots=True)
class Arrived:
    """A stored version with where it came from.

    Attributes:
        sequence: position in the inbox.
        resource_type: FHIR type; empty for what is no resource.
        resource_id: logical id.
        version: from 1.
        caller: who sent it.
        request_id: of the HTTP request.
        received: when it was stored; ISO 8601, UTC.
        body: as sent.
    """

    sequence: int
    resource_type: str
    resource_id: str
    version: int
    caller: str
    request_id: str
    received: str
    body: bytes


@dataclass(frozen=True, kw_only=True, slots=True)
class Quarantined:
    """What was set aside, without its content.

    Attributes:
        sequence: position in the inbox; by it, it is taken again.
        resource_type: FHIR type; empty for what is no resource.
        resource_id: logical id.
        caller: who sent it.
        request_id: of the HTTP request.
        received: when it was stored; ISO 8601, UTC.
        problem: why.
        length: of its content in bytes.
    """

    sequence: int
    resource_type: str
    resource_id: str
    caller: str
    request_id: str
    received: str
    problem: str
    length: int


@dataclass(frozen=True, kw_only=True, slots=True)
class Settled:
    """What became of a stored version; `problem` holds paths and reasons, no values."""

    sequence: int
    state: State
    problem: str = ""


class Inbox:
    """What was sent to one site's service. One object serves several threads.

    Attributes:
        deferred: what is worked on after it was answered.
        lease: which process plans.
        pulls: what is to be read from the site, and how far that was done.
    """

    def __init__(self, engine: sa.Engine, site: str, now: Callable[[], datetime]) -> None:
        self.site, self._engine, self._now = site, engine, now
        self._reading, self._writing = schema.reading(engine), schema.writing(engine)
        self.deferred = Deferred(engine, site)
        self.lease = Lease(engine, site, now)
        self.pulls = Pulls(engine, site)

    @classmethod
    def open(cls, place: Path | str, site: str, *, now: Callable[[], datetime] = lambda: datetime.now(UTC)) -> Inbox:
        """Open or make the inbox.

        Args:
            place: a SQLite file, or a PostgreSQL URL.
            site: whose responses come.
            now: the clock.

        Raises:
            InputError: it cannot be opened, is no database, or was written by another version.
            ConfigurationError: the URL cannot be used, or the driver is not installed.
        """
        return cls(schema.open_engine(place), site, now)

    @property
    def reading(self) -> sa.Engine:
        """For transactions that only read."""
        return self._reading

    def close(self) -> None:
        """Close the database."""
        self._engine.dispose()

    def check_writable(self) -> None:
        """Write, and take it back.

        Raises:
            sqlalchemy.exc.DBAPIError, LedgerError: the disk or the database refuses, or another process writes to it
                and does not end.
        """
        with self._writing.connect() as connection, connection.begin() as transaction:
            schema.alone(connection, seconds=_CHECK_SECONDS)
            connection.execute(arrivals.delete().where(sa.false()))
            transaction.rollback()

    def write(self, units: Sequence[Unit]) -> Sequence[Taken | Exception]:
        """Store several units in one transaction; when this returns, they are on the disk.

        Returns:
            What became of each: a VersionConflictError or KeyReusedError concerns one unit only.

        Raises:
            sqlalchemy.exc.DBAPIError, LedgerError: the disk or the database refuses; nothing was stored.
        """
        with self._writing.begin() as connection:
            schema.alone(connection)
            commit = Commit(connection, self.site, now=self._timestamp(), new_id=lambda: uuid.uuid4().hex)
            return commit.take(units)

    def find(self, unit: Unit) -> Answer | None:
        """Return the answer that a unit got before; None if it is new.

        Raises:
            KeyReusedError: its key was used for other content.
        """
        with self._reading.connect() as connection:
            return Commit(connection, self.site, now="", new_id=str).find(unit)

    def newest_sequence(self) -> int:
        """Return the position of what was stored last, by any process; 0 if nothing was."""
        query = sa.select(sa.func.max(arrivals.c.sequence))
        with self._reading.connect() as connection:
            return connection.scalar(query) or 0

    def arrived(self, after: int, limit: int) -> list[Arrived]:
        """Return what was stored after a position, in order, whatever became of it."""
        query = sa.select(*(arrivals.c[name] for name in Arrived.__slots__))
        query = query.where(arrivals.c.site == self.site, arrivals.c.sequence > after)
        with self._reading.connect() as connection:
            rows = connection.execute(query.order_by(arrivals.c.sequence).limit(limit)).mappings()
            return [Arrived(**row) for row in rows]

    def waiting(self, after: int = 0) -> list[Entry]:
        """Return the next resources, in order of arrival, that nothing was made of yet."""
        columns = arrivals.c
        query = self._entries().where(columns.state == "received", columns.sequence > after).limit(_BATCH)
        return self._read(query)

    def versions(self, resource_type: str, resource_ids: Iterable[str]) -> list[Entry]:
        """Return all versions of these resources that were not set aside, in order of arrival."""
        ids = sorted(set(resource_ids))
        columns = arrivals.c
        query = self._entries().where(columns.resource_type == resource_type, columns.resource_id.in_(ids))
        return self._read(query.where(columns.state != "quarantined"))

    def sent(self, resource_type: str, resource_ids: Iterable[str]) -> list[Sent]:
        """Return the same, as far as it matters which of them counts."""
        columns, ids = arrivals.c, sorted(set(resource_ids))
        query = sa.select(*(columns[name] for name in Sent.__slots__)).where(
            columns.site == self.site, columns.resource_type == resource_type, columns.resource_id.in_(ids)
        )
        with self._reading.connect() as connection:
            rows = connection.execute(query.where(columns.state != "quarantined").order_by(columns.sequence)).mappings()
            return [Sent(**row) for row in rows]

    def version(self, resource_type: str, resource_id: str, version: int | None = None) -> Entry | None:
        """Return one version of a resource, the latest if none is named; None if there is none.

        What was set aside is not among them: nothing was made of it.
        """
        columns = arrivals.c
        query = self._entries(columns.version.desc()).where(
            columns.resource_type == resource_type, columns.resource_id == resource_id, columns.state != "quarantined"
        )
        if version is not None:
            query = query.where(columns.version == version)
        return next(iter(self._read(query.limit(1))), None)

    def settle(self, settled: Sequence[Settled], holder: str = "") -> bool:
        """Record what became of stored versions.

        Args:
            settled: one at least; all in one transaction.
            holder: who plans; empty if nobody else can.

        Returns:
            Whether the holder still had the lease. If it had not, another planner may have planned newer versions,
            which an older plan undid: then all versions of these resources are to be planned again.
        """
        rows = [{"settled": one.sequence, "became": one.state, "why": one.problem} for one in settled]
        with self._writing.begin() as connection:
            is_ours = not holder or self.lease.is_held(connection, holder)
            connection.execute(statements.SETTLE, rows)
            if not is_ours:
                _plan_again(connection, self.site, [one.sequence for one in settled])
        return is_ours

    def quarantined(self, after: int = 0, limit: int = _BATCH, *, caller: str = "") -> list[Quarantined]:
        """Return what was set aside, in order of arrival, for a person to see; only of one sender if it is named."""
        columns = arrivals.c
        names = [name for name in Quarantined.__slots__ if name != "length"]
        query = sa.select(*(columns[name] for name in names), sa.func.length(columns.body).label("length")).where(
            columns.site == self.site, columns.state == "quarantined", columns.sequence > after
        )
        if caller:
            query = query.where(columns.caller == caller)
        with self._reading.connect() as connection:
            rows = connection.execute(query.order_by(columns.sequence).limit(limit)).mappings()
            return [Quarantined(**row) for row in rows]

    def take_again(self, sequences: Iterable[int]) -> int:
        """Have what was set aside read again; returns how many that are. What still cannot be used is set aside again.

        What is no resource, or of a type that no view reads, stays.
        """
        columns = arrivals.c
        statement = arrivals.update().where(
            columns.site == self.site,
            columns.state == "quarantined",
            columns.resource_type.in_(INPUT_TYPES),
            columns.sequence.in_(list(sequences)),
        )
        with self._writing.begin() as connection:
            return connection.execute(statement.values(state="received")).rowcount

    def counts(self) -> dict[str, int]:
        """Return how many stored versions are in each state."""
        query = sa.select(arrivals.c.state, sa.func.count()).where(arrivals.c.site == self.site)
        with self._reading.connect() as connection:
            return {row[0]: row[1] for row in connection.execute(query.group_by(arrivals.c.state))}

    def _timestamp(self) -> str:
        return self._now().isoformat(timespec="milliseconds")

    def _entries(self, *order: sa.ColumnElement[Any]) -> sa.Select[Any]:
        query = sa.select(*(arrivals.c[name] for name in Entry.__slots__))
        return query.where(arrivals.c.site == self.site).order_by(*(order or (arrivals.c.sequence,)))

    def _read(self, query: sa.Select[Any]) -> list[Entry]:
        with self._reading.connect() as connection:
            return [Entry(**row) for row in connection.execute(query).mappings()]


def _plan_again(connection: sa.Connection, site: str, sequences: Sequence[int]) -> None:
    columns = arrivals.c
    found = connection.execute(
        sa.select(columns.resource_type, columns.resource_id).where(columns.sequence.in_(sequences)).distinct()
    ).all()
    for row in found:
        settled = arrivals.update().where(
            columns.site == site,
            columns.resource_type == row.resource_type,
            columns.resource_id == row.resource_id,
            columns.state != "quarantined",
        )
        connection.execute(settled.values(state="received", problem=""))
