"""What persons decided about a site's deliveries, what was found out about its patients, and its circuit breaker."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, Literal

import sqlalchemy as sa

from integration.errors import ConfigurationError
from server.ledger.anew import REFERS_ANEW, follow
from server.ledger.engine import alone, reading
from server.ledger.planning import BY_HAND, FOLLOWS
from server.ledger.repairs import AS_NEW
from server.ledger.rows import upsert
from server.ledger.schema import outcomes, patients, releases, responses, sites

Action = Literal["release", "again", "done", "accept", "ended"]
"""Let it be sent; send it again; it was done by hand; accept what a new version changes; a release that ended."""
OURSELVES: Final = "Outcome Bridge"
"""Who ends a release: no person does."""

WRITE_OVER: Final = "shall be written over what was changed in its place"
"""Reason of what a person, who saw what is in the chart, wants written over it; it stays until that is done."""
KEPT_REASONS: Final = frozenset((WRITE_OVER, REFERS_ANEW))
"""Reasons that say how something is to be written: they stay until it is, whatever a request comes to."""
_BATCH: Final = 500
_IS_GONE: Final = sa.and_(outcomes.c.ehr_id != "", outcomes.c.reason.contains("gone from the chart"))
_AGAIN: Final[tuple[tuple[sa.ColumnElement[bool], dict[str, Any]], ...]] = (
    (_IS_GONE, AS_NEW),
    (outcomes.c.reason.contains("changed in the chart"), {"ehr_version": "", "reason": WRITE_OVER}),
    (outcomes.c.reason.like("HTTP 412%"), {"ehr_version": ""}),
    (sa.true(), {}),
)
"""What `again` does besides, by the reason; a row that one did is not due to a person any more, so no other does it."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Decision:
    """What a person decided.

    Attributes:
        number: of the decision.
        who: the person, as given.
        why: the reason, as given.
        action: what was decided.
        what: a response id, an outcome's key, or a number of responses.
        at: ISO 8601, UTC.
    """

    number: int
    who: str
    why: str
    action: Action
    what: str
    at: str


@dataclass(frozen=True, kw_only=True, slots=True)
class Breaker:
    """Whether a site's server is left alone.

    Attributes:
        failures: how often in a row it was opened.
        open_until: nothing is sent before; ISO 8601, UTC; empty: closed.
    """

    failures: int = 0
    open_until: str = ""


def kept(before: str, reason: str) -> str:
    """Return the reason of a row that is still to be written: the one before if that must stay."""
    return before if before in KEPT_REASONS else reason


