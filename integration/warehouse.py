"""Staged resources: what a site's server or an engine gave us, newest version only, as the bytes that came.

One SQLite file in WAL mode with full sync: what `store` returned from is on the disk. A store removes nothing; what
was deleted at its source stays here until the sync issue brings deletions.
"""

from __future__ import annotations

import hashlib
import itertools
import re
import sqlite3
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from types import MappingProxyType
from typing import Any, Final

import msgspec
import sqlalchemy as sa
from sqlalchemy.dialects.sqlite import insert

from integration import versions
from integration.errors import InputError

SCHEMA_VERSION = 2
_BATCH = 500
_REFERENCE = re.compile(rb"Patient\\?/(?=([A-Za-z0-9\-.]{1,64}))")  # a base URL may end in Patient, too
_MOST_MENTIONED = 100
_EVERYBODY = ""  # instead of Patients in a row of what names more than that: looked through for each
_PATIENCE_SECONDS = 30.0
_HAS_TURN = "has_turn"

_metadata = sa.MetaData()
_resources = sa.Table(
    "staged",  # `resource` in the first version: what still writes to that fails, and loses no mention
    _metadata,
    sa.Column("site", sa.String, primary_key=True),
    sa.Column("type", sa.String, primary_key=True),
    sa.Column("id", sa.String, primary_key=True),
    sa.Column("version_id", sa.String, nullable=False),
    sa.Column("last_updated", sa.String, nullable=False),
    sa.Column("content_hash", sa.LargeBinary, nullable=False),
    sa.Column("received", sa.String, nullable=False),
    sa.Column("body", sa.LargeBinary, nullable=False),
)
_mentions = sa.Table(
    "mention",
    _metadata,
    sa.Column("site", sa.String, primary_key=True),
    sa.Column("type", sa.String, primary_key=True),
    sa.Column("patient_id", sa.String, primary_key=True),
    sa.Column("id", sa.String, primary_key=True),
    sqlite_with_rowid=False,
)
"""Which Patients a resource names, or once named in an older version."""
_BODY: Final = sa.select(_resources.c.body).where(
    *(_resources.c[name] == sa.bindparam(name) for name in ("site", "type", "id"))
)
_IS_HELD: Final = _BODY.with_only_columns(sa.literal(1))


class _Meta(msgspec.Struct):
    versionId: str = ""  # noqa: N815 - FHIR's spelling
    lastUpdated: str = ""  # noqa: N815 - FHIR's spelling


class _Head(msgspec.Struct):
    resourceType: str  # noqa: N815 - FHIR's spelling
    id: str
    meta: _Meta = msgspec.field(default_factory=_Meta)


_read_head: Final = msgspec.json.Decoder(_Head).decode


@dataclass(frozen=True, kw_only=True, slots=True)
class StoreCounts:
    """What a store did.

    Attributes:
        new: resources not held before.
        changed: resources held in an older version or with other content.
        unchanged: resources held already, or held in a newer version.
        unusable: without type or id, or not JSON; nothing is kept of them.
    """

    new: int = 0
    changed: int = 0
    unchanged: int = 0
    unusable: int = 0

    def __add__(self, other: StoreCounts) -> StoreCounts:
        return StoreCounts(
            new=self.new + other.new,
            changed=self.changed + other.changed,
            unchanged=self.unchanged + other.unchanged,
            unusable=self.unusable + other.unusable,
        )


