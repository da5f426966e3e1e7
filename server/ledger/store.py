"""The state that must not be lost: for each outcome the content that a site's chart shall hold, and what it holds.

What a method returned from is on the disk (SQLite in WAL mode with full sync, or PostgreSQL), so `sending` is there
before the request leaves. Rows are never deleted. Every change of state is checked against `states.TRANSITIONS` inside
the transaction that writes it. The unit of a row is one resource: panel, two scores, Provenance, Device, or what
stands for them at a site that takes none of these.

Several workers may deliver at once. A worker leases responses: only who holds the lease of a response may claim what
belongs to it, so a response's resources, which refer to each other, are sent by one worker in their order. A lease
ends by itself, so that nothing waits for a worker that is gone.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import datetime, timedelta
from pathlib import Path
from types import MappingProxyType
from typing import Self

import sqlalchemy as sa

from server.ledger import (
    anew,
    decisions,
    engine,
    history,
    leases,
    moves,
    planning,
    queries,
    replacements,
    requests,
    states,
)
from server.ledger.entries import Entry, Settlement, settled, timestamp
from server.ledger.plan import Plan, changed, withdrawals
from server.ledger.planning import OUTCOMES, Desired, PlanCounts, Rules
from server.ledger.repairs import Noted, Repair, is_as_read, repaired
from server.ledger.rows import change_rows, locked, of_keys, of_responses, state_is_one_of, upsert
from server.ledger.schema import attempts, outcomes, responses

_KEPT_REASON = sa.case((outcomes.c.reason.in_(sorted(decisions.KEPT_REASONS)), outcomes.c.reason), else_="")


class Ledger(queries.Queries):
    """The outcomes of all sites. One object serves several threads."""

    def __init__(self, opened: sa.Engine, now: Callable[[], datetime]) -> None:
        super().__init__(opened, self.now)
        self._engine, self._now, self._alone = opened, now, engine.alone(opened)
        self.history = history.History(self._reading)
        self.decisions = decisions.Decisions(opened, self.now)

    @classmethod
    def open(cls, place: Path | str, *, now: Callable[[], datetime] | None = None) -> Self:
        """Open or make a ledger: a SQLite file, or PostgreSQL by URL.

        Args:
            place: which.
            now: says the time; None: the database's clock where several machines share it, else this machine's.

        Raises:
            InputError: it cannot be opened, is no database, or was written by another version.
            ConfigurationError: the URL cannot be used, or the driver is not installed.
        """
        opened = engine.open_ledger_engine(place)
        return cls(opened, now or engine.clock(opened))

    def close(self) -> None:
        """Close the database."""
        self._engine.dispose()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def now(self) -> str:
        """Return the time as the ledger writes it."""
        return timestamp(self._now())

    def plan(self, site: str, rules: Rules, planned: Iterable[Desired]) -> PlanCounts:
        """Make these contents the desired ones; nothing is sent here.

        A content that hashes as before stays as it is. One that differs becomes `planned`, as an update where the
        chart may hold it; while a request is on its way its state stays, and it is sent after that is settled. A
        resource of the same response that is not among the new ones (another version of the instrument, another
        profile of the site) is withdrawn. Reads lazily, one transaction a batch of responses.
        """
        counts, remaining = PlanCounts(), iter(planned)
        while batch := list(itertools.islice(remaining, queries.BATCH)):
            counts += self._plan_batch(site, rules, batch)
        return counts

    def preview(self, site: str, rules: Rules, planned: Iterable[Desired]) -> PlanCounts:
        """Return what `plan` would do, and do nothing."""
        counts, remaining = PlanCounts(), iter(planned)
        while batch := list(itertools.islice(remaining, queries.BATCH)):
            with self._reading.connect() as connection:
                counts += Plan.of(connection, site, rules, batch).counts
        return counts

    def of_their_patients(self, site: str, planned: Sequence[Desired]) -> list[Desired]:
        """Return contents as `plan` takes them: under other keys where a chart may hold them as another patient's."""
        response_ids = [one.response_id for one in planned if one.response_id]
        with self._reading.connect() as connection:
            held = of_responses(connection, site, response_ids)
        return [moves.of_its_patient(held, one) for one in planned]

    def withdraw_all(self, site: str, rules: Rules, reasons: Iterable[tuple[str, str]]) -> int:
        """Take outcomes back, note the responses for the books, and return how many resources that concerns.

        What the chart may hold shall become entered-in-error there; what was never sent is `retracted` at once. A
        response that never had an outcome is only noted. Reads lazily, one transaction a batch of responses.

        Args:
            site: whose.
            rules: what the site permits.
            reasons: id of a QuestionnaireResponse without an outcome, and why, as in `responses.csv`.
        """
        withdrawn, remaining = 0, iter(reasons)
        while batch := list(itertools.islice(remaining, queries.BATCH)):
            with self._alone.begin() as connection:
                held = of_responses(connection, site, [response_id for response_id, _ in batch])
                changes = withdrawals(held, rules)
                change_rows(connection, site, changes, self.now())
                noted = [{"site": site, "response_id": response_id, "reason": reason} for response_id, reason in batch]
                upsert(connection, responses, noted)
            withdrawn += len(changes)
        return withdrawn

    def would_withdraw(self, site: str, rules: Rules, reasons: Iterable[tuple[str, str]]) -> int:
        """Return how many resources `withdraw_all` would concern, and do nothing."""
        count, remaining = 0, iter(reasons)
        while batch := list(itertools.islice(remaining, queries.BATCH)):
            with self._reading.connect() as connection:
                held = of_responses(connection, site, [response_id for response_id, _ in batch])
            count += len(withdrawals(held, rules))
        return count

    def stand_in(self, site: str, rules: Rules, refused: Sequence[Entry], document: Desired) -> bool:
        """Plan a document in place of refused Observations of one response; the books count them where it stands.

        Returns whether anything was planned: nothing is, if the document is held already and says the same, or an
        Observation has another state or content than when it was read.
        """
        with self._alone.begin() as connection:
            held = of_responses(connection, site, [document.response_id])
            says = {key: (one["state"], one["content_hash"]) for key, one in held.items()}
            if any(says[one.key] != (one.state, one.content_hash) for one in refused):
                return False
            [desired] = planning.rows(site, moves.of_its_patient(held, document))
            row = planning.in_place_of(held, desired, rules)
            [new], changes = changed(held, [row], rules)
            moment, keys, is_new = self.now(), [one.key for one in refused], new["key"] not in held
            if is_new:
                connection.execute(outcomes.insert(), [{**new, "planned_at": moment, "changed_at": moment}])
            change_rows(connection, site, changes, moment)
            counted_before = [*keys, row["key"]] if row["key"] in held else keys
            _count_as(connection, site, [new["key"]], sum(held[key]["observations"] for key in counted_before))
            _count_as(connection, site, keys, 0)
        return is_new or bool(changes)

    def step_up(self, site: str, rules: Rules, document: str) -> None:
        """Withdraw a document whose Observations were taken after all; the books count them where they are."""
        with self._alone.begin() as connection:
            row = of_keys(connection, site, [document])[document]
            others = of_responses(connection, site, [row["response_id"]])
            chain = {key: one for key, one in others.items() if document in (key, planning.replaced_by(one))}
            change_rows(connection, site, withdrawals(chain, rules), self.now())
            _count_as(connection, site, sorted(chain.keys() - {document}), 0)
            stood_for = sorted(
                key for key, one in others.items() if one["kind"] in OUTCOMES and not one["observations"]
            )
            for key in stood_for[: row["observations"]]:
                _count_as(connection, site, [key], 1)
            _count_as(connection, site, [document], row["observations"] - len(stood_for[: row["observations"]]))

    def lease(self, site: str, worker: str, *, after: str | None, responses: int, seconds: float) -> list[Entry]:
        """Take responses that have something due, whole, in order of id after `after`; no other worker gets them.

        Args:
            site: whose.
            worker: who will send; any text that no other worker uses.
            after: a response id; None for the first, which gives the Devices (response id empty) too.
            responses: how many at most.
            seconds: when the lease ends, unless a claim renews it.
        """
        until = timestamp(self._now() + timedelta(seconds=seconds))
        with self._engine.begin() as connection:
            found = leases.take_due(connection, site, worker, after=after, most=responses, now=self.now(), until=until)
            due = sa.and_(outcomes.c.due <= self.now(), state_is_one_of(states.DUE))
            entries = queries.entries_of(queries.of(site, outcomes.c.response_id.in_(found), due), connection)
        return sorted(entries, key=queries.sending_order)

    def lease_open(self, site: str, worker: str, *, after: str, responses: int, seconds: float) -> list[Entry]:
        """Take responses with something that must be read before it is sent again: also what was taken without an id.

        What another worker is sending at this moment is its own, until its lease ends; an answer that it gets after
        that changes nothing.
        """
        until = timestamp(self._now() + timedelta(seconds=seconds))
        with self._engine.begin() as connection:
            found = leases.take_open(connection, site, worker, after=after, most=responses, now=self.now(), until=until)
            requests.take_over(connection, site, found)
            entries = queries.entries_of(
                queries.of(site, outcomes.c.response_id.in_(found), outcomes.c.is_open), connection
            )
        return sorted(entries, key=queries.sending_order)

    def unlease(self, site: str, worker: str) -> None:
        """Give back every response that a worker holds."""
        with self._engine.begin() as connection:
            leases.give_back(connection, site, worker)

    def leased_until(self, site: str) -> str:
        """Return when the last lease of something unfinished ends (ISO 8601, UTC); empty if nothing is leased."""
        with self._reading.connect() as connection:
            return leases.latest(connection, site, self.now())

    def claim(
        self,
        site: str,
        keys: Sequence[str],
        *,
        request_id: str | Mapping[str, str],
        interaction: str,
        worker: str,
        seconds: float,
    ) -> list[Entry]:
        """Record that a request with these resources is about to leave; returns those that may go in it.

        Only what is due and leased to the worker is claimed, and its leases are renewed.

        Args:
            site: whose.
            keys: of the resources.
            request_id: of the one request that all of them go in, or of each one's own, by key.
            interaction: `create`, `update` or `transaction`; for the record.
            worker: who sends.
            seconds: how long from now the worker keeps its leases.
        """
        moment, until = self.now(), timestamp(self._now() + timedelta(seconds=seconds))
        statement = (
            outcomes.update()
            .where(outcomes.c.site == site, outcomes.c.key.in_(keys), state_is_one_of(states.DUE))
            .where(leases.is_held_by(site, worker, moment))
            .values(state="sending", is_open=True, sent_hash=outcomes.c.content_hash, sent_at=moment)
            .values(reason=_KEPT_REASON, due="", changed_at=moment, sent_content=outcomes.c.content)
            .values(request_id=requests.on_rows(request_id))
            .returning(*queries.ENTRY_COLUMNS)
        )
        with self._engine.begin() as connection:
            leases.hold(connection, site, worker, keys, moment)
            claimed = [queries.entry(row) for row in connection.execute(statement).mappings()]
            attempt = {"site": site, "interaction": interaction, "sent_at": moment, "result": "sending"}
            if claimed:
                rows = [
                    {
                        **attempt,
                        "key": one.key,
                        "content_hash": one.content_hash,
                        "request_id": requests.of_key(request_id, one.key),
                    }
                    for one in claimed
                ]
                connection.execute(attempts.insert(), rows)
                leases.renew(connection, site, worker, until)
        return sorted(claimed, key=queries.sending_order)

    def renew(self, site: str, keys: Sequence[str], *, request_id: str, worker: str, seconds: float) -> bool:
        """Let a worker keep its leases longer, if a request that has not left yet is still its own; returns whether."""
        until = timestamp(self._now() + timedelta(seconds=seconds))
        with self._engine.begin() as connection:
            moment = self.now()
            leases.hold(connection, site, worker, keys, moment)
            its_own = sa.select(sa.func.count()).where(
                outcomes.c.site == site,
                outcomes.c.key.in_(keys),
                outcomes.c.request_id == request_id,
                leases.is_held_by(site, worker, moment),
            )
            if connection.execute(its_own).scalar_one() < len(keys):
                return False
            leases.renew(connection, site, worker, until)
        return True

    def settle(self, site: str, settlements: Sequence[Settlement], *, request_id: str | Mapping[str, str] = "") -> None:
        """Record what came of a request, or of looking for what was on its way.

        A row that another request is on its way with by now, or that was taken over from this one, is left to those
        who have it; of this one then only the attempt says what it came to.

        Args:
            site: whose.
            settlements: what came of each resource.
            request_id: of the one request that all of them went in, or of each one's own, by key; empty: of none.
        """
        moment = self.now()
        with self._engine.begin() as connection:
            held = locked(connection, site, [settlement.key for settlement in settlements])
            changes = [settled(held[one.key], one) for one in requests.own(held, settlements, request_id)]
            for change in changes:
                change.values["request_id"] = ""
                if request_id and change.values["state"] == "unknown":
                    change.values["sent_at"] = moment  # the server may have been at it until now
            change_rows(connection, site, replacements.with_older(connection, site, held, changes), moment)
            if request_id and settlements:
                own = {change.key for change in changes}
                requests.note_answered(connection, site, settlements, request_id, moment, own_keys=own)

    def block(self, site: str, keys: Sequence[str], reason: str) -> None:
        """Note why what is planned cannot be sent yet."""
        statement = outcomes.update().where(
            outcomes.c.site == site,
            outcomes.c.key.in_(keys),
            state_is_one_of(states.DUE),
            outcomes.c.reason.not_in((reason, *sorted(decisions.KEPT_REASONS))),
        )
        with self._engine.begin() as connection:
            connection.execute(statement.values(reason=reason))

    def note_read(
        self, site: str, read: Sequence[tuple[Entry, Settlement]], repairs: Mapping[str, Repair] = MappingProxyType({})
    ) -> Noted:
        """Record what reading back showed, and plan again what shall be repaired, at once; returns how many each.

        What changed since it was read is left alone: it may be on its way to the chart at this moment.

        Args:
            site: whose.
            read: what the ledger said when the chart was read, and what that showed.
            repairs: by key, of what was read altered or missing.
        """
        with self._engine.begin() as connection:
            held = locked(connection, site, [entry.key for entry, _ in read])
            changes = [settled(held[entry.key], one) for entry, one in read if is_as_read(held[entry.key], entry)]
            change_rows(connection, site, replacements.with_older(connection, site, held, changes), self.now())
            mended = [repaired(change, repairs[change.key]) for change in changes if change.key in repairs]
            change_rows(connection, site, mended, self.now())
        return Noted(read=len(changes), repaired=len(mended))

    def follow(self, site: str, keys: Sequence[str]) -> int:
        """Plan again what refers to resources that are written anew, under another id; returns how many that are."""
        with self._engine.begin() as connection:
            return anew.follow(connection, site, keys, self.now())

    def _plan_batch(self, site: str, rules: Rules, batch: Sequence[Desired]) -> PlanCounts:
        with self._alone.begin() as connection:
            plan = Plan.of(connection, site, rules, batch)
            moment = self.now()
            if plan.new:
                new = [{**row, "planned_at": moment, "changed_at": moment} for row in plan.new]
                connection.execute(outcomes.insert(), new)
            change_rows(connection, site, plan.changes, moment)
            for count in set(plan.recounted.values()):
                _count_as(connection, site, [key for key, one in plan.recounted.items() if one == count], count)
            upsert(connection, responses, [plan.called_for(one) | {"site": site} for one in batch])
            decisions.unrelease(connection, site, plan.amended, moment)
        return plan.counts


def _count_as(connection: sa.Connection, site: str, keys: Sequence[str], observations: int) -> None:
    counted_as = outcomes.update().where(outcomes.c.site == site, outcomes.c.key.in_(keys))
    connection.execute(counted_as.values(observations=observations))
