"""What a ledger that comes from a backup no longer knows: whatever was sent since. So it must look before it sends."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

import sqlalchemy as sa

from server.ledger import engine
from server.ledger.entries import timestamp
from server.ledger.schema import outcomes
from server.ledger.states import DUE

RESTORED: Final = "may have been sent after the backup that the ledger comes from"


@dataclass(frozen=True, kw_only=True, slots=True)
class Doubted:
    """What is looked for in the chart before anything is sent; the unit is one resource.

    Attributes:
        creates: due and without an id of the server's: taken for sent, and sent again only where proven absent.
        updates: known to be in the chart, in a version that may have gone on: read before it is written over.
    """

    creates: int
    updates: int


def doubt(place: Path | str, *, now: Callable[[], datetime] = lambda: datetime.now(UTC)) -> Doubted:
    """Have everything in a ledger looked for in the chart before it is sent.

    What the server cannot be asked about becomes a person's, never a second copy.

    Args:
        place: of the ledger: a SQLite file, or a PostgreSQL URL.
        now: the clock; aware, UTC.

    Raises:
        InputError: it cannot be opened, is no database, or was written by another version.
    """
    opened = engine.open_ledger_engine(place)
    moment = timestamp(now())
    taken_for_sent = {
        "state": "sending",
        "is_open": True,
        "sent_hash": outcomes.c.content_hash,
        "sent_content": outcomes.c.content,
        "sent_at": moment,
        "request_id": "",
        "reason": RESTORED,
        "due": "",
        "changed_at": moment,
    }
    try:
        with engine.alone(opened).begin() as connection:
            is_new = sa.and_(outcomes.c.state.in_(sorted(DUE)), outcomes.c.ehr_id == "")
            creates = connection.execute(outcomes.update().where(is_new).values(taken_for_sent)).rowcount
            is_versioned = sa.and_(outcomes.c.ehr_id != "", outcomes.c.ehr_version != "")
            updates = connection.execute(outcomes.update().where(is_versioned).values(ehr_version="")).rowcount
    finally:
        opened.dispose()
    return Doubted(creates=creates, updates=updates)
