"""What the ledger holds of one patient; reading only, by the index on patients."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa

from server.ledger.entries import Entry
from server.ledger.schema import outcomes
from server.ledger.store import Ledger

_ENTRY_COLUMNS = [outcomes.c[name] for name in Entry.__slots__]


@dataclass(frozen=True, kw_only=True, slots=True)
class Held:
    """An entry with its times.

    Attributes:
        entry: the resource as the ledger knows it.
        due: when what waits is sent again; ISO 8601, UTC; empty for every other state.
        planned_at: when it was first planned.
        changed_at: when its state was last written, the last reading back included.
    """

    entry: Entry
    due: str
    planned_at: str
    changed_at: str


def of_patients(ledger: Ledger, site: str, patient_ids: Collection[str]) -> list[Held]:
    """Return every resource that belongs to these patients, in order of response id and key.

    Args:
        ledger: where it is kept.
        site: whose.
        patient_ids: a patient's id and those of the Patients that were merged into it.
    """
    with ledger.reading.connect() as connection:
        rows = connection.execute(query(site, patient_ids)).mappings().all()
    return sorted((_held(row) for row in rows), key=lambda one: (one.entry.response_id, one.entry.key))


def query(site: str, patient_ids: Collection[str]) -> sa.Select[Any]:
    """Return what is asked; in no order, for SQLite would read every row of the site in that order instead."""
    times = (outcomes.c.due, outcomes.c.planned_at, outcomes.c.changed_at)
    wanted = sorted(one for one in patient_ids if one)
    return sa.select(*_ENTRY_COLUMNS, *times).where(outcomes.c.site == site, outcomes.c.patient_id.in_(wanted))


def _held(row: sa.RowMapping) -> Held:
    entry = Entry(**{name: row[name] for name in Entry.__slots__})
    return Held(entry=entry, due=row["due"], planned_at=row["planned_at"], changed_at=row["changed_at"])
