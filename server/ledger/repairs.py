"""What becomes due again because the chart was read and does not hold it as it shall (pure)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from integration.outcomes import Resource, encode
from server.ledger.entries import Entry
from server.ledger.planning import Change

_READ: Final = ("state", "content_hash", "is_withdrawn", "ehr_id", "ehr_version", "sent_at")
AS_NEW: Final[dict[str, Any]] = {
    "ehr_id": "", "ehr_version": "", "ehr_content": None, "sent_hash": "", "sent_content": None, "delivered_hash": "",
}  # fmt: skip
"""Columns of what is gone from the chart, and shall be created once more."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Repair:
    """How one resource is written again.

    Attributes:
        content: to write over what was altered; None: as new, because it is gone.
        ehr_version: of what was altered, as it was read.
    """

    content: Resource | None = None
    ehr_version: str = ""


@dataclass(frozen=True, kw_only=True, slots=True)
class Noted:
    """What came of recording what was read; the unit is one resource.

    Attributes:
        read: recorded; the others had changed.
        repaired: of those, planned again.
    """

    read: int
    repaired: int


def is_as_read(row: Mapping[str, Any], entry: Entry) -> bool:
    """Whether nothing happened to a row since this entry was read from it."""
    return not row["request_id"] and all(row[name] == getattr(entry, name) for name in _READ)


def repaired(read: Change, repair: Repair) -> Change:
    """Return the change that follows one that reading made, in the same transaction: it is planned again."""
    values: dict[str, Any] = {"state": "planned", "reason": "repaired", "due": ""}
    if repair.content is None:
        values |= AS_NEW
    else:
        values |= {"content": encode(repair.content), "ehr_version": repair.ehr_version}
    return Change(key=read.key, before=read.values["state"], values=values)
