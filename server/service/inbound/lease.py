"""Which of several processes plans and delivers: one at a time, and another soon after it is gone."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import datetime, timedelta
from typing import Final

import sqlalchemy as sa
from sqlalchemy.exc import IntegrityError

from server.service.inbound import schema
from server.service.inbound.schema import arrivals, deferred, leases

LEASE_SECONDS: Final = 10.0
_LONGEST: Final = timedelta(seconds=60)
"""No lease lasts longer; one that ends later was taken while the clock was ahead, and is over."""


class Lease:
    """The lease of one site's inbox; its times are compared with the clock of whoever asks, so clocks must agree.

    Args:
        engine: the inbox's.
        site: whose.
        now: the clock; aware, UTC.
    """

    def __init__(self, engine: sa.Engine, site: str, now: Callable[[], datetime]) -> None:
        self._site, self._now = site, now
        self._reading, self._writing = schema.reading(engine), schema.writing(engine)

    def take(self, holder: str, seconds: float = LEASE_SECONDS) -> bool:
        """Take the lease or make it last longer, a minute at most; returns whether it is the holder's now.

        Who finds it taken writes nothing.
        """
        now = self._now()
        with self._reading.connect() as connection:
            found = connection.execute(sa.select(leases).where(leases.c.site == self._site)).first()
        if found and found.holder not in ("", holder) and _text(now) < found.until <= _text(now + _LONGEST):
            return False
        until = _text(now + timedelta(seconds=seconds))
        return (
            self._change(holder, until, now) if found else self._make(holder, until) or self._change(holder, until, now)
        )

    def give_up(self, holder: str) -> None:
        """Let another have the lease now."""
        given = leases.update().where(leases.c.site == self._site, leases.c.holder == holder)
        with self._writing.begin() as connection:
            connection.execute(given.values(holder="", until=""))

    def holder(self) -> str:
        """Return who has the lease; empty if nobody has."""
        query = sa.select(leases.c.holder).where(leases.c.site == self._site, _lasts(self._now()))
        with self._reading.connect() as connection:
            return connection.scalar(query) or ""

    def waits_since(self) -> str:
        """Return when the oldest of what the holder is to work at was stored (ISO 8601, UTC); empty: nothing waits."""
        received = sa.select(arrivals.c.received).where(arrivals.c.site == self._site, arrivals.c.state == "received")
        later = sa.select(deferred.c.received).where(deferred.c.site == self._site, deferred.c.is_open.is_(True))
        queries = received.order_by(arrivals.c.sequence), later.order_by(deferred.c.received)
        with self._reading.connect() as connection:
            found = [connection.scalar(query.limit(1)) for query in queries]
        return min(filter(None, found), default="")

    def is_held(self, connection: sa.Connection, holder: str) -> bool:
        """Whether the holder has the lease, and keeps it until this transaction ends."""
        query = sa.select(leases.c.holder).where(leases.c.site == self._site, _lasts(self._now()))
        return connection.scalar(query.with_for_update()) == holder

    def may_plan(self, holder: str, sequences: Sequence[int]) -> bool:
        """Take the lease or make it last longer, and say whether all these stored versions still wait.

        Whoever was stopped for longer than its lease may have it again and hold what another has settled meanwhile,
        perhaps with a newer version: that must not be planned any more.
        """
        if not self.take(holder):
            return False
        waiting = sa.select(sa.func.count()).where(
            arrivals.c.site == self._site, arrivals.c.state == "received", arrivals.c.sequence.in_(sequences)
        )
        with self._reading.connect() as connection:
            return connection.scalar(waiting) == len(sequences)

    def _change(self, holder: str, until: str, now: datetime) -> bool:
        is_free = sa.or_(leases.c.holder.in_(("", holder)), sa.not_(_lasts(now)))
        taken = leases.update().where(leases.c.site == self._site, is_free).values(holder=holder, until=until)
        with self._writing.begin() as connection:
            return connection.execute(taken).rowcount == 1

    def _make(self, holder: str, until: str) -> bool:
        try:
            with self._writing.begin() as connection:
                connection.execute(leases.insert().values(site=self._site, holder=holder, until=until))
        except IntegrityError:  # another process was faster
            return False
        return True


def _lasts(now: datetime) -> sa.ColumnElement[bool]:
    return sa.and_(leases.c.until > _text(now), leases.c.until <= _text(now + _LONGEST))


def _text(moment: datetime) -> str:
    return moment.isoformat(timespec="milliseconds")
