"""Which worker may send what belongs to a response, and until when. One transaction of the caller each."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any, Final

import sqlalchemy as sa

from server.ledger import states
from server.ledger.entries import timestamp
from server.ledger.schema import outcomes, responses

LONGEST_SECONDS: Final = 3600.0
"""No lease lasts longer; one that ends later was taken while the clock was ahead, and is over."""
_LEASED = [responses.c.leased_by != sa.literal_column("''")]  # says the index's own condition, so that it is used


def take_due(
    connection: sa.Connection, site: str, worker: str, *, after: str | None, most: int, now: str, until: str
) -> list[str]:
    """Lease the next responses that have something due and are nobody's; returns their ids."""
    # One query a state: then the index gives the ids in order, whatever else the ledger holds.
    conditions = [sa.and_(outcomes.c.state == state, outcomes.c.due <= now) for state in sorted(states.DUE)]
    return _take(connection, site, worker, conditions, after=after, most=most, now=now, until=until)


def take_open(
    connection: sa.Connection, site: str, worker: str, *, after: str, most: int, now: str, until: str
) -> list[str]:
    """Lease the next responses with something on its way that are nobody's; returns their ids."""
    is_open = [outcomes.c.is_open.is_(True)]
    return _take(connection, site, worker, is_open, after=after or None, most=most, now=now, until=until)


def hold(connection: sa.Connection, site: str, worker: str, keys: Sequence[str], now: str) -> None:
    """Lock what a worker is about to claim: its leases, then the rows, in one order for all workers.

    SQLite lets one transaction write at a time and needs no lock.
    """
    if connection.dialect.name != "postgresql":
        return
    of_keys = sa.select(outcomes.c.response_id).where(outcomes.c.site == site, outcomes.c.key.in_(keys))
    leased = sa.select(responses.c.response_id).where(*_leased_to(site, worker, now))
    leased = leased.where(responses.c.response_id.in_(of_keys))
    connection.execute(leased.order_by(responses.c.response_id).with_for_update())
    rows = sa.select(outcomes.c.key).where(outcomes.c.site == site, outcomes.c.key.in_(keys))
    connection.execute(rows.order_by(outcomes.c.key).with_for_update())


def give_back(connection: sa.Connection, site: str, worker: str) -> None:
    """End every lease of a worker."""
    held = responses.update().where(responses.c.site == site, *_LEASED, responses.c.leased_by == worker)
    connection.execute(held.values(leased_by="", leased_until=""))


def renew(connection: sa.Connection, site: str, worker: str, until: str) -> None:
    """Let a worker's leases last longer."""
    held = responses.update().where(responses.c.site == site, *_LEASED, responses.c.leased_by == worker)
    connection.execute(held.values(leased_until=until))


def is_held_by(site: str, worker: str, now: str) -> sa.ColumnElement[bool]:
    """Return the condition that a worker holds the response of an outcome."""
    held = sa.exists().where(responses.c.response_id == outcomes.c.response_id, *_leased_to(site, worker, now))
    return held.correlate(outcomes)


def _leased_to(site: str, worker: str, now: str) -> list[sa.ColumnElement[bool]]:
    return [responses.c.site == site, responses.c.leased_by == worker, _lasts(now)]


def _lasts(now: str) -> sa.ColumnElement[bool]:
    """Return the condition that a response's lease has not ended."""
    furthest = timestamp(datetime.fromisoformat(now) + timedelta(seconds=LONGEST_SECONDS))
    return sa.and_(responses.c.leased_until > now, responses.c.leased_until <= furthest)


def latest(connection: sa.Connection, site: str, now: str) -> str:
    """Return when the last lease of a response with something unfinished ends; empty if there is none."""
    unfinished = sa.exists().where(
        outcomes.c.site == responses.c.site,
        outcomes.c.response_id == responses.c.response_id,
        sa.or_(outcomes.c.state.in_(sorted(states.DUE)), outcomes.c.is_open.is_(True)),
    )
    query = sa.select(sa.func.max(responses.c.leased_until)).where(
        responses.c.site == site, *_LEASED, _lasts(now), unfinished
    )
    return connection.scalar(query) or ""


def _take(
    connection: sa.Connection,
    site: str,
    worker: str,
    conditions: Sequence[sa.ColumnElement[bool]],
    *,
    after: str | None,
    most: int,
    now: str,
    until: str,
) -> list[str]:
    """Lease the next free responses; where others take all of those found at this moment, those behind them."""
    while True:
        found: set[str] = set()
        for condition in conditions:
            found |= set(connection.scalars(_free(site, condition, worker, after, now).limit(most)))
        next_ones = sorted(found)[:most]
        taken = _lease(connection, site, next_ones, worker, now, until)
        if taken or not next_ones:
            return taken
        after = next_ones[-1]


def _free(site: str, condition: sa.ColumnElement[bool], worker: str, after: str | None, now: str) -> sa.Select[Any]:
    """Return the query for the ids of responses with such an outcome that no other worker holds."""
    others = sa.and_(responses.c.leased_by != worker, _lasts(now))
    joined = sa.and_(responses.c.site == outcomes.c.site, responses.c.response_id == outcomes.c.response_id)
    query = sa.select(outcomes.c.response_id).distinct().join(responses, joined)
    query = query.where(outcomes.c.site == site, condition, sa.not_(others))
    if after is not None:
        query = query.where(outcomes.c.response_id > after)
    return query.order_by(outcomes.c.response_id)


def _lease(
    connection: sa.Connection, site: str, response_ids: list[str], worker: str, now: str, until: str
) -> list[str]:
    """Lease these, save those that another worker takes at this moment (`FOR UPDATE SKIP LOCKED` where there is it)."""
    if not response_ids:
        return []
    nobodys = sa.or_(responses.c.leased_by.in_(("", worker)), sa.not_(_lasts(now)))
    locked = sa.select(responses.c.response_id).where(
        responses.c.site == site, responses.c.response_id.in_(response_ids), nobodys
    )
    free = list(connection.scalars(locked.with_for_update(skip_locked=True)))
    if not free:
        return []
    taken = responses.update().where(responses.c.site == site, responses.c.response_id.in_(free))
    connection.execute(taken.values(leased_by=worker, leased_until=until))
    return sorted(free)