class Decisions:
    """The tables beside the outcomes; nothing in them is ever deleted.

    Args:
        engine: of the ledger.
        now: the time as the ledger writes it.
    """

    def __init__(self, engine: sa.Engine, now: Callable[[], str]) -> None:
        self._engine, self._now = engine, now
        self._reading, self._alone = reading(engine), alone(engine)

    def release(
        self, site: str, response_ids: Collection[str], *, who: str, why: str, seen: Mapping[str, str] | None = None
    ) -> int:
        """Let what belongs to these responses be sent; returns how many were not released before.

        Args:
            site: whose.
            response_ids: which.
            who: the person.
            why: the reason.
            seen: what the person saw planned of each, as `planned` said it; None: it is not compared.

        Raises:
            ConfigurationError: something else is planned by now; nothing was released.
        """
        with self._alone.begin() as connection:
            if seen is not None and _planned(connection, site, response_ids) != seen:
                raise ConfigurationError("what is planned of some responses has changed since it was shown")
            number = self._decide(connection, site, who, why, "release", f"{len(response_ids)} responses")
            waiting = responses.update().where(responses.c.site == site, responses.c.release.is_(None))
            parts = _parts(sorted(response_ids))
            return sum(
                connection.execute(waiting.where(responses.c.response_id.in_(part)).values(release=number)).rowcount
                for part in parts
            )

    def again(self, site: str, keys: Collection[str], *, who: str, why: str) -> int:
        """Make refused outcomes, and those a person had to look at, due again; returns how many that were.

        What may have reached the server without our knowing stays: it is never sent again blindly. What is gone from
        the chart is written anew, with what refers to it, and what was changed there is written over, whatever its
        version is by then.
        """
        with self._alone.begin() as connection:
            ready = outcomes.update().where(
                outcomes.c.site == site,
                outcomes.c.key.in_(keys),
                outcomes.c.state.in_(("refused", "manual")),
                sa.or_(outcomes.c.sent_hash == "", outcomes.c.ehr_id != ""),
            )
            due = {"state": "planned", "reason": "", "due": "", "changed_at": self._now()}
            changed: list[str] = []
            for condition, values in _AGAIN:
                statement = ready.where(condition).values(due | values)
                found = connection.execute(statement.returning(outcomes.c.key, outcomes.c.response_id)).all()
                changed += [row.response_id for row in found]
                if values is AS_NEW:
                    follow(connection, site, [row.key for row in found], self._now())
            whoever = sa.true() if "" in changed else outcomes.c.response_id.in_(changed)  # a Device: all refer to it
            goes_along = outcomes.update().where(
                outcomes.c.site == site, whoever, outcomes.c.state == "refused", outcomes.c.reason.in_(sorted(FOLLOWS))
            )
            connection.execute(goes_along.values(due))
            for key in keys:
                self._decide(connection, site, who, why, "again", key)
            return len(changed)

    def done(self, site: str, keys: Collection[str], *, who: str, why: str) -> None:
        """Record that a person brought outcomes into the chart by hand.

        Nothing becomes `verified` by that: what can be read is proven by reconcile, and what cannot stays `manual`,
        with the number of the decision that says so.
        """
        with self._alone.begin() as connection:
            for key in keys:
                number = self._decide(connection, site, who, why, "done", key)
                said = outcomes.update().where(
                    outcomes.c.site == site, outcomes.c.key == key, outcomes.c.state.in_(("refused", "manual"))
                )
                reason = f"{BY_HAND}: said in decision {number}"
                values = {"state": "manual", "reason": reason, "due": "", "changed_at": self._now()}
                connection.execute(said.values(values))

    def accept(self, site: str, *, who: str, why: str, what: str) -> None:
        """Record that a person accepted what a new version changes."""
        with self._engine.begin() as connection:
            self._decide(connection, site, who, why, "accept", what)

    def all(self, site: str) -> list[Decision]:
        """Return the site's decisions in order."""
        query = sa.select(releases).where(releases.c.site == site).order_by(releases.c.number)
        names = Decision.__slots__
        with self._reading.connect() as connection:
            return [Decision(**{name: row[name] for name in names}) for row in connection.execute(query).mappings()]

    def released(self, site: str, response_ids: Collection[str]) -> set[str]:
        """Return those of these responses that a person let be sent."""
        query = sa.select(responses.c.response_id).where(
            responses.c.site == site, responses.c.response_id.in_(response_ids), responses.c.release.is_not(None)
        )
        with self._reading.connect() as connection:
            return set(connection.scalars(query))

    def planned(self, site: str, response_ids: Collection[str]) -> dict[str, str]:
        """Return what is planned of these responses, by id, as a hash that is another whenever that is."""
        with self._reading.connect() as connection:
            return _planned(connection, site, response_ids)

    def labels(self, site: str, response_ids: Collection[str]) -> dict[str, set[str]]:
        """Return the codes of the security labels of these responses' outcomes, by response."""
        query = sa.select(responses.c.response_id, responses.c.labels).where(
            responses.c.site == site, responses.c.response_id.in_(response_ids), responses.c.labels != ""
        )
        with self._reading.connect() as connection:
            return {row.response_id: set(row.labels.split("\n")) for row in connection.execute(query)}

    def unreleased(self, site: str, *, limit: int) -> list[str]:
        """Return the next responses with something planned that no person released yet, in order of id.

        What is only taken back is not among them: it waits for nobody.
        """
        joined = sa.and_(responses.c.site == outcomes.c.site, responses.c.response_id == outcomes.c.response_id)
        query = sa.select(outcomes.c.response_id).distinct().join(responses, joined)
        query = query.where(outcomes.c.site == site, outcomes.c.state == "planned", outcomes.c.response_id != "")
        query = (
            query.where(outcomes.c.is_withdrawn.is_(False), responses.c.release.is_(None))
            .order_by(outcomes.c.response_id)
            .limit(limit)
        )
        with self._reading.connect() as connection:
            return list(connection.scalars(query))

    def written(self, site: str, *, most: int) -> int:
        """Return how many responses have something in the chart, counted up to `most`."""
        some = sa.select(outcomes.c.response_id).distinct()
        some = some.where(outcomes.c.site == site, outcomes.c.ehr_id != "", outcomes.c.response_id != "").limit(most)
        with self._reading.connect() as connection:
            return connection.scalar(sa.select(sa.func.count()).select_from(some.subquery())) or 0

    def patients(self, site: str, patient_ids: Collection[str]) -> dict[str, str]:
        """Return what was found out about these patients: by id the problem, empty if there is none."""
        query = sa.select(patients.c.patient_id, patients.c.problem).where(
            patients.c.site == site, patients.c.patient_id.in_(patient_ids)
        )
        with self._reading.connect() as connection:
            return {row.patient_id: row.problem for row in connection.execute(query)}

    def note_patients(self, site: str, problems: Mapping[str, str]) -> None:
        """Record what was found out about patients."""
        rows = [
            {"site": site, "patient_id": patient_id, "problem": problem, "checked_at": self._now()}
            for patient_id, problem in problems.items()
        ]
        with self._engine.begin() as connection:
            upsert(connection, patients, rows)

    def breaker(self, site: str) -> Breaker:
        """Return whether the site's server is left alone."""
        row = self._site(site)
        return Breaker(failures=row["failures"], open_until=row["open_until"]) if row else Breaker()

    def set_breaker(self, site: str, breaker: Breaker) -> None:
        """Record whether the site's server is left alone."""
        self._note_site({"site": site, "failures": breaker.failures, "open_until": breaker.open_until})

    def failed_contact(self, site: str) -> str:
        """Return when a delivery last could not reach the site's server (ISO 8601, UTC); empty: the last one could."""
        row = self._site(site)
        return str(row["failed_contact"]) if row else ""

    def note_contact(self, site: str, *, has_failed: bool) -> None:
        """Record whether a delivery could not reach the site's server."""
        if has_failed or self.failed_contact(site):
            self._note_site({"site": site, "failed_contact": self._now() if has_failed else ""})

    def origin(self, site: str) -> str:
        """Return what the last plan was made with; empty if there was none."""
        row = self._site(site)
        return str(row["origin"]) if row else ""

    def set_origin(self, site: str, origin: str) -> None:
        """Record what a plan was made with."""
        self._note_site({"site": site, "origin": origin})

    def _note_site(self, row: dict[str, Any]) -> None:
        with self._engine.begin() as connection:
            upsert(connection, sites, [row])

    def _site(self, site: str) -> sa.RowMapping | None:
        with self._reading.connect() as connection:
            return connection.execute(sa.select(sites).where(sites.c.site == site)).mappings().one_or_none()

    def _decide(self, connection: sa.Connection, site: str, who: str, why: str, action: Action, what: str) -> int:
        values = {"site": site, "who": who, "why": why, "action": action, "what": what, "at": self._now()}
        [number] = connection.execute(releases.insert().returning(releases.c.number), [values]).one()
        return int(number)


