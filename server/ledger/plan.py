"""What a batch of desired contents makes of the ledger's rows: read in the transaction that will write it."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence, Set
from typing import Final

import sqlalchemy as sa

from server.ledger import moves, planning
from server.ledger.planning import FOLLOWS, OUTCOMES, Desired, PlanCounts, Rules
from server.ledger.rows import Row, of_keys, of_responses
from server.ledger.schema import outcomes

_CONTENTS: Final = frozenset(("content", "sent_content", "ehr_content"))
_WITHOUT_CONTENT: Final = [column for column in outcomes.c if column.name not in _CONTENTS]


class Plan:
    """What a batch of desired contents makes of the ledger's rows.

    Attributes:
        new: rows that are not held.
        changes: of rows that are held.
        recounted: by key of held rows, how many Observations they stand for from now on.
        counts: of new rows, of changes, and of what stays.

    Args:
        held: rows of these responses, by key.
        rows: the desired ones.
        changes: of held rows.
        recounted: see above.
    """

    def __init__(
        self,
        held: Mapping[str, Row],
        rows: Sequence[Row],
        changes: Sequence[planning.Change],
        recounted: Mapping[str, int],
    ) -> None:
        self.recounted = recounted
        self.new = [row for row in rows if row["key"] not in held]
        self.changes = changes
        self.counts = PlanCounts(
            new=len(self.new),
            changed=len(changes),
            unchanged=len(rows) - len(self.new) - len({one.key for one in changes} & {row["key"] for row in rows}),
        )
        self._response_ids = {key: row["response_id"] for key, row in held.items()}
        self._observations: Counter[str] = Counter()
        after = {one.key: one.values["observations"] for one in changes if "observations" in one.values}
        after |= recounted
        for key, row in ({row["key"]: row for row in rows} | dict(held)).items():
            self._observations[row["response_id"]] += after[key] if key in after else row["observations"]

    @classmethod
    def of(cls, connection: sa.Connection, site: str, rules: Rules, batch: Sequence[Desired]) -> Plan:
        """Compare what is desired with what is held; what is held and not desired any more is withdrawn."""
        response_ids = [one.response_id for one in batch if one.response_id]  # older Devices stay what they are
        held = of_responses(connection, site, response_ids, _WITHOUT_CONTENT)
        batch = [moves.of_its_patient(held, desired) for desired in batch]
        rows = [row for desired in batch for row in planning.rows(site, desired)]
        held |= of_keys(connection, site, [row["key"] for row in rows if row["key"] not in held])
        rows, changes = changed(held, [planning.in_place_of(held, row, rules) for row in rows], rules)
        wanted, touched = {row["key"] for row in rows}, {one.key for one in changes}
        standing = _stand_ins(held, wanted)
        released = {key: of for key, of in standing.items() if of & touched or of - wanted}
        others = held.keys() - wanted - touched - (standing.keys() - released.keys())
        superseded = withdrawals(of_keys(connection, site, sorted(others)), rules)
        changes = [*changes, *_freed(held, changes), *superseded]
        return cls(held, rows, changes, _given_back(held, released))

    def called_for(self, desired: Desired) -> Row:
        """Return the row of the response: its Observations, why it has no score, if so, and its labels."""
        return {
            "response_id": desired.response_id,
            "observations": self._observations[desired.response_id],
            "reason": desired.reason,
            "labels": "\n".join(sorted(desired.labels)),
        }

    @property
    def amended(self) -> set[str]:
        """The responses that get a content which nobody has seen: a new one, or another than before."""
        changed = {one.key for one in self.changes if "content_hash" in one.values}
        return {row["response_id"] for row in self.new} | {self._response_ids[key] for key in changed}


def changed(held: Mapping[str, Row], rows: Sequence[Row], rules: Rules) -> tuple[list[Row], list[planning.Change]]:
    """Return the desired rows, with what replaces a document in its place, and how held rows change."""
    desired: list[Row] = []
    changes: list[planning.Change] = []
    for row in rows:
        before = held.get(row["key"])
        replaced = planning.replacement(before, row, rules) if before and row["kind"] == "document" else None
        new, change = replaced or (row, planning.change(before, row, rules) if before else None)
        desired.append(new)
        if change:
            changes.append(change)
        if replaced and new["key"] in held:  # withdrawn before it was sent, and wanted again
            changes += _again(held[new["key"]], new, rules)
    return desired, changes


def _again(held: Row, new: Row, rules: Rules) -> list[planning.Change]:
    change = planning.change(held, new, rules)
    if change is None:
        return []
    return [planning.Change(key=change.key, before=change.before, values={**change.values, **_counted_as(new)})]


def _counted_as(row: Row) -> Row:
    return {"observations": row["observations"]}


def _stand_ins(held: Mapping[str, Row], wanted: Set[str]) -> dict[str, set[str]]:
    """Return, by key, for which Observations a document stands in that is not wanted itself: those count nothing."""
    uncounted: defaultdict[str, set[str]] = defaultdict(set)
    for key, row in held.items():
        if row["kind"] in OUTCOMES and not row["observations"]:
            uncounted[row["response_id"]].add(key)
    documents = [
        (key, row)
        for key, row in held.items()
        if row["kind"] == "document" and row["observations"] and key not in wanted
    ]
    return {key: uncounted[row["response_id"]] for key, row in documents if uncounted[row["response_id"]]}


def _given_back(held: Mapping[str, Row], released: Mapping[str, Set[str]]) -> dict[str, int]:
    """Return what counts how much once documents are released: their Observations again, and they nothing."""
    of_responses = {held[key]["response_id"] for key in released}
    documents = (key for key, one in held.items() if one["kind"] == "document" and one["response_id"] in of_responses)
    return dict.fromkeys(documents, 0) | {key: 1 for stood_for in released.values() for key in stood_for}


def _freed(held: Mapping[str, Row], changes: Sequence[planning.Change]) -> list[planning.Change]:
    """Return the changes that make due again what was refused only because what it refers to was."""
    changed = {change.key for change in changes}
    again = {held[key]["response_id"] for key in changed}
    values: Row = {"state": "planned", "reason": "", "due": ""}
    return [
        planning.Change(key=key, before="refused", values=values)
        for key, row in held.items()
        if row["state"] == "refused" and row["reason"] in FOLLOWS and row["response_id"] in again and key not in changed
    ]


def withdrawals(rows: Mapping[str, Row], rules: Rules) -> list[planning.Change]:
    """Return how rows change whose outcome is withdrawn.

    Where what replaced a document never left, it is that document which the chart holds and which is taken back.
    """
    changes = {key: change for key, row in rows.items() if (change := planning.withdrawal(row, rules))}
    for key, row in rows.items():
        later = changes.get(planning.replaced_by(row))
        older = planning.withdrawal({**row, "reason": ""}, rules) if later else None
        if later and older and later.values["state"] == "retracted":
            older.values["observations"] = rows[later.key]["observations"]
            later.values["observations"] = 0
            changes[key] = older
    return list(changes.values())
