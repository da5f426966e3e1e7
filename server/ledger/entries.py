"""One resource as the ledger knows it, and what a request or a reading makes of it."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import msgspec

from integration.outcomes import Resource
from server.ledger.planning import Change, Kind
from server.ledger.states import State


@dataclass(frozen=True, kw_only=True, slots=True)
class Entry:
    """One resource as the ledger knows it.

    Attributes:
        key: its derived id, which is the value of its identifier (or, for a Provenance, of its tag).
        response_id: empty for a Device.
        patient_id: whose it is; empty for a Device.
        kind: `panel`, `physical`, `psychological`, `document`, `provenance`, `device`.
        resource_type: FHIR type, as the site takes it.
        observations: how many of the books' Observations it stands for.
        dropped: paths of the canonical form that this site does not get.
        content: desired content in the site's shape, JSON.
        content_hash: of what was planned; the content may say besides that it is amended.
        is_withdrawn: whether the chart shall no longer count it.
        state: see `states`.
        reason: of the state: codes and paths, never a value.
        sent_hash: hash of what may have reached the server and is not proven; empty if nothing is on its way.
        sent_content: of a request on its way, what was sent; None otherwise.
        sent_at: when that left; ISO 8601, UTC.
        ehr_id: the server's id, empty if not known.
        ehr_version: the version that the server last told us of, empty if not known.
        ehr_content: what the chart is known to hold, as it was sent; None if not known.
    """

    key: str
    response_id: str
    patient_id: str
    kind: Kind
    resource_type: str
    observations: int
    dropped: str
    content: bytes
    content_hash: str
    is_withdrawn: bool
    state: State
    reason: str
    sent_hash: str
    sent_content: bytes | None
    sent_at: str
    ehr_id: str
    ehr_version: str
    ehr_content: bytes | None

    @property
    def is_taken_without_id(self) -> bool:
        """Whether the server said that it took it, but not under which id."""
        return self.state == "accepted" and not self.ehr_id

    def resource(self) -> Resource:
        """Decode the content."""
        decoded: Resource = msgspec.json.decode(self.content)
        return decoded

    def sent_resource(self) -> Resource:
        """Decode what was sent, if a request is on its way; else the content."""
        decoded: Resource = msgspec.json.decode(self.sent_content or self.content)
        return decoded

    def unproven_resource(self) -> Resource | None:
        """Decode what was sent and may be in the chart, if there is such a thing."""
        decoded: Resource | None = msgspec.json.decode(self.sent_content) if self.sent_content else None
        return decoded

    def known_resource(self) -> Resource | None:
        """Decode what the chart is known to hold, if it is known."""
        decoded: Resource | None = msgspec.json.decode(self.ehr_content) if self.ehr_content else None
        return decoded


@dataclass(frozen=True, kw_only=True, slots=True)
class Settlement:
    """What came of one resource of a request, or of looking for it in the chart.

    Attributes:
        key: of the entry.
        state: that follows; a content that changed meanwhile makes it `planned` again where that is safe.
        ehr_id: the server's id, empty to keep what is known.
        ehr_version: likewise.
        reason: codes and paths, never a value.
        http_status: None if there was no answer.
        due: of `waiting`; ISO 8601, UTC.
        maybe_sent: whether what was sent may still be in the chart without our knowing.
    """

    key: str
    state: State
    ehr_id: str = ""
    ehr_version: str = ""
    reason: str = ""
    http_status: int | None = None
    due: str = ""
    maybe_sent: bool = False


def settled(row: dict[str, Any], settlement: Settlement) -> Change:
    """Return how a settlement changes a row of the ledger.

    Two things may have happened since the request left. The desired content changed: what was taken then is not
    what shall stay, so the row becomes `planned`, as an update. Or the response was withdrawn: what never reached the
    chart is `retracted`.
    """
    state = settlement.state
    known_id = settlement.ehr_id or row["ehr_id"]
    taken = row["sent_hash"] or row["delivered_hash"]
    if state in _REPLANNED and taken and taken != row["content_hash"] and (known_id or state not in _TAKEN):
        state = "planned"
    if state in ("planned", "refused", "waiting") and row["is_withdrawn"] and not (known_id or settlement.maybe_sent):
        state = "retracted"
    values = {
        "state": state,
        "reason": settlement.reason,
        "due": settlement.due if state == "waiting" else "",
        "sent_hash": row["sent_hash"] if settlement.maybe_sent else "",
        "sent_content": row["sent_content"] if settlement.maybe_sent else None,
        "is_open": state in ("sending", "unknown") or (state == "accepted" and not known_id),
        "ehr_id": known_id,
        "ehr_version": settlement.ehr_version or ("" if settlement.state in _TAKEN else row["ehr_version"]),
        "ehr_content": _ehr_content(row, settlement),
        "delivered_hash": _delivered(row, settlement),
    }
    return Change(key=row["key"], before=row["state"], values=values)


_TAKEN = frozenset[State](("accepted", "already_there", "held"))
_REPLANNED = _TAKEN | {"refused", "waiting", "altered"}


def _delivered(row: dict[str, Any], settlement: Settlement) -> str:
    """Return the hash of what the chart was told to hold; empty once something was found that may be anything."""
    if settlement.state == "already_there":
        return ""
    taken: str = row["sent_hash"] if settlement.state in _TAKEN and row["sent_hash"] else row["delivered_hash"]
    return taken


def _ehr_content(row: dict[str, Any], settlement: Settlement) -> bytes | None:
    """Return what the chart is known to hold: what it said it took, or what was read back and is equal."""
    if settlement.state in ("verified", "retracted"):
        known: bytes | None = row["content"]
    elif settlement.state in _TAKEN:
        known = row["sent_content"] or row["ehr_content"]  # reading that it is held still says nothing new of it
    else:
        known = row["ehr_content"]
    return known


def timestamp(moment: datetime) -> str:
    """Return a time as the ledger writes it: ISO 8601, UTC, milliseconds."""
    return moment.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
