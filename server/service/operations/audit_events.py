"""AuditEvents after IHE's Basic Audit Log Patterns 1.1 (https://profiles.ihe.net/ITI/BALP/), without clinical values.

Who asked whom, about which patient and which resource, and under which X-Request-Id. BALP names the client of a create,
an update and a query the source (DICOM 110153) and the server the destination (110152), and in a read the other way
round.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final, Literal
from urllib.parse import quote

from integration.outcomes import Resource

Interaction = Literal["create", "update", "read"]
Outcome = Literal["0", "4", "8", "12"]
"""Success; minor, serious and major failure (https://hl7.org/fhir/R4/valueset-audit-event-outcome.html)."""

_PROFILES: Final = "https://profiles.ihe.net/ITI/BALP/StructureDefinition/IHE.BasicAudit"
_TERMINOLOGY: Final = "http://terminology.hl7.org/CodeSystem"
_SOURCE: Final = ("110153", "Source Role ID")
_DESTINATION: Final = ("110152", "Destination Role ID")
_ACTIONS: Final = {"create": "C", "update": "U", "read": "R"}
_ID: Final = re.compile(r"[A-Za-z0-9\-.]{1,64}")
_LONGEST: Final = 255


@dataclass(frozen=True, kw_only=True, slots=True)
class Party:
    """A client, a server or a person.

    Attributes:
        name: of the source or program; of a person, as the login has it.
        address: IP address, host or base URL; empty for a person.
    """

    name: str
    address: str = ""


@dataclass(frozen=True, kw_only=True, slots=True)
class Event:
    """Something that was done with a patient's data.

    Attributes:
        interaction: what.
        recorded: when; aware.
        client: who asked.
        server: who was asked.
        user: the person who asked, None if it was no person.
        observer: who says so.
        patient_id: whose data; empty if they are nobody's.
        reference: of the resource, `Type/id`; `Type` alone where its id is not known.
        request_id: X-Request-Id.
        outcome: how it ended.
        problem: why it failed, codes only; empty if it did not.
    """

    interaction: Interaction
    recorded: datetime
    client: Party
    server: Party
    observer: str
    reference: str
    request_id: str
    user: Party | None = None
    patient_id: str = ""
    outcome: Outcome = "0"
    problem: str = ""


def audit_event(event: Event) -> Resource:
    """Build the AuditEvent; one of a failure claims no pattern, for those are of successes."""
    roles = (_DESTINATION, _SOURCE) if event.interaction == "read" else (_SOURCE, _DESTINATION)
    built: Resource = {
        "resourceType": "AuditEvent",
        "type": _coding("audit-event-type", "rest", "Restful Operation"),
        "subtype": [{"system": "http://hl7.org/fhir/restful-interaction", "code": event.interaction}],
        "action": _ACTIONS[event.interaction],
        "recorded": event.recorded.isoformat(timespec="milliseconds"),
        "outcome": event.outcome,
        "agent": [_agent(event.client, roles[0]), _agent(event.server, roles[1]), *_person(event.user)],
        "source": {"observer": {"display": _text(event.observer)}, "type": [_APPLICATION_SERVER]},
        "entity": list(_entities(event)),
    }
    if event.problem:
        built["outcomeDesc"] = _text(event.problem)
    if event.outcome == "0":
        pattern = f"{'Patient' if event.patient_id else ''}{event.interaction.capitalize()}"
        built["meta"] = {"profile": [f"{_PROFILES}.{pattern}"]}
    return built


def reference(resource_type: str, resource_id: str) -> str:
    """Return a reference that is one whatever the id holds: what FHIR allows in none is written as in a URL."""
    if _ID.fullmatch(resource_id):
        return f"{resource_type}/{resource_id}"
    return f"{resource_type}/{quote(resource_id, safe='')[:_LONGEST]}"


def _coding(system: str, code: str, display: str) -> dict[str, str]:
    return {"system": f"{_TERMINOLOGY}/{system}", "code": code, "display": display}


_APPLICATION_SERVER: Final = _coding("security-source-type", "4", "Application Server")


def _agent(party: Party, role: tuple[str, str]) -> dict[str, Any]:
    code, display = role
    kind = "5" if "://" in party.address else "2"
    return {
        "type": {
            "coding": [{"system": "http://dicom.nema.org/resources/ontology/DCM", "code": code, "display": display}]
        },
        "who": {"display": _text(party.name)},
        "requestor": False,
        "network": {"address": _text(party.address or "unknown"), "type": kind},
    }


def _person(user: Party | None) -> list[dict[str, Any]]:
    """Return who acted through the client, if that is a person: `requestor` is who started it."""
    if user is None:
        return []
    recipient = _coding("v3-ParticipationType", "IRCP", "information recipient")
    return [{"type": {"coding": [recipient]}, "who": {"identifier": {"value": _text(user.name)}}, "requestor": True}]


def _entities(event: Event) -> list[dict[str, Any]]:
    entities: list[dict[str, Any]] = []
    if event.patient_id:
        entities.append(
            {
                "what": {"reference": reference("Patient", event.patient_id)},
                "type": _coding("audit-entity-type", "1", "Person"),
                "role": _coding("object-role", "1", "Patient"),
            }
        )
    resource_type, _, resource_id = event.reference.partition("/")
    what = {"reference": reference(resource_type, resource_id)} if resource_id else {"type": resource_type}
    entities.append(
        {
            "what": what if resource_id else {**what, "display": resource_type},
            "type": _coding("audit-entity-type", "2", "System Object"),
            "role": _coding("object-role", "4", "Domain Resource"),
        }
    )
    kinds = "https://profiles.ihe.net/ITI/BALP/CodeSystem/BasicAuditEntityType"
    transaction = {"identifier": {"value": _text(event.request_id)}}
    entities.append({"what": transaction, "type": {"system": kinds, "code": "XrequestId"}})
    return entities


def _text(text: str) -> str:
    """Return a text as FHIR's `string` takes it: printable, not too long, not empty."""
    shown = "".join(one if one.isprintable() else "?" for one in text[:_LONGEST]).strip()
    return shown or "unknown"
