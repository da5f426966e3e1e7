"""What the service tells of a ledger: figures, and what was sent to whom; reading only, no content.

It opens the database by itself, so that looking at it never waits for a delivery's connections.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Self

import sqlalchemy as sa

from server.ledger import engine
from server.ledger.history import Attempt
from server.ledger.planning import RANKS, Kind
from server.ledger.schema import IS_WITHHELD, attempts, outcomes, patients, responses
from server.ledger.states import State

UNPROVEN: Final[frozenset[State]] = frozenset(("sending", "unknown", "accepted", "already_there", "held", "unreadable"))
"""States of what left and was not seen in the chart yet."""
_WHOSE: Final = ("resource_type", "response_id", "patient_id", "ehr_id")
_LATEST: Final = 5000  # attempts among which the last answer is looked for


@dataclass(frozen=True, kw_only=True, slots=True)
class Row:
    """One outcome without its content.

    Attributes:
        key: of the resource.
        response_id: empty for a Device.
        patient_id: empty for a Device.
        kind: what it says.
        resource_type: FHIR type.
        state: see `states`.
        reason: codes and paths.
        ehr_id: the server's id, empty if not known.
        planned_at: ISO 8601, UTC.
        changed_at: ISO 8601, UTC.
    """

    key: str
    response_id: str
    patient_id: str
    kind: Kind
    resource_type: str
    state: State
    reason: str
    ehr_id: str
    planned_at: str
    changed_at: str


@dataclass(frozen=True, kw_only=True, slots=True)
class SentResource:
    """One resource of one request, with whose it is.

    Attributes:
        attempt: what was sent and what came of it.
        resource_type: FHIR type.
        response_id: empty for a Device.
        patient_id: empty for a Device.
        ehr_id: the server's id, empty if not known.
    """

    attempt: Attempt
    resource_type: str
    response_id: str
    patient_id: str
    ehr_id: str


class Overview:
    """Reads one ledger. One object serves several threads.

    Args:
        opened: the ledger's database.
    """

    def __init__(self, opened: sa.Engine) -> None:
        self._engine, self._reading = opened, engine.reading(opened)

    @classmethod
    def open(cls, place: Path | str) -> Self:
        """Open a ledger, and make it if it is not there.

        Raises:
            InputError: it cannot be opened, is no database, or was written by another version.
            ConfigurationError: the URL cannot be used, or the driver is not installed.
        """
        return cls(engine.open_ledger_engine(place))

    def close(self) -> None:
        """Close the database."""
        self._engine.dispose()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def check_writable(self) -> None:
        """Write, and take it back.

        Raises:
            LedgerError, sqlalchemy.exc.DBAPIError: the ledger cannot be written now.
        """
        with self._engine.connect() as connection, connection.begin() as transaction:
            connection.execute(responses.delete().where(sa.false()))
            transaction.rollback()

    def oldest(self, site: str, wanted: frozenset[State]) -> str:
        """Return since when something is in one of these states; empty if nothing is (ISO 8601, UTC)."""
        query = sa.select(sa.func.min(outcomes.c.changed_at))
        return self._one(query.where(outcomes.c.site == site, outcomes.c.state.in_(sorted(wanted)))) or ""

    def withheld(self, site: str, reason: str) -> int:
        """Return how many responses have something planned that a delivery did not send for this reason."""
        query = sa.select(sa.func.count(outcomes.c.response_id.distinct())).where(
            outcomes.c.site == site, IS_WITHHELD, outcomes.c.reason == reason
        )
        return self._one(query) or 0

    def last_contact(self, site: str) -> str:
        """Return when the site's server last answered a write or was asked about a patient; empty: never."""
        newest = sa.select(sa.func.max(attempts.c.number)).scalar_subquery()
        latest = sa.select(sa.func.max(attempts.c.settled_at)).where(attempts.c.number > newest - _LATEST)
        written = self._one(latest.where(_is_at(site), attempts.c.http_status.is_not(None))) or ""
        checked = self._one(sa.select(sa.func.max(patients.c.checked_at)).where(patients.c.site == site)) or ""
        return max(written, checked)

    def last_attempt(self, before: str) -> int:
        """Return the number of the last attempt that left before a moment (ISO 8601, UTC); 0: none."""
        query = sa.select(attempts.c.number).where(attempts.c.sent_at < before)
        return self._one(query.order_by(attempts.c.number.desc()).limit(1)) or 0

    def results(self, site: str, *, after: int, until: int | None = None) -> Counter[str]:
        """Count attempts by the state that followed, of those numbered over `after`, up to `until`."""
        query = sa.select(attempts.c.result, sa.func.count()).where(_is_at(site), attempts.c.number > after)
        if until is not None:
            query = query.where(attempts.c.number <= until)
        with self._reading.connect() as connection:
            return Counter({row[0]: row[1] for row in connection.execute(query.group_by(attempts.c.result))})

    def sent(self, site: str, *, after: int, limit: int) -> list[SentResource]:
        """Return the attempts numbered over `after`, in order, each with whose it is."""
        of_outcome = sa.and_(outcomes.c.site == attempts.c.site, outcomes.c.key == attempts.c.key)
        whose = [outcomes.c[name].label(f"outcome_{name}") for name in _WHOSE]
        query = sa.select(attempts, *whose).join(outcomes, of_outcome)
        query = query.where(_is_at(site), attempts.c.number > after)
        with self._reading.connect() as connection:
            rows = connection.execute(query.order_by(attempts.c.number).limit(limit)).mappings()
            return [_sent(row) for row in rows]

    def of_patient(self, site: str, patient_id: str) -> list[Row]:
        """Return the outcomes of a patient, by response, each in the order of sending."""
        return self._rows(sa.and_(outcomes.c.site == site, outcomes.c.patient_id == patient_id))

    def of_response(self, site: str, response_id: str) -> list[Row]:
        """Return the outcomes of a response, in the order of sending."""
        return self._rows(sa.and_(outcomes.c.site == site, outcomes.c.response_id == response_id))

    def reason(self, site: str, response_id: str) -> str | None:
        """Return why a response has no score; empty: it has one; None: the ledger does not know the response."""
        query = sa.select(responses.c.reason)
        found: str | None = self._one(query.where(responses.c.site == site, responses.c.response_id == response_id))
        return found

    def _rows(self, condition: sa.ColumnElement[bool]) -> list[Row]:
        query = sa.select(*(outcomes.c[name] for name in Row.__slots__)).where(condition)
        with self._reading.connect() as connection:
            rows = [Row(**row) for row in connection.execute(query).mappings()]
        return sorted(rows, key=lambda row: (row.response_id, RANKS[row.kind], row.key))

    def _one(self, query: sa.Select[Any]) -> Any:
        with self._reading.connect() as connection:
            return connection.scalar(query)


def _is_at(site: str) -> sa.ColumnElement[bool]:
    """Filter by site without its index: attempts are read in order of their numbers, a few of many."""
    return attempts.c.site.concat("") == site


def _sent(row: sa.RowMapping) -> SentResource:
    return SentResource(
        attempt=Attempt(**{name: row[name] for name in Attempt.__slots__}),
        **{name: row[f"outcome_{name}"] for name in _WHOSE},
    )