def unrelease(connection: sa.Connection, site: str, response_ids: Collection[str], moment: str) -> None:
    """End the releases of these responses: what a person looked at is not what would be sent now; that is recorded."""
    of_site = sa.and_(responses.c.site == site, responses.c.release.is_not(None))
    for part in _parts(sorted(response_ids)):
        these = sa.and_(of_site, responses.c.response_id.in_(part))
        released = connection.execute(sa.select(responses.c.response_id, responses.c.release).where(these)).all()
        if released:
            ended = {"site": site, "who": OURSELVES, "action": "ended", "at": moment}
            why = "release {} ended, for what was released has changed"
            rows = [
                {**ended, "why": why.format(row.release), "what": row.response_id, "ended": row.release}
                for row in released
            ]
            connection.execute(releases.insert(), rows)
            connection.execute(responses.update().where(these).values(release=None))


def _planned(connection: sa.Connection, site: str, response_ids: Collection[str]) -> dict[str, str]:
    columns = (outcomes.c.key, outcomes.c.patient_id, outcomes.c.content_hash, outcomes.c.is_withdrawn)
    found: dict[str, list[list[Any]]] = {}
    for part in _parts(sorted(response_ids)):
        query = sa.select(outcomes.c.response_id, *columns)
        query = query.where(outcomes.c.site == site, outcomes.c.response_id.in_(part)).order_by(outcomes.c.key)
        for response_id, *values in connection.execute(query):
            found.setdefault(response_id, []).append(values)
    return {one: hashlib.sha256(json.dumps(values).encode()).hexdigest() for one, values in found.items()}


def _parts(ids: Sequence[str]) -> Iterator[Sequence[str]]:
    return (ids[start : start + _BATCH] for start in range(0, len(ids), _BATCH))
