"""The state that must not be lost: for each outcome the content that a site's chart shall hold, and what it holds.

One SQLite file in WAL mode with full sync: what a method returned from is on the disk, so `sending` is there before
the request leaves. Rows are never deleted. Every change of state is checked against `states.TRANSITIONS` inside the
transaction that writes it. The unit of a row is one resource: panel, two scores, Provenance, Device.
"""

from __future__ import annotations

import contextlib
import fcntl
import itertools
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import sqlalchemy as sa
from sqlalchemy.dialects.sqlite import insert

from integration.errors import DeliveryError
from integration.outcomes import Outcome, Resource
from integration.warehouse import open_sqlite
from server.ledger import planning, schema, states
from server.ledger.entries import Entry, Settlement, settled, timestamp
from server.ledger.planning import PlanCounts
from server.ledger.schema import attempts, outcomes, responses
from server.ledger.states import State

__all__ = ["Entry", "Ledger", "PlanCounts", "Settlement"]

_BATCH = 250
_ENTRY_COLUMNS = [outcomes.c[name] for name in Entry.__slots__]
_WITHOUT_CONTENT = [column for column in outcomes.c if column.name not in ("content", "sent_content")]
_Row = dict[str, Any]


class Ledger:
    """The outcomes of all sites. One object serves several threads."""

    def __init__(self, engine: sa.Engine, path: Path, now: Callable[[], datetime]) -> None:
        self._engine, self._path, self._now = engine, path, now
        self._reading = engine.execution_options(is_read=True)

    @classmethod
    def open(cls, path: Path, *, now: Callable[[], datetime] = lambda: datetime.now(UTC)) -> Ledger:
        """Open or make the file.

        Raises:
            InputError: it cannot be opened, is no database, or was written by a newer version.
        """
        return cls(open_sqlite(path, schema.metadata, schema.SCHEMA_VERSION), path, now)

    def close(self) -> None:
        """Close the file."""
        self._engine.dispose()

    def __enter__(self) -> Ledger:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def now(self) -> str:
        """Return the time as the ledger writes it."""
        return timestamp(self._now())

    @contextlib.contextmanager
    def exclusive(self, site: str) -> Iterator[None]:
        """Be the only delivery to a site, in this process and any other; the lock goes with the process.

        Raises:
            DeliveryError: another delivery is running.
        """
        with self._path.with_name(f"{self._path.name}.{site}.lock").open("w") as lock:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError as error:
                raise DeliveryError(f"site {site}: another delivery is running; wait until it has ended") from error
            yield

    def plan(self, site: str, device: Resource, planned: Iterable[Outcome]) -> PlanCounts:
        """Make these outcomes the desired content; nothing is sent here.

        A content that hashes as before stays as it is. One that differs becomes `planned`, as an update where the
        chart may hold it; while a request is on its way its state stays, and it is sent after that is settled. An
        outcome of the same response that is not among the new ones (another version of the instrument) is withdrawn.
        Reads lazily, one transaction a batch of responses.
        """
        counts = self._plan_batch(site, [planning.device_row(site, device)], [])
        remaining = iter(planned)
        while batch := list(itertools.islice(remaining, _BATCH)):
            rows = [row for outcome in batch for row in planning.rows(site, outcome)]
            counts += self._plan_batch(site, rows, batch)
        return counts

    def withdraw(self, site: str, response_id: str, *, reason: str = "status") -> int:
        """Take one response's outcomes back: `withdraw_all` of one."""
        return self.withdraw_all(site, [(response_id, reason)])

    def withdraw_all(self, site: str, reasons: Iterable[tuple[str, str]]) -> int:
        """Take outcomes back, note the responses for the books, and return how many resources that concerns.

        What the chart may hold shall become entered-in-error there; what was never sent is `retracted` at once. A
        response that never had an outcome is only noted. Reads lazily, one transaction a batch of responses.

        Args:
            site: whose.
            reasons: id of a QuestionnaireResponse without an outcome, and why, as in `responses.csv`.
        """
        withdrawn, remaining = 0, iter(reasons)
        while batch := list(itertools.islice(remaining, _BATCH)):
            with self._engine.begin() as connection:
                changes = _withdrawals(_of_responses(connection, site, [response_id for response_id, _ in batch]))
                self._change(connection, site, changes)
                noted = [{"site": site, "response_id": response_id, "reason": reason} for response_id, reason in batch]
                connection.execute(_upsert_reason(), noted)
            withdrawn += len(changes)
        return withdrawn

    def claim(self, site: str, keys: Sequence[str], *, request_id: str, interaction: str) -> list[Entry]:
        """Record that a request with these resources is about to leave; returns those that may go in it.

        Only what is due is claimed, so whatever another process claimed first is not sent twice.
        """
        moment = self.now()
        statement = (
            outcomes.update()
            .where(outcomes.c.site == site, outcomes.c.key.in_(keys), _state_is_one_of(states.DUE))
            .values(state="sending", is_open=True, sent_hash=outcomes.c.content_hash, sent_at=moment)
            .values(reason="", due="", changed_at=moment)
            .values(sent_content=sa.case((outcomes.c.ehr_id != "", outcomes.c.content)))
            .returning(*_ENTRY_COLUMNS)
        )
        with self._engine.begin() as connection:
            claimed = [_entry(row) for row in connection.execute(statement).mappings()]
            attempt = {"site": site, "request_id": request_id, "interaction": interaction, "sent_at": moment}
            if claimed:
                rows = [{**attempt, "key": entry.key, "result": "sending"} for entry in claimed]
                connection.execute(attempts.insert(), rows)
        return sorted(claimed, key=_sending_order)

    def settle(self, site: str, settlements: Sequence[Settlement], *, request_id: str = "") -> None:
        """Record what came of a request, or of looking for what was on its way."""
        moment = self.now()
        with self._engine.begin() as connection:
            held = _of_keys(connection, site, [settlement.key for settlement in settlements])
            self._change(connection, site, [settled(held[one.key], one) for one in settlements])
            if request_id and settlements:
                connection.execute(
                    attempts.update().where(
                        attempts.c.site == site,
                        attempts.c.request_id == request_id,
                        attempts.c.key == sa.bindparam("of_key"),
                    ),
                    [
                        {"of_key": one.key, "settled_at": moment, "http_status": one.http_status, "result": one.state,
                         "reason": one.reason}
                        for one in settlements
                    ],
                )  # fmt: skip

    def block(self, site: str, keys: Sequence[str], reason: str) -> None:
        """Note why what is planned cannot be sent yet."""
        statement = outcomes.update().where(
            outcomes.c.site == site,
            outcomes.c.key.in_(keys),
            _state_is_one_of(states.DUE),
            outcomes.c.reason != reason,
        )
        with self._engine.begin() as connection:
            connection.execute(statement.values(reason=reason))

    def note_read(self, site: str, read: Sequence[tuple[Entry, Settlement]]) -> int:
        """Record what reading back showed; what changed since it was read is left alone. Returns how many were."""
        with self._engine.begin() as connection:
            held = _of_keys(connection, site, [entry.key for entry, _ in read])
            same = [
                (held[entry.key], settlement)
                for entry, settlement in read
                if (held[entry.key]["state"], held[entry.key]["content_hash"]) == (entry.state, entry.content_hash)
            ]
            self._change(connection, site, [settled(row, settlement) for row, settlement in same])
        return len(same)

    def due(self, site: str, *, after: str | None, limit: int) -> list[Entry]:
        """Return what may be sent now, in order of response id after `after`, whole responses only.

        At most `limit` entries, which must exceed those of one response. The Devices (response id empty) come first.
        """
        query = sa.select(*_ENTRY_COLUMNS).where(outcomes.c.site == site, outcomes.c.due <= self.now())
        if after is not None:
            query = query.where(outcomes.c.response_id > after)
        query = query.order_by(outcomes.c.response_id).limit(limit)
        # One query a state: then the index gives them in order, whatever else the ledger holds.
        found = [entry for state in states.DUE for entry in self._entries(query.where(outcomes.c.state == state))]
        entries = sorted(found, key=_sending_order)[:limit]
        if len(entries) == limit and entries[0].response_id != entries[-1].response_id:
            entries = [entry for entry in entries if entry.response_id != entries[-1].response_id]
        return entries

    def on_their_way(self, site: str, *, after: str, limit: int) -> list[Entry]:
        """Return what must be read before it is sent again, in order of key: also what was taken without an id."""
        query = sa.select(*_ENTRY_COLUMNS).where(
            outcomes.c.site == site, outcomes.c.key > after, outcomes.c.is_open.is_(True)
        )
        return self._entries(query.order_by(outcomes.c.key).limit(limit))

    def in_chart(self, site: str, *, after: str, limit: int) -> list[Entry]:
        """Return what the chart is said to hold, in order of key."""
        sent = sa.or_(outcomes.c.state != "retracted", outcomes.c.ehr_id != "")
        query = sa.select(*_ENTRY_COLUMNS).where(
            outcomes.c.site == site, outcomes.c.key > after, _state_is_one_of(states.IN_CHART), sent
        )
        return self._entries(query.order_by(outcomes.c.key).limit(limit))

    def entries(self, site: str, keys: Iterable[str]) -> list[Entry]:
        """Return these entries, in order of key."""
        query = sa.select(*_ENTRY_COLUMNS).where(outcomes.c.site == site, outcomes.c.key.in_(list(keys)))
        return self._entries(query.order_by(outcomes.c.key))

    def ehr_ids(self, site: str, keys: Iterable[str]) -> dict[str, str]:
        """Return the server's id of each of these keys that it is known for."""
        query = sa.select(outcomes.c.key, outcomes.c.ehr_id).where(
            outcomes.c.site == site, outcomes.c.key.in_(list(keys)), outcomes.c.ehr_id != ""
        )
        with self._reading.connect() as connection:
            return {row.key: row.ehr_id for row in connection.execute(query)}

    def counts(self, site: str, *, resource_type: str = "") -> Counter[State]:
        """Return how many resources are in each state; only those of one type if it is named."""
        with self._reading.connect() as connection:
            return _counts(connection, site, resource_type)

    def books(self, site: str) -> states.Books:
        """Count every outcome of a site, in one view of the ledger."""
        query = sa.select(responses.c.reason, sa.func.count(), sa.func.sum(responses.c.observations))
        with self._reading.connect() as connection:
            noted = connection.execute(query.where(responses.c.site == site).group_by(responses.c.reason)).all()
            by_state = _counts(connection, site, "Observation")
        lines = Counter(dict.fromkeys(states.LINES, 0))
        for state, count in by_state.items():
            lines[states.line(state)] += count
        by_reason = {reason: count for reason, count, _ in noted}
        return states.Books(
            site=site,
            outcomes=sum(observations for _, _, observations in noted),
            lines=lines,
            responses=sum(by_reason.values()),
            scored=by_reason.pop("", 0),
            not_scorable=dict(sorted(by_reason.items())),
        )

    def _entries(self, query: sa.Select[Any]) -> list[Entry]:
        with self._reading.connect() as connection:
            return [_entry(row) for row in connection.execute(query).mappings()]

    def _plan_batch(self, site: str, rows: list[_Row], batch: Sequence[Outcome]) -> PlanCounts:
        with self._engine.begin() as connection:
            held = _of_responses(connection, site, [one.response_id for one in batch], _WITHOUT_CONTENT)
            held |= _of_keys(connection, site, [row["key"] for row in rows if row["key"] not in held])
            moment = self.now()
            new = [{**row, "planned_at": moment, "changed_at": moment} for row in rows if row["key"] not in held]
            changes = [
                change for row in rows if row["key"] in held and (change := planning.change(held[row["key"]], row))
            ]
            others = held.keys() - {row["key"] for row in rows}
            superseded = _withdrawals(_of_keys(connection, site, list(others)))
            if new:
                connection.execute(outcomes.insert(), new)
            self._change(connection, site, [*changes, *superseded])
            self._call_for(connection, site, batch, {**held, **{row["key"]: row for row in rows}})
        return PlanCounts(
            new=len(new), changed=len(changes) + len(superseded), unchanged=len(rows) - len(new) - len(changes)
        )

    def _call_for(
        self, connection: sa.Connection, site: str, batch: Sequence[Outcome], rows: Mapping[str, _Row]
    ) -> None:
        """Record how many Observations each response calls for, and whether it has a score."""
        called_for = Counter(row["response_id"] for row in rows.values() if row["resource_type"] == "Observation")
        values = [
            {"site": site, "response_id": one.response_id, "observations": called_for[one.response_id],
             "reason": planning.reason(one)}
            for one in batch
        ]  # fmt: skip
        statement = insert(responses)
        new = {"observations": statement.excluded.observations, "reason": statement.excluded.reason}
        if values:
            keys = [responses.c.site, responses.c.response_id]
            connection.execute(statement.on_conflict_do_update(index_elements=keys, set_=new), values)

    def _change(self, connection: sa.Connection, site: str, changes: Sequence[planning.Change]) -> None:
        """Write changes of rows; the one place where a state becomes another, besides `claim`."""
        moment = self.now()
        for change in changes:
            states.check(change.key, change.before, change.values["state"])
        for names, alike in itertools.groupby(changes, key=lambda change: tuple(change.values)):
            statement = outcomes.update().where(outcomes.c.site == site, outcomes.c.key == sa.bindparam("of_key"))
            values: dict[str, Any] = {name: sa.bindparam(f"new_{name}") for name in names}
            connection.execute(
                statement.values(**values, changed_at=moment),
                [
                    {"of_key": one.key, **{f"new_{name}": value for name, value in one.values.items()}}
                    for one in alike
                ],
            )  # fmt: skip


