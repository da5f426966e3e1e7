"""What a request did with a patient's data; it becomes AuditEvents once the request was answered with success."""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from flask import Flask, Response, g, request

from integration.outcomes import Resource
from server.service.operations.audit_events import Event, Interaction, Party, audit_event, reference
from server.service.operations.requests import route

logger = logging.getLogger(__name__)

SERVICE: Final = "Outcome Bridge"
_OF_A_PATIENT: Final = ("patient", "patient_id")
"""Parts of a route whose page shows one patient."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Deed:
    """One thing that a request did.

    Attributes:
        interaction: what.
        reference: of the resource, `Type/id`.
        patient_id: whose; empty if it is nobody's.
    """

    interaction: Interaction
    reference: str
    patient_id: str


def note(interaction: Interaction, resource_type: str, resource_id: str, *, patient_id: str = "") -> None:
    """Say what the request at hand did.

    Args:
        interaction: what.
        resource_type: FHIR type.
        resource_id: logical id; empty if it is not known.
        patient_id: whose the resource is; empty if it is nobody's.
    """
    named = reference(resource_type, resource_id) if resource_id else resource_type
    _deeds().append(Deed(interaction=interaction, reference=named, patient_id=patient_id))


def install(app: Flask, append: Callable[[Resource], None], now: Callable[[], datetime]) -> None:
    """Have what requests do with patients' data written down, pages that show a patient among it.

    Args:
        app: the application.
        append: writes an AuditEvent down.
        now: the clock; aware, UTC.
    """

    @app.after_request
    def _write(response: Response) -> Response:
        if response.status_code < 400:
            _note_page()
            for deed in _deeds():
                try:
                    append(audit_event(_event(deed, now())))
                except OSError as error:
                    facts = {
                        "action": "audit_failed",
                        "request": g.get("request_id", ""),
                        "error": type(error).__name__,
                    }
                    logger.error("an audit event could not be written", extra=facts)
        return response


def _note_page() -> None:
    """Note a page of one patient as read, if nothing else was said of the request."""
    if request.method != "GET" or _deeds() or _is_interface():
        return
    parts = request.view_args or {}
    shown = next((str(parts[name]) for name in _OF_A_PATIENT if parts.get(name)), "")
    response_id = str(parts.get("response_id", ""))
    if shown and response_id:
        note("read", "QuestionnaireResponse", response_id, patient_id=shown)
    elif shown:
        note("read", "Patient", shown, patient_id=shown)


def _is_interface() -> bool:
    """Whether the route is an interface's, which says itself what it did."""
    return route().startswith(("/fhir", "/cds-services"))


def _deeds() -> list[Deed]:
    if "audited" not in g:
        g.audited = []
    deeds: list[Deed] = g.audited
    return deeds


def _event(deed: Deed, recorded: datetime) -> Event:
    caller = g.get("caller")
    name, kind = (caller.name, caller.kind) if caller is not None else ("unknown", "source")
    is_person = kind in ("staff", "patient-context")
    client = Party(name="browser" if is_person else name, address=request.remote_addr or "")
    return Event(
        interaction=deed.interaction,
        recorded=recorded,
        client=client,
        server=Party(name=SERVICE, address=request.host_url),
        user=Party(name=name) if is_person else None,
        observer=SERVICE,
        patient_id=deed.patient_id,
        reference=deed.reference,
        request_id=g.get("request_id", ""),
    )