class Warehouse:
    """The staged resources of all sites. One object serves several threads."""

    def __init__(self, engine: sa.Engine, now: Callable[[], datetime]) -> None:
        self._engine, self._now = engine, now
        self._reading = engine.execution_options(is_read=True)

    @classmethod
    def open(cls, path: Path, *, now: Callable[[], datetime] = lambda: datetime.now(UTC)) -> Warehouse:
        """Open or make the file.

        Raises:
            InputError: it cannot be opened, is no database, or was written by a newer version.
        """
        return cls(open_sqlite(path, _metadata, SCHEMA_VERSION, upgrades={1: _from_first_version}), now)

    def close(self) -> None:
        """Close the file."""
        self._engine.dispose()

    def __enter__(self) -> Warehouse:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def store(self, site: str, resources: Iterable[bytes]) -> StoreCounts:
        """Keep the newest version of each resource.

        Newest is the highest `meta.versionId` if both are numbers, else the latest `meta.lastUpdated`, else the one
        that comes last. Each batch is one transaction, so an interrupted store leaves whole resources only, and
        storing again goes on from there.
        """
        counts = StoreCounts()
        for batch in _batches(resources, _BATCH):
            counts += self._store_batch(site, batch)
        return counts

    def resources(self, site: str, resource_type: str = "") -> Iterator[bytes]:
        """Yield the resources as they came, by type and id; only one type if it is named."""
        query = sa.select(_resources.c.body).where(_resources.c.site == site)
        if resource_type:
            query = query.where(_resources.c.type == resource_type)
        with self._reading.connect() as connection:
            rows = connection.execution_options(yield_per=_BATCH).execute(
                query.order_by(_resources.c.type, _resources.c.id)
            )
            for row in rows:
                yield row.body

    def mentioning(self, site: str, resource_type: str, patient_ids: Iterable[str]) -> list[bytes]:
        """Return the resources of a type that hold a reference to one of these Patients, as they came, by id.

        They are found without being read, so whoever asks must see whether the reference is the one meant.
        """
        ids = sorted(patient_ids)
        spellings = (f"Patient{slash}{one}".encode() for one in ids for slash in ("/", "\\/"))
        holds = [sa.func.instr(_resources.c.body, sa.literal(one, sa.LargeBinary)) > 0 for one in spellings]
        may_name = sa.select(_mentions.c.id).where(
            _mentions.c.site == site, _mentions.c.type == resource_type, _mentions.c.patient_id.in_([*ids, _EVERYBODY])
        )
        query = sa.select(_resources.c.body).where(
            _resources.c.site == site,
            _resources.c.type == resource_type,
            _resources.c.id.in_(may_name),
            sa.or_(sa.false(), *holds),
        )
        with self._reading.connect() as connection:
            return list(connection.scalars(query.order_by(_resources.c.id)))

    def read(self, site: str, resource_type: str, resource_id: str) -> bytes | None:
        """Return one resource as it came, None if it is not held."""
        with self._reading.connect() as connection:
            return connection.scalar(_BODY, {"site": site, "type": resource_type, "id": resource_id})

    def has(self, site: str, resource_type: str, resource_id: str) -> bool:
        """Whether the resource is held."""
        with self._reading.connect() as connection:
            return connection.scalar(_IS_HELD, {"site": site, "type": resource_type, "id": resource_id}) is not None

    def counts(self, site: str) -> dict[str, int]:
        """Return how many resources of each type are held, by type."""
        query = sa.select(_resources.c.type, sa.func.count()).where(_resources.c.site == site)
        with self._reading.connect() as connection:
            rows = connection.execute(query.group_by(_resources.c.type).order_by(_resources.c.type))
            return {row[0]: row[1] for row in rows}

    def _store_batch(self, site: str, bodies: list[bytes]) -> StoreCounts:
        heads = [(_head(body), body) for body in bodies]
        usable = [(head, body) for head, body in heads if head is not None]
        counts = StoreCounts(unusable=len(heads) - len(usable))
        with self._engine.begin() as connection:
            held = _held(connection, site, [head for head, _ in usable])
            rows: dict[tuple[str, str], dict[str, Any]] = {}
            for head, body in usable:
                key = (head.resourceType, head.id)
                row = _row(site, head, body, self._now())
                counts += _counted(row, held.get(key))
                if _is_newer(row, held.get(key)):
                    held[key] = rows[key] = row
            _upsert(connection, list(rows.values()))
            _note_mentions(connection, rows.values())
        return counts


def open_sqlite(
    path: Path,
    metadata: sa.MetaData,
    schema_version: int,
    *,
    upgrades: Mapping[int, Callable[[sa.Connection], None]] = MappingProxyType({}),
) -> sa.Engine:
    """Open or make a SQLite file in WAL mode with full sync, and see that its schema is ours.

    Args:
        path: of the file.
        metadata: its tables.
        schema_version: of these.
        upgrades: by an older version, what makes its tables these; that runs once, in one transaction.

    Write transactions begin with BEGIN IMMEDIATE (`engine.begin()`), so two writers wait for each other instead of
    failing half-way; a read (`engine.execution_options(is_read=True).connect()`) sees one state and blocks nobody.

    Raises:
        InputError: it cannot be opened, is no database, or was written by another version.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        engine = sqlite_engine(path)
        with engine.begin() as connection:
            found = connection.exec_driver_sql("PRAGMA user_version").scalar_one()
            if found not in (0, schema_version, *upgrades):
                age, advice = (
                    ("a newer", "update the software") if found > schema_version else ("an older", "move it away")
                )
                problem = f"written by {age} version (schema {found}, this is {schema_version}); {advice}"
                raise InputError(path=str(path), problem=problem)
            if found in upgrades:
                upgrades[found](connection)
            metadata.create_all(connection)
            connection.exec_driver_sql(f"PRAGMA user_version = {schema_version:d}")
    except (OSError, sqlite3.Error, sa.exc.DBAPIError) as error:
        raise InputError(
            path=str(path), problem="cannot be opened as a database; see that it may be written"
        ) from error
    return engine


def sqlite_engine(path: Path) -> sa.Engine:
    """Return the engine of a SQLite file as `open_sqlite` describes it; nothing is opened yet."""
    options = {"timeout": _PATIENCE_SECONDS, "check_same_thread": False}
    url = sa.URL.create("sqlite+pysqlite", database=str(path))
    engine = sa.create_engine(url, connect_args=options, hide_parameters=True)  # they are patients' data

    @sa.event.listens_for(engine, "connect")
    def _configure(connection: Any, _: object) -> None:
        connection.isolation_level = None  # the driver's own BEGIN comes too late to see one state
        for pragma in ("journal_mode = WAL", "synchronous = FULL", "foreign_keys = ON"):
            connection.execute(f"PRAGMA {pragma}")

    @sa.event.listens_for(engine, "begin")
    def _begin(connection: sa.Connection) -> None:
        is_read = connection.get_execution_options().get("is_read", False)
        if not is_read:
            _take_turn(connection)
        connection.exec_driver_sql("BEGIN" if is_read else "BEGIN IMMEDIATE")

    turn = threading.Lock()

    def _take_turn(connection: sa.Connection) -> None:
        """Wait for this process's other writers here: SQLite would sleep, up to a tenth of a second at a time."""
        if not connection.info.get(_HAS_TURN):
            connection.info[_HAS_TURN] = turn.acquire(timeout=_PATIENCE_SECONDS)

    @sa.event.listens_for(engine, "checkin")
    def _end_turn(_: object, record: Any) -> None:
        if record.info.pop(_HAS_TURN, False):
            turn.release()

    return engine


