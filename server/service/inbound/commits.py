"""One transaction of the inbox: several requests stored together, repetitions found, versions counted.

Whatever is looked up is looked up once for all of them; what one of them stores the next ones see.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final, TypeVar

import msgspec
import sqlalchemy as sa

from integration.intake import RejectedError
from integration.service_settings import OWN_NAMES
from server.service.inbound import answers, statements, submission
from server.service.inbound.counting import Sent, newest_of
from server.service.inbound.deposits import (
    ANOTHERS,
    SOME_VERSION,
    Answer,
    Deposit,
    KeyReusedError,
    Receipt,
    Taken,
    Unit,
    VersionConflictError,
)

_PARAMETERS: Final = 500
_LATER: Final = 202
MAY_MOVE: Final = OWN_NAMES
"""Whose resources may say that another source's resource is about another patient: this machine, and the EHR."""
_Identity = tuple[str, str]
"""Resource type and logical id."""
_K = TypeVar("_K")
_V = TypeVar("_V")


@dataclass(slots=True)
class _Held:
    """A version of a resource that is stored, or is about to be."""

    version: int
    problem: str


@dataclass(frozen=True, slots=True)
class _Holder:
    """Who sent a resource's latest version that was not set aside, and the id of the Patient whom it is about."""

    caller: str
    subject: str


@dataclass(slots=True)
class _Known:
    """What is stored already of what the units speak of, and what they add."""

    exchanges: dict[str, list[tuple[str, str, Answer]]]  # by content: id, request id, answer; the oldest first
    keys: dict[str, tuple[str, Answer]]  # by digest: content, answer
    contents: dict[tuple[_Identity, str], _Held]  # by resource and content: its latest version of that content
    latest: dict[_Identity, int]  # set aside ones included: from it versions are counted
    usable: dict[_Identity, int]  # the latest that was not set aside: what a reader sees
    holders: dict[_Identity, _Holder]  # of `usable`, as far as they were looked up


