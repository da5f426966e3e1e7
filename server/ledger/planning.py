"""What a plan or a withdrawal makes of the ledger's rows (pure)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final, Literal, Protocol

import msgspec

from integration.outcomes import Outcome, Resource, content_hash, encode, withdrawn
from server.ledger.states import State

Kind = Literal["device", "physical", "psychological", "panel", "document", "provenance"]
RANKS: Final[dict[Kind, int]] = {
    "device": 0, "physical": 1, "psychological": 2, "panel": 3, "document": 4, "provenance": 5,
}  # fmt: skip
"""The order of sending: each resource refers only to those before it."""

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


class Rules(Protocol):
    """How a site's chart may be changed after something was written to it."""

    def amended(self, resource: Resource) -> Resource | None:
        """Return a changed content as it is written over an older one; None if the site permits no such thing."""

    def retracted(self, resource: Resource) -> Resource | None:
        """Return a content as it is taken back; None if the site permits no such thing."""


@dataclass(frozen=True, kw_only=True, slots=True)
class PlanCounts:
    """What a plan did; the unit is one resource (a response has four, a site with one software version one Device).

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


def device_row(site: str, device: Resource) -> _Row:
    """Return the row of a Device."""
    return _row(site, "device", device, {"response_id": "", "patient_id": "", "response_version": ""})


def rows(site: str, outcome: Outcome) -> list[_Row]:
    """Return the rows of one response's resources."""
    source = {
        "response_id": outcome.response_id,
        "patient_id": outcome.patient_id,
        "response_version": outcome.response_version,
    }
    kinds: dict[Kind, Resource] = {
        "physical": outcome.physical,
        "psychological": outcome.psychological,
        "panel": outcome.panel,
        "provenance": outcome.provenance,
    }
    return [_row(site, kind, resource, source) for kind, resource in kinds.items()]


def reason(outcome: Outcome) -> str:
    """Return why a response has no score, empty if it has one; the panel says it."""
    absent = outcome.panel.get("dataAbsentReason")
    return str(absent["text"]) if absent else ""


def change(held: _Row, row: _Row) -> Change | None:
    """Return how a newly planned row changes the one held under its key; None if it says the same."""
    if held["content_hash"] == row["content_hash"] and not held["is_withdrawn"]:
        return None
    names = ("content", "content_hash", "response_version", "patient_id")
    return _changed(held, {**{name: row[name] for name in names}, "is_withdrawn": False})


def withdrawal(held: _Row) -> Change | None:
    """Return how a withdrawal changes a row; None if there is nothing to take back.

    A Provenance that is in the chart stays: it has no status, and remains true.
    """
    if held["is_withdrawn"]:
        return None
    content = {"content": held["content"], "content_hash": held["content_hash"]}
    names = {"response_version": held["response_version"], "patient_id": held["patient_id"], "is_withdrawn": True}
    if not held["ehr_id"] and not held["sent_hash"] and not _is_taken_without_id(held):
        values = {**content, **names, "state": "retracted", "reason": "", "due": ""}
        return Change(key=held["key"], before=held["state"], values=values)
    if held["resource_type"] != "Observation":
        return None if held["ehr_id"] else _changed(held, {**content, **names})
    resource = withdrawn(msgspec.json.decode(held["content"]))
    return _changed(held, {"content": encode(resource), "content_hash": content_hash(resource), **names})


def _changed(held: _Row, values: dict[str, Any]) -> Change:
    """Return the change of a desired content: `planned`, unless what was sent before must be found first."""
    is_open = not held["ehr_id"] and (held["sent_hash"] or _is_taken_without_id(held))
    if is_open or held["state"] in ("sending", "unknown"):
        state, why = held["state"], held["reason"]
    else:
        state, why = "planned", ""
    return Change(key=held["key"], before=held["state"], values={**values, "state": state, "reason": why, "due": ""})


def _is_taken_without_id(held: _Row) -> bool:
    """Whether the server took it without saying under which id: sending it again would make a second one."""
    return not held["ehr_id"] and held["state"] in ("accepted", "held", "unreadable", "duplicate")


def _row(site: str, kind: Kind, resource: Resource, source: dict[str, str]) -> _Row:
    return {
        "site": site,
        "key": resource["id"],
        **source,
        "kind": kind,
        "resource_type": resource["resourceType"],
        "content": encode(resource),
        "content_hash": content_hash(resource),
        "state": "planned",
    }
