"""What a plan or a withdrawal makes of the ledger's rows (pure)."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, Literal, Protocol

import msgspec

from integration.outcomes import Resource, content_hash, encode
from server.ledger.states import State

Kind = Literal["device", "physical", "psychological", "panel", "document", "provenance"]
RANKS: Final[dict[Kind, int]] = {
    "device": 0, "physical": 1, "psychological": 2, "panel": 3, "document": 4, "provenance": 5,
}  # fmt: skip
"""The order of sending: each resource refers only to those before it."""

OUTCOMES: Final[frozenset[Kind]] = frozenset(("physical", "psychological", "panel"))
"""What a document may stand in for."""
GOES_ALONG: Final[frozenset[Kind]] = frozenset(("provenance", "device"))
"""What has no status to be taken back with."""

NOT_AMENDED: Final = "changed, but this site takes no change of what was written: correct it in the chart"
NOT_RETRACTED: Final = "withdrawn, but this site takes nothing back: mark it in the chart"
REPLACED: Final = "replaced by "
BY_HAND: Final = "done by hand"
"""In the reason of what a person brought into the chart, as they said; nothing more is known of it."""
CHANGED_BY_HAND: Final = f"changed after it was {BY_HAND}: correct it in the chart"
WITHDRAWN_BY_HAND: Final = f"withdrawn after it was {BY_HAND}: mark it in the chart"
REFERS_TO_REFUSED: Final = "refers to an outcome that was refused"
REFERS_TO_HAND_MADE: Final = "refers to an outcome that a person entered in the chart"
FOLLOWS: Final = frozenset((REFERS_TO_REFUSED, REFERS_TO_HAND_MADE))
"""Reasons of what is refused only because what it would refer to has no id in the chart that we know."""
_KEEPS_ITS_STATE: Final = frozenset[State](("sending", "unknown"))

_Row = dict[str, Any]


@dataclass(frozen=True, kw_only=True, slots=True)
class Shaped:
    """One resource as a site takes it.

    Attributes:
        kind: what it says.
        resource: with a derived `id`; references to resources of ours use their derived ids.
        observations: how many of the books' Observations it stands for: 1 for a score or the panel, 0 for what only
            goes along, more for a document in place of several.
        dropped: paths of the canonical resource that this site does not get, in its order.
        problem: why a person must see to it before anything is sent; empty: nothing in the way.
    """

    kind: Kind
    resource: Resource
    observations: int = 0
    dropped: tuple[str, ...] = ()
    problem: str = ""


@dataclass(frozen=True, kw_only=True, slots=True)
class Desired:
    """What a site's chart shall hold of one response.

    Attributes:
        response_id: of the QuestionnaireResponse.
        patient_id: whose it is.
        response_version: `meta.versionId` of the response, empty if it has none.
        reason: why it has no score; empty if it has one.
        resources: as the site takes them.
        labels: codes of the canonical outcome's security labels, which the site's shape may not carry.
        was_merged: whether a patient, given by id, was merged into this one; only then is what is in the chart moved.
    """

    response_id: str
    patient_id: str
    response_version: str
    reason: str
    resources: Sequence[Shaped]
    labels: frozenset[str] = frozenset()
    was_merged: Callable[[str], bool] = lambda _: False


class Rules(Protocol):
    """How a site's chart may be changed after something was written to it."""

    def amended(self, resource: Resource) -> Resource | None:
        """Return a changed content as it is written over an older one; None if the site permits no such thing."""

    def retracted(self, resource: Resource) -> Resource | None:
        """Return a content as it is taken back; None if the site permits no such thing."""

    def replacement(self, resource: Resource, replaced_reference: str) -> Resource | None:
        """Return a content that cannot be written over an older one as a new resource that replaces it; None: neither.

        Args:
            resource: the new content.
            replaced_reference: of the older one, with the server's id.
        """