def _batches(resources: Iterable[bytes], size: int) -> Iterator[list[bytes]]:
    waiting = iter(resources)
    while batch := list(itertools.islice(waiting, size)):
        yield batch


def _head(body: bytes) -> _Head | None:
    try:
        head = _read_head(body)
    except (msgspec.DecodeError, UnicodeDecodeError):
        return None
    return head if head.resourceType and head.id else None


def _row(site: str, head: _Head, body: bytes, received: datetime) -> dict[str, Any]:
    return {
        "site": site,
        "type": head.resourceType,
        "id": head.id,
        "version_id": head.meta.versionId,
        "last_updated": head.meta.lastUpdated,
        "content_hash": hashlib.sha256(body).digest(),
        "received": received.isoformat(timespec="milliseconds"),
        "body": body,
    }


def _held(connection: sa.Connection, site: str, heads: list[_Head]) -> dict[tuple[str, str], dict[str, Any]]:
    """Return what is held of these resources, without the bodies."""
    columns = [column for column in _resources.c if column.name not in ("body", "received")]
    held: dict[tuple[str, str], dict[str, Any]] = {}
    for resource_type in {head.resourceType for head in heads}:
        ids = [head.id for head in heads if head.resourceType == resource_type]
        query = sa.select(*columns).where(
            _resources.c.site == site, _resources.c.type == resource_type, _resources.c.id.in_(ids)
        )
        held.update({(row["type"], row["id"]): dict(row) for row in connection.execute(query).mappings()})
    return held


def _counted(row: dict[str, Any], held: dict[str, Any] | None) -> StoreCounts:
    if held is None:
        return StoreCounts(new=1)
    return StoreCounts(changed=1) if _is_newer(row, held) else StoreCounts(unchanged=1)


def _is_newer(row: dict[str, Any], held: dict[str, Any] | None) -> bool:
    if held is None:
        return True
    if row["content_hash"] == held["content_hash"]:
        return False
    return versions.is_newer(_version(row), _version(held))


def _version(row: dict[str, Any]) -> versions.Version:
    return versions.version({"versionId": row["version_id"], "lastUpdated": row["last_updated"]})


def _upsert(connection: sa.Connection, rows: list[dict[str, Any]]) -> None:
    if not rows:
        return
    statement = insert(_resources)
    keys = [_resources.c.site, _resources.c.type, _resources.c.id]
    new_values = {column.name: column for column in statement.excluded if column.name not in ("site", "type", "id")}
    connection.execute(statement.on_conflict_do_update(index_elements=keys, set_=new_values), rows)


def _note_mentions(connection: sa.Connection, rows: Iterable[Mapping[str, Any]]) -> None:
    """Note which Patients these resources name; what an older version named stays."""
    named = [
        {"site": row["site"], "type": row["type"], "id": row["id"], "patient_id": one}
        for row in rows
        for one in _mentioned(row["body"])
    ]
    if named:
        connection.execute(insert(_mentions).on_conflict_do_nothing(), named)


def _mentioned(body: bytes) -> set[str]:
    found = {one[1].decode() for one in _REFERENCE.finditer(body)}
    return found if len(found) <= _MOST_MENTIONED else {_EVERYBODY}


def _from_first_version(connection: sa.Connection) -> None:
    """Take over the resources, and note the mentions of all."""
    connection.exec_driver_sql(f"ALTER TABLE resource RENAME TO {_resources.name}")
    _mentions.create(connection)
    columns = (_resources.c.site, _resources.c.type, _resources.c.id, _resources.c.body)
    rows = connection.execution_options(yield_per=_BATCH).execute(sa.select(*columns)).mappings()
    for part in rows.partitions(_BATCH):
        _note_mentions(connection, [dict(row) for row in part])
