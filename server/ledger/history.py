"""What was tried and decided for an outcome, in order; reading only."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection
from dataclasses import dataclass

import sqlalchemy as sa

from server.ledger.decisions import Decision
from server.ledger.schema import attempts, outcomes, releases, responses


@dataclass(frozen=True, kw_only=True, slots=True)
class Attempt:
    """One resource of one request. The ledger keeps no body.

    Attributes:
        number: in order of leaving.
        key: of the resource.
        request_id: X-Request-Id of the request, by which the server's log names it.
        interaction: `create`, `update` or `transaction`.
        sent_at: ISO 8601, UTC.
        settled_at: when it was known what came of it; empty: not yet.
        http_status: of the answer; None if there was none.
        result: the state that followed; `sending` while nothing is known.
        reason: codes and paths, never a value.
        ehr_id: the server's id out of an answer that came too late for the row to have it; else empty.
    """

    number: int
    key: str
    request_id: str
    interaction: str
    sent_at: str
    settled_at: str
    http_status: int | None
    result: str
    reason: str
    ehr_id: str = ""


class History:
    """What a ledger knows of the past of its outcomes.

    Args:
        reading: the ledger's engine, for transactions that only read.
    """

    def __init__(self, reading: sa.Engine) -> None:
        self._reading = reading

    def attempts(self, site: str, keys: Collection[str]) -> list[Attempt]:
        """Return every attempt with these resources, in order."""
        return self._attempts(sa.select(attempts).where(attempts.c.site == site, attempts.c.key.in_(keys)))

    def latest_attempts(self, site: str, *, limit: int) -> list[Attempt]:
        """Return the last attempts of a site, in order."""
        newest = sa.select(attempts).where(attempts.c.site == site).order_by(attempts.c.number.desc()).limit(limit)
        return self._attempts(sa.select(newest.subquery()))

    def late_ids(self, site: str, keys: Collection[str]) -> dict[str, list[str]]:
        """Return the ids out of answers that came too late, by key, in order of leaving; most keys have none."""
        query = sa.select(attempts.c.key, attempts.c.ehr_id).where(
            attempts.c.site == site, attempts.c.key.in_(keys), attempts.c.ehr_id != ""
        )
        found: defaultdict[str, list[str]] = defaultdict(list)
        with self._reading.connect() as connection:
            for row in connection.execute(query.order_by(attempts.c.number)):
                found[row.key].append(row.ehr_id)
        return dict(found)

    def decisions(self, site: str, keys: Collection[str]) -> list[Decision]:
        """Return what persons decided about these resources, and the releases that let them go or ended, in order."""
        of_keys = sa.and_(outcomes.c.site == site, outcomes.c.key.in_(keys))
        response_ids = sa.select(outcomes.c.response_id).where(of_keys)
        released = sa.select(responses.c.release).where(
            responses.c.site == site, responses.c.response_id.in_(response_ids), responses.c.release.is_not(None)
        )
        is_end = sa.and_(releases.c.site == site, releases.c.action == "ended", releases.c.what.in_(response_ids))
        ended = sa.select(releases.c.ended).where(is_end)
        wanted = sa.or_(
            releases.c.what.in_(keys), releases.c.number.in_(released), releases.c.number.in_(ended), is_end
        )
        query = sa.select(releases).where(releases.c.site == site, wanted).order_by(releases.c.number)
        with self._reading.connect() as connection:
            rows = connection.execute(query).mappings()
            return [Decision(**{name: row[name] for name in Decision.__slots__}) for row in rows]

    def _attempts(self, query: sa.Select[tuple[object, ...]]) -> list[Attempt]:
        with self._reading.connect() as connection:
            rows = connection.execute(query.order_by(sa.text("number"))).mappings()
            return [Attempt(**{name: row[name] for name in Attempt.__slots__}) for row in rows]