@dataclass(frozen=True, kw_only=True, slots=True)
class PlanCounts:
    """What a plan did, or would do; the unit is one resource.

    Attributes:
        new: not in the ledger before.
        changed: in the ledger with other content, or withdrawn because the response now calls for others.
        unchanged: in the ledger with the same content.
    """

    new: int = 0
    changed: int = 0
    unchanged: int = 0

    def __add__(self, other: PlanCounts) -> PlanCounts:
        return PlanCounts(
            new=self.new + other.new, changed=self.changed + other.changed, unchanged=self.unchanged + other.unchanged
        )


@dataclass(frozen=True, kw_only=True, slots=True)
class Change:
    """New values of one row.

    Attributes:
        key: of the row.
        before: its state, for the check of the transition.
        values: by column, the new state among them.
    """

    key: str
    before: State
    values: dict[str, Any]


def rows(site: str, desired: Desired) -> list[_Row]:
    """Return the rows of one response's resources; of a Device if the response id is empty."""
    return [_row(site, desired, shaped) for shaped in desired.resources]


def change(held: _Row, row: _Row, rules: Rules) -> Change | None:
    """Return how a newly planned row changes the one held under its key; None if it says the same.

    What the chart may hold already is written over, in the form that the site permits; if it permits none, the new
    content is the desired one all the same, and a person must bring it there.
    """
    if held["content_hash"] == row["content_hash"] and not held["is_withdrawn"]:
        return None
    names = ("content", "content_hash", "response_version", "patient_id", "dropped")
    values = {**{name: row[name] for name in names}, "is_withdrawn": False}
    if is_by_hand(held):
        return _changed(held, {**values, "state": "manual", "reason": CHANGED_BY_HAND})
    if row["reason"] or not may_be_in_chart(held):
        return _changed(held, {**values, "state": row["state"], "reason": row["reason"]})
    amended = rules.amended(msgspec.json.decode(row["content"]))
    if amended is None:
        return _changed(held, {**values, "state": "manual", "reason": NOT_AMENDED})
    return _changed(held, {**values, "content": encode(amended)})


def in_place_of(held: Mapping[str, _Row], row: _Row, rules: Rules) -> _Row:
    """Return a planned row as it is held now: if something replaced it, under the key of that, and saying so."""
    key, replaced = row["key"], None
    while key in held and (later := replaced_by(held[key])):
        replaced, key = held[key], later
    return row if replaced is None else _replacing(_renamed(row, key), replaced, rules) or _renamed(row, key)


def replaced_by(held: _Row) -> str:
    """Return the key of what replaced a row; empty if nothing did."""
    reason: str = held["reason"]
    return reason.removeprefix(REPLACED) if reason.startswith(REPLACED) else ""


def replacement(held: _Row, row: _Row, rules: Rules) -> tuple[_Row, Change] | None:
    """Return the new row that replaces a held one, and how that changes; None if that is not how it is done here."""
    last = held["delivered_hash"] if held["is_withdrawn"] else held["content_hash"]
    is_possible = held["ehr_id"] and last and last != row["content_hash"]
    if not is_possible or rules.amended(msgspec.json.decode(row["content"])) is not None:
        return None
    key = hashlib.sha256(f"{row['key']}|{row['content_hash']}|{held['ehr_id']}".encode()).hexdigest()
    new = _replacing(_renamed(row, key), held, rules)
    if new is None:
        return None
    values = {"state": "retracted", "reason": f"{REPLACED}{key}", "due": "", "observations": 0, "is_withdrawn": False}
    new["observations"] = held["observations"]
    return new, Change(key=held["key"], before=held["state"], values=values)


def _replacing(row: _Row, replaced: _Row, rules: Rules) -> _Row | None:
    """Return a row whose content says what of the chart it replaces; None if nothing can say so here."""
    reference = f"{replaced['resource_type']}/{replaced['ehr_id']}"
    resource = rules.replacement(msgspec.json.decode(row["content"]), reference)
    return None if resource is None else {**row, "content": encode(resource)}


