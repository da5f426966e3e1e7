"""What the clients of these tests send: responses, Bundles, and texts that must never be seen again."""

from __future__ import annotations

import json
from typing import Any

Resource = dict[str, Any]

FHIR = "application/fhir+json"
CANONICAL = "urn:outcome-bridge:questionnaire:msis-29-v1"
ITEMS = range(1, 30)
CANARY = "Zanzibar-Quillfeather"
"""A name that stands for a patient's values: found in a log or in an answer, it has leaked."""


def response(response_id: str | None, patient_id: str, *, answer: int = 2, **elements: Any) -> Resource:
    """A complete MSIS-29 response; an element given replaces its own, None leaves it out."""
    made: Resource = {
        "resourceType": "QuestionnaireResponse",
        "id": response_id,
        "questionnaire": CANONICAL,
        "status": "completed",
        "subject": {"reference": f"Patient/{patient_id}"},
        "authored": "2013-06-01T10:00:00Z",
        "item": [{"linkId": str(item), "answer": [{"valueInteger": answer}]} for item in ITEMS],
    }
    return {name: value for name, value in (made | elements).items() if value is not None}


def bundle(kind: str, *resources: Resource, method: str = "PUT", **elements: Any) -> Resource:
    """A transaction or batch that puts or posts these."""
    return {"resourceType": "Bundle", "type": kind, "entry": [_entry(one, method) for one in resources]} | elements


def encoded(resource: Resource) -> bytes:
    """As JSON."""
    return json.dumps(resource).encode()


def score_of(answer: int) -> float:
    """Either score, in points of 0 to 100, where all answers (1-5) are the same: (sum - n) / (5 n - n) * 100."""
    return (answer - 1) / 4 * 100


def _entry(resource: Resource, method: str) -> Resource:
    kind, resource_id = resource["resourceType"], resource.get("id", "")
    url = f"{kind}/{resource_id}" if method == "PUT" else kind
    return {"resource": resource, "request": {"method": method, "url": url}}
