"""AuditEvents of what was written to the EHR, from the ledger's attempts: whoever delivered, service or command."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Final

from integration.outcomes import Resource
from server.ledger.entries import timestamp
from server.ledger.overview import Overview, SentResource
from server.service.operations.audit_events import Event, Interaction, Outcome, Party, audit_event
from server.service.operations.audited import SERVICE
from server.service.operations.marks import Marks

_BATCH: Final = 500
_GIVEN_UP: Final = timedelta(minutes=15)
"""An attempt that nobody settled for so long had no answer."""


class WritesAudit:
    """Follows the attempts of one site.

    Args:
        site: its name.
        server: base URL of the EHR's FHIR server.
        overview: of the ledger.
        marks: where is kept how far this came.
        append: writes an AuditEvent down.
        now: the clock; aware, UTC.
    """

    def __init__(
        self,
        *,
        site: str,
        server: str,
        overview: Overview,
        marks: Marks,
        append: Callable[[Resource], None],
        now: Callable[[], datetime],
    ) -> None:
        self._site, self._server, self._overview = site, server, overview
        self._marks, self._append, self._now = marks, append, now

    def begin(self) -> None:
        """Begin with what is sent from now on, if nothing was followed before."""
        self._marks.begin(self._mark, self._overview.last_attempt(timestamp(self._now())))

    def step(self) -> int:
        """Write down what was settled since the last step, in order; returns how many events.

        An attempt that is not settled yet holds up those after it, so that none is left out.
        """
        done, count = self._marks.get(self._mark) or 0, 0
        for sent in self._overview.sent(self._site, after=done, limit=_BATCH):
            if not sent.attempt.settled_at and self._is_young(sent):
                break
            self._append(audit_event(self._event(sent)))
            done, count = sent.attempt.number, count + 1
        if count:
            self._marks.set(self._mark, done)
        return count

    @property
    def _mark(self) -> str:
        return f"attempts of {self._site}"

    def _is_young(self, sent: SentResource) -> bool:
        return sent.attempt.sent_at > timestamp(self._now() - _GIVEN_UP)

    def _event(self, sent: SentResource) -> Event:
        attempt = sent.attempt
        is_update = attempt.interaction == "update" or attempt.http_status == 200  # 201 tells a creation
        interaction: Interaction = "update" if is_update else "create"
        return Event(
            interaction=interaction,
            recorded=datetime.fromisoformat(attempt.settled_at or attempt.sent_at),
            client=Party(name=SERVICE, address="localhost"),
            server=Party(name=self._site, address=self._server),
            observer=SERVICE,
            patient_id=sent.patient_id,
            reference=f"{sent.resource_type}/{sent.ehr_id}" if sent.ehr_id else sent.resource_type,
            request_id=attempt.request_id,
            outcome=_outcome(attempt.http_status),
            problem="" if _outcome(attempt.http_status) == "0" else f"HTTP {attempt.http_status or 'no answer'}",
        )


def _outcome(http_status: int | None) -> Outcome:
    if http_status is None:
        return "8"
    return "0" if http_status < 400 else "4" if http_status < 500 else "8"
