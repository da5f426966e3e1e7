"""AuditEvents of what was taken from engines, from the inbox: it holds each request's sender and X-Request-Id."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from typing import Any, Final

import msgspec

from integration.outcomes import Resource
from server.service.inbound.inbox import Arrived, Inbox
from server.service.operations.audit_events import Event, Party, audit_event, reference
from server.service.operations.audited import SERVICE
from server.service.operations.marks import Marks

_BATCH: Final = 500
_SUBJECTS: Final = ("subject", "patient", "individual")
"""Elements that say whose a resource is."""


class ArrivalsAudit:
    """Follows the inbox of one site.

    Args:
        inbox: what was stored.
        address: of the service, for the record.
        marks: where is kept how far this came.
        append: writes an AuditEvent down.
    """

    def __init__(self, inbox: Inbox, address: str, marks: Marks, append: Callable[[Resource], None]) -> None:
        self._inbox, self._address, self._marks, self._append = inbox, address, marks, append
        self._mark = f"arrivals of {inbox.site}"

    def begin(self) -> None:
        """Begin with what is stored from now on, if nothing was followed before."""
        self._marks.begin(self._mark, self._inbox.newest_sequence())

    def step(self) -> int:
        """Write down what was stored since the last step, in order; returns how many events."""
        arrived = self._inbox.arrived(self._marks.get(self._mark) or 0, _BATCH)
        for one in arrived:
            self._append(audit_event(self._event(one)))
        if arrived:
            self._marks.set(self._mark, arrived[-1].sequence)
        return len(arrived)

    def _event(self, one: Arrived) -> Event:
        resource_type = one.resource_type or "Resource"
        return Event(
            interaction="create" if one.version <= 1 else "update",
            recorded=datetime.fromisoformat(one.received),
            client=Party(name=one.caller),
            server=Party(name=SERVICE, address=self._address),
            observer=SERVICE,
            patient_id=patient_of(one.resource_type, one.resource_id, one.body),
            reference=reference(resource_type, one.resource_id) if one.resource_id else resource_type,
            request_id=one.request_id,
        )


def patient_of(resource_type: str, resource_id: str, body: bytes) -> str:
    """Return the id of the patient whose a resource is; empty if it does not say.

    Args:
        resource_type: its type.
        resource_id: its id.
        body: as it was sent, read or not.
    """
    if resource_type == "Patient":
        return resource_id
    try:
        resource: Any = msgspec.json.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return ""  # set aside unread
    named = [resource.get(name) for name in _SUBJECTS] if isinstance(resource, dict) else []
    references = [one.get("reference") for one in named if isinstance(one, dict)]
    found = [one.rpartition("Patient/")[2] for one in references if isinstance(one, str) and "Patient/" in one]
    return found[0].partition("/")[0] if found else ""