class Commit:
    """The units of one transaction.

    Args:
        connection: in the transaction, which writes alone.
        site: whose inbox.
        now: as it is written.
        new_id: makes the id of an exchange.
    """

    def __init__(self, connection: sa.Connection, site: str, *, now: str, new_id: Callable[[], str]) -> None:
        self._connection, self._site, self._now, self._new_id = connection, site, now, new_id
        self._rows: dict[str, list[dict[str, Any]]] = {"arrival": [], "exchange": [], "key": [], "deferred": []}

    def take(self, units: Sequence[Unit]) -> list[Taken | Exception]:
        """Store the units, and return what became of each: a refusal of one is no matter of the others."""
        self._known = self._look_up(units)
        results: list[Taken | Exception] = []
        for unit in units:
            try:
                results.append(self._take(unit))
            except (VersionConflictError, KeyReusedError) as error:
                results.append(error)
        for insert, name in statements.INSERTS:
            if self._rows[name]:
                self._connection.execute(insert, self._rows[name])
        return results

    def find(self, unit: Unit) -> Answer | None:
        """Return the answer that a unit got before, without storing anything; None if it is new.

        Raises:
            KeyReusedError: its key was used for other content.
        """
        self._known = self._look_up([unit])
        return self._replay(unit)

    def _replay(self, unit: Unit) -> Answer | None:
        for key in unit.keys:
            found = self._known.keys.get(key.digest)
            if found and key.is_promise and found[0] != (key.content_hash or unit.content_hash):
                raise KeyReusedError
            if found and self._is_given_again(unit, found[1]):
                return found[1]
        return self._first_answer(unit)

    def _is_given_again(self, unit: Unit, answer: Answer) -> bool:
        """Whether a repetition gets this answer; else what was refused of it is judged anew.

        Whoever wants to be answered now is not sent to where a result will be.
        """
        if answer.status != _LATER:
            return not answers.has_refusal(answer.body)
        if unit.later is None:
            return False
        name = answer.headers["Content-Location"].rpartition("/")[2]
        row = self._connection.execute(statements.RESULT, {"site": self._site, "id": name}).first()
        return row is None or row.is_open or (row.status < 400 and not answers.has_refusal(row.result))

    def _take(self, unit: Unit) -> Taken:
        if (first := self._replay(unit)) is not None:
            return Taken(answer=first, is_replay=True)
        receipts, rows = self._receipts(unit)
        answer = unit.answer(receipts)
        self._rows["arrival"] += rows
        self._remember(unit, answer)
        return Taken(answer=answer, receipts=receipts)

    def _first_answer(self, unit: Unit) -> Answer | None:
        """Return the answer that this content got before; of several, the one to a request of the same id."""
        known = self._known.exchanges.get(unit.content_hash, []) if unit.content_hash else []
        found = [one for one in known if self._is_given_again(unit, one[2])]
        if not found or any(self._is_return(unit, deposit) for deposit in unit.deposits):
            return None
        return next((answer for _, request_id, answer in found if request_id == unit.request_id), found[-1][2])

    def _is_return(self, unit: Unit, deposit: Deposit) -> bool:
        """Whether a sender goes back to an earlier content, and says that this is no repetition.

        It says so by a new Idempotency-Key, or by naming the latest version, which has another content.
        """
        identity = deposit.resource_type, deposit.resource_id
        latest = self._known.usable.get(identity, 0)
        held = self._known.contents.get((identity, deposit.content_hash))
        if held is None or held.problem or held.version == latest:
            return False
        is_new = any(key.is_promise and key.digest not in self._known.keys for key in unit.keys)
        return deposit.expected_version == latest or is_new

    def _receipts(self, unit: Unit) -> tuple[list[Receipt], list[dict[str, Any]]]:
        """Give each deposit its version; what they change of what is known is undone if one conflicts."""
        receipts: list[Receipt] = []
        rows: list[dict[str, Any]] = []
        undo: list[Callable[[], object]] = []
        for position, deposit in enumerate(unit.deposits):
            receipt = self._receipt(unit, deposit)
            if receipt.is_conflict and unit.is_atomic:
                for one in reversed(undo):
                    one()
                raise VersionConflictError(position, is_anothers=receipt.is_anothers)
            if not (receipt.is_conflict or receipt.is_replay):
                undo.append(self._hold(unit, deposit, receipt))
                rows.append(self._arrival(unit, deposit, receipt))
            if not receipt.is_conflict and self._is_superseded(receipt, rows):
                receipt = replace(receipt, is_superseded=True)
            receipts.append(receipt)
        return receipts, rows

    def _receipt(self, unit: Unit, deposit: Deposit) -> Receipt:
        identity = deposit.resource_type, deposit.resource_id
        held = self._known.contents.get((identity, deposit.content_hash))
        kind, name = identity
        if held is not None and not self._is_return(unit, deposit):
            return Receipt(
                resource_type=kind, resource_id=name, version=held.version, is_replay=True, problem=held.problem
            )
        if not _is_expected(deposit.expected_version, self._known.usable.get(identity, 0)):
            return Receipt(resource_type=kind, resource_id=name, version=0, is_conflict=True)
        problem = deposit.problem or (ANOTHERS if self._is_anothers(unit, deposit) else "")
        if problem and not deposit.problem and not unit.is_poison_kept:
            return Receipt(resource_type=kind, resource_id=name, version=0, is_conflict=True, is_anothers=True)
        version = self._known.latest.get(identity, 0) + 1
        return Receipt(resource_type=kind, resource_id=name, version=version, problem=problem)

    def _is_superseded(self, receipt: Receipt, rows: Sequence[dict[str, Any]]) -> bool:
        """Whether one before a receipt's version counts, also of the rows that are about to be stored.

        What came after it is no matter here, so that a repetition is answered as the first time.
        """
        kind, name = identity = receipt.resource_type, receipt.resource_id
        if receipt.problem or receipt.version == 1:
            return False
        found = self._connection.execute(statements.SENT, {"site": self._site, "type": kind, "id": name}).mappings()
        waiting = (row for row in (*self._rows["arrival"], *rows) if row["resource_id"] == name)
        new = (row for row in waiting if row["resource_type"] == kind and not row["problem"])
        sent = ({**row, "sequence": row["version"]} for row in (*found, *new) if row["version"] <= receipt.version)
        versions = (Sent(**{field: row[field] for field in Sent.__slots__}) for row in sent)
        try:
            return not newest_of(versions).counts(identity, receipt.version)
        except RejectedError:  # one that nobody can read is settled as such
            return False

    def _is_anothers(self, unit: Unit, deposit: Deposit) -> bool:
        """Whether a deposit says of another source's resource that it is about another patient."""
        identity, known = (deposit.resource_type, deposit.resource_id), self._known
        if not deposit.subject or not known.usable.get(identity):
            return False
        if unit.caller in MAY_MOVE and not deposit.is_subject_fixed:
            return False
        if identity not in known.holders:
            known.holders[identity] = self._holder(identity, known.usable[identity])
        holder = known.holders[identity]
        if holder.caller == unit.caller and not deposit.is_subject_fixed:
            return False
        return holder.subject not in ("", deposit.subject)

    def _holder(self, identity: _Identity, version: int) -> _Holder:
        kind, name = identity
        parameters = {"site": self._site, "type": kind, "id": name, "version": version}
        row = self._connection.execute(statements.HOLDER, parameters).one()
        return _Holder(row.caller, submission.subject_of(row.body))

    def _hold(self, unit: Unit, deposit: Deposit, receipt: Receipt) -> Callable[[], object]:
        """Let what comes next know of a deposit; returns what takes that back."""
        identity, known = (deposit.resource_type, deposit.resource_id), self._known
        content = identity, deposit.content_hash
        undo = [
            _put(known.latest, identity, receipt.version),
            _put(known.contents, content, _Held(receipt.version, receipt.problem)),
        ]
        if not receipt.problem:
            undo.append(_put(known.usable, identity, receipt.version))
            undo.append(_put(known.holders, identity, _Holder(unit.caller, deposit.subject)))
        return lambda: [one() for one in undo]

    def _remember(self, unit: Unit, answer: Answer) -> None:
        """Keep an answer for repetitions; one that refuses something only if it came with a new key."""
        keys = [key for key in unit.keys if key.digest not in self._known.keys]
        if answers.has_refusal(answer.body) and not any(key.is_promise for key in keys):
            return
        exchange = self._new_id()
        known, headers = self._known, msgspec.json.encode(answer.headers).decode()
        common = {"site": self._site, "caller": unit.caller, "received": self._now}
        self._rows["exchange"].append(
            {**common, "id": exchange, "request_id": unit.request_id, "content_hash": unit.content_hash,
             "status": answer.status, "headers": headers, "body": answer.body}
        )  # fmt: skip
        known.exchanges.setdefault(unit.content_hash, []).append((exchange, unit.request_id, answer))
        for key in keys:
            content = key.content_hash or unit.content_hash
            row = {"key": key.digest, "content_hash": content, "exchange": exchange}
            self._rows["key"].append({"site": self._site, **row})
            known.keys[key.digest] = content, answer
        if unit.later:
            later = {"id": unit.later.id, "request": unit.later.request, "body": unit.later.body}
            self._rows["deferred"].append({**common, **later, "is_open": True, "status": 0, "result": b""})

    def _arrival(self, unit: Unit, deposit: Deposit, receipt: Receipt) -> dict[str, Any]:
        return {
            "site": self._site,
            "resource_type": deposit.resource_type,
            "resource_id": deposit.resource_id,
            "version": receipt.version,
            "content_hash": deposit.content_hash,
            "body": deposit.body,
            "received": self._now,
            "request_id": unit.request_id,
            "caller": unit.caller,
            "is_next": (deposit.expected_version or 0) > 0,
            "state": "quarantined" if receipt.problem else "received",
            "problem": receipt.problem,
        }

    def _look_up(self, units: Sequence[Unit]) -> _Known:
        keys = {key.digest for unit in units for key in unit.keys}
        deposits = [deposit for unit in units for deposit in unit.deposits]
        latest, usable = self._latest({(deposit.resource_type, deposit.resource_id) for deposit in deposits})
        return _Known(
            exchanges=self._exchanges({unit.content_hash for unit in units if unit.content_hash}),
            keys=self._keys(keys) if keys else {},
            contents=self._contents({deposit.content_hash for deposit in deposits}),
            latest=latest,
            usable=usable,
            holders={},
        )

    def _exchanges(self, contents: Iterable[str]) -> dict[str, list[tuple[str, str, Answer]]]:
        found: dict[str, list[tuple[str, str, Answer]]] = {}
        for row in self._rows_of(statements.EXCHANGES, contents):
            found.setdefault(row.content_hash, []).append((row.id, row.request_id, _answer(row)))
        return found

    def _keys(self, digests: Iterable[str]) -> dict[str, tuple[str, Answer]]:
        return {row.key: (row.content_hash, _answer(row)) for row in self._rows_of(statements.KEYS, digests)}

    def _contents(self, contents: Iterable[str]) -> dict[tuple[_Identity, str], _Held]:
        return {
            ((row.resource_type, row.resource_id), row.content_hash): _Held(row.version, row.problem)
            for row in self._rows_of(statements.CONTENTS, contents)
        }

    def _latest(self, identities: Iterable[_Identity]) -> tuple[dict[_Identity, int], dict[_Identity, int]]:
        """Return the latest versions, of all and of those that were not set aside."""
        found: dict[_Identity, int] = {}
        usable: dict[_Identity, int] = {}
        by_type: dict[str, list[str]] = {}
        for kind, name in identities:
            by_type.setdefault(kind, []).append(name)
        for kind, names in by_type.items():
            for row in self._rows_of(statements.LATEST, names, type=kind):
                found[kind, row.resource_id] = row.latest
                usable[kind, row.resource_id] = row.usable or 0
        return found, usable

    def _rows_of(self, query: sa.Select[Any], values: Iterable[str], **more: str) -> Iterator[sa.Row[Any]]:
        waiting = list(values)
        for start in range(0, len(waiting), _PARAMETERS):
            parameters = {"site": self._site, "values": waiting[start : start + _PARAMETERS], **more}
            yield from self._connection.execute(query, parameters)


def _is_expected(expected: int | None, latest: int) -> bool:
    return latest > 0 if expected == SOME_VERSION else expected in (None, latest)


def _put(mapping: dict[_K, _V], key: _K, value: _V) -> Callable[[], object]:
    """Set a value; returns what takes that back."""
    before = {key: mapping[key]} if key in mapping else {}
    mapping[key] = value

    def take_back() -> None:
        del mapping[key]
        mapping.update(before)

    return take_back


def _answer(row: sa.Row[Any]) -> Answer:
    return Answer(status=row.status, headers=msgspec.json.decode(row.headers), body=row.body)
