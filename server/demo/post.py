"""Play an integration engine: file one new response in the EHR, post it to the service, watch the chart."""

from __future__ import annotations

import time
from dataclasses import dataclass
from datetime import UTC, date, datetime
from typing import Any, Final

import msgspec
import requests

from integration import intake, msis29, origin, outcomes
from integration.errors import ServerRefusedError, ServerUnreachableError
from integration.mapping import Mapping
from integration.outcomes import IDENTIFIER_SYSTEM
from integration.settings import Site
from integration.sources import search
from integration.sources.client import FhirClient, connect

RESPONSE_ID: Final = "synthetic-posted-1"
_WAIT_SECONDS: Final = 60.0
_FHIR_JSON: Final = {"Content-Type": "application/fhir+json"}
Row = tuple[str, str, str, str]
"""What an Observation is, its id on the server, its status, its value."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Shown:
    """What the demo saw.

    Attributes:
        response_id: of the posted QuestionnaireResponse.
        status: HTTP status of the service's answer.
        was_there: whether an earlier demo had put the Observations on the server.
        seconds: from the POST to the last Observation on the server.
        rows: the Observations as the server holds them.
    """

    response_id: str
    status: int
    was_there: bool
    seconds: float
    rows: list[Row]


def post_and_wait(site: Site, mapping: Mapping, service_url: str, patient_id: str, authored: date) -> Shown:
    """Post a response of a patient to the service, and wait until the site's server holds its Observations.

    Raises:
        ServerRefusedError: the service or the server said no.
        ServerUnreachableError: the Observations did not come in time.
    """
    with connect(site) as client:
        body = _filed(client, patient_id, authored)
        wanted = _outcome_ids(site, mapping, body, patient_id)
        was_there = len(_all_found(client, wanted)) == len(wanted)
        begin = time.perf_counter()
        answer = requests.post(
            f"{service_url}/fhir/QuestionnaireResponse", data=body, headers=_FHIR_JSON, timeout=_WAIT_SECONDS
        )
        if not answer.ok:
            raise ServerRefusedError(url=service_url, status=answer.status_code, problem="the response was not taken")
        rows = _wait_for(client, wanted)
        seconds = time.perf_counter() - begin
    return Shown(response_id=RESPONSE_ID, status=answer.status_code, was_there=was_there, seconds=seconds, rows=rows)


def _filed(client: FhirClient, patient_id: str, authored: date) -> bytes:
    """Return the new response as the EHR holds it; it is filed there first if an earlier demo did not."""
    try:
        return client.read("QuestionnaireResponse", RESPONSE_ID).body
    except ServerRefusedError as error:
        if error.status not in (404, 410):
            raise
    client.update("QuestionnaireResponse", RESPONSE_ID, msgspec.json.encode(_response(patient_id, authored)))
    return client.read("QuestionnaireResponse", RESPONSE_ID).body


def _response(patient_id: str, authored: date) -> dict[str, Any]:
    return {
        "resourceType": "QuestionnaireResponse",
        "id": RESPONSE_ID,
        "meta": {"security": [{"system": "http://terminology.hl7.org/CodeSystem/v3-ActReason", "code": "HTEST"}]},
        "questionnaire": "urn:outcome-bridge:questionnaire:msis-29-v1",
        "status": "completed",
        "subject": {"reference": f"Patient/{patient_id}"},
        "source": {"reference": f"Patient/{patient_id}"},
        "authored": f"{authored.isoformat()}T09:00:00Z",
        "item": [{"linkId": str(item), "answer": [{"valueInteger": 2 + item % 2}]} for item in msis29.ITEMS],
    }


def _outcome_ids(site: Site, mapping: Mapping, body: bytes, patient_id: str) -> list[str]:
    read = intake.read_response(mapping, body, lambda _: patient_id)
    if isinstance(read, intake.Rejection):
        raise ServerRefusedError(url=site.base_url, status=200, problem=f"the new response is unusable: {read.problem}")
    outcome = outcomes.build(read, origin.of(mapping, site.name, datetime.now(UTC)))
    return [observation["identifier"][0]["value"] for observation in outcome.observations]


def _wait_for(client: FhirClient, identifiers: list[str]) -> list[Row]:
    """Return one row an Observation once all of them are on the server."""
    deadline = time.monotonic() + _WAIT_SECONDS
    while time.monotonic() < deadline:
        found = _all_found(client, identifiers)
        if len(found) == len(identifiers):
            return [_row(one) for one in found]
        time.sleep(0.1)
    raise ServerUnreachableError(url=client.base_url, problem=f"no Observation within {_WAIT_SECONDS:.0f} seconds")


def _all_found(client: FhirClient, identifiers: list[str]) -> list[dict[str, Any]]:
    return [one for identifier in identifiers for one in _found(client, identifier)]


def _found(client: FhirClient, identifier: str) -> list[dict[str, Any]]:
    asked = {"identifier": f"{IDENTIFIER_SYSTEM}|{identifier}"}
    return [
        msgspec.json.decode(body) for body in search.resources(client, "Observation", page_size=10, parameters=asked)
    ]


def _row(observation: dict[str, Any]) -> Row:
    value = observation.get("valueQuantity", {}).get("value")
    shown = f"{value} of 0-100, lower is better" if value is not None else "has members"
    return observation["code"]["text"], observation["id"], observation["status"], shown