def _of_responses(
    connection: sa.Connection,
    site: str,
    response_ids: Sequence[str],
    columns: Sequence[sa.Column[Any]] = tuple(outcomes.c),
) -> dict[str, _Row]:
    query = sa.select(*columns).where(outcomes.c.site == site, outcomes.c.response_id.in_(response_ids))
    return {row["key"]: dict(row) for row in connection.execute(query).mappings()} if response_ids else {}


def _of_keys(connection: sa.Connection, site: str, keys: Sequence[str]) -> dict[str, _Row]:
    query = sa.select(outcomes).where(outcomes.c.site == site, outcomes.c.key.in_(keys))
    return {row["key"]: dict(row) for row in connection.execute(query).mappings()} if keys else {}


def _withdrawals(rows: Mapping[str, _Row]) -> list[planning.Change]:
    return [change for row in rows.values() if (change := planning.withdrawal(row))]


def _entry(row: sa.RowMapping) -> Entry:
    return Entry(**row)


def _state_is_one_of(wanted: frozenset[State]) -> sa.ColumnElement[bool]:
    """Filter by state without its index: most rows are in one state, and the key finds those asked for faster."""
    return outcomes.c.state.concat("").in_(sorted(wanted))


def _counts(connection: sa.Connection, site: str, resource_type: str) -> Counter[State]:
    query = sa.select(outcomes.c.state, sa.func.count()).where(outcomes.c.site == site)
    if resource_type:
        query = query.where(outcomes.c.resource_type == resource_type)
    return Counter({row[0]: row[1] for row in connection.execute(query.group_by(outcomes.c.state))})


def _sending_order(entry: Entry) -> tuple[str, int]:
    return entry.response_id, planning.RANKS[entry.kind]


def _upsert_reason() -> sa.Executable:
    statement = insert(responses)
    keys = [responses.c.site, responses.c.response_id]
    return statement.on_conflict_do_update(index_elements=keys, set_={"reason": statement.excluded.reason})