def _renamed(row: _Row, key: str) -> _Row:
    """Return a row, and the resource in it, under another key."""
    resource = msgspec.json.decode(row["content"])
    identifiers = [
        {**one, "value": key} if one.get("value") == row["key"] else one for one in resource.get("identifier", [])
    ]
    named = {**resource, "id": key, **({"identifier": identifiers} if identifiers else {})}
    return {**row, "key": key, "content": encode(named)}


def withdrawal(held: _Row, rules: Rules) -> Change | None:
    """Return how a withdrawal changes a row; None if there is nothing to take back.

    A Provenance that is in the chart stays: it has no status, and remains true. A Device likewise.
    """
    if held["is_withdrawn"] or replaced_by(held):
        return None
    values = {"content": held["content"], "content_hash": held["content_hash"], "is_withdrawn": True}
    if not may_be_in_chart(held) and not is_by_hand(held):
        gone = {**values, "state": "retracted", "reason": "", "due": ""}
        return Change(key=held["key"], before=held["state"], values=gone)
    if held["kind"] in GOES_ALONG:
        return None if held["ehr_id"] else _changed(held, values)
    resource = msgspec.json.decode(held["content"])
    retracted = None if is_by_hand(held) else rules.retracted(resource)
    if retracted is None:
        values |= {"state": "manual", "reason": WITHDRAWN_BY_HAND if is_by_hand(held) else NOT_RETRACTED}
        retracted = {**resource, "status": "entered-in-error"}  # or gone: what a person shall see to
    return _changed(held, {**values, "content": encode(retracted), "content_hash": content_hash(retracted)})


class _NothingBack:
    """Rules of a site that takes no change: the only sites where one document replaces another."""

    def amended(self, resource: Resource) -> Resource | None: ...

    def retracted(self, resource: Resource) -> Resource | None: ...

    def replacement(self, resource: Resource, replaced_reference: str) -> Resource | None: ...


def left_standing(held: _Row, observations: int) -> Change | None:
    """Return how a replaced document changes whose replacement was withdrawn and is not in the chart.

    The chart counts the older one still; a person marks it.
    """
    change = withdrawal({**held, "reason": ""}, _NothingBack())
    if change:
        change.values["observations"] = observations
    return change


def _changed(held: _Row, values: dict[str, Any]) -> Change:
    """Return the change of a desired content: `planned`, unless what was sent before must be found first."""
    is_open = not held["ehr_id"] and (held["sent_hash"] or _is_taken_without_id(held))
    if is_open or held["state"] in _KEEPS_ITS_STATE:
        values = {**values, "state": held["state"], "reason": held["reason"], "due": held["due"]}
    planned = {"state": "planned", "reason": "", "due": ""}
    return Change(key=held["key"], before=held["state"], values={**planned, **values})


def may_be_in_chart(held: _Row) -> bool:
    """Whether a request may have brought it into the chart."""
    return bool(held["ehr_id"] or held["sent_hash"] or _is_taken_without_id(held))


def is_by_hand(held: _Row) -> bool:
    """Whether a person brought it into the chart, where we cannot reach it: a second one would stand beside theirs."""
    return BY_HAND in held["reason"] and not held["ehr_id"]


def _is_taken_without_id(held: _Row) -> bool:
    """Whether the server took it without saying under which id: sending it again would make a second one."""
    return not held["ehr_id"] and held["state"] in ("accepted", "held", "unreadable", "duplicate")


def _row(site: str, desired: Desired, shaped: Shaped) -> _Row:
    return {
        "site": site,
        "key": shaped.resource["id"],
        "response_id": desired.response_id,
        "patient_id": desired.patient_id,
        "response_version": desired.response_version,
        "kind": shaped.kind,
        "resource_type": shaped.resource["resourceType"],
        "observations": shaped.observations,
        "dropped": ",".join(shaped.dropped),
        "content": encode(shaped.resource),
        "content_hash": content_hash(shaped.resource),
        "state": "manual" if shaped.problem else "planned",
        "reason": shaped.problem,
    }
