"""What the tests of the inbox send, and how they read what comes back."""

from __future__ import annotations

import json
from typing import Any

from fhir.resources.R4B import get_fhir_model_class

from server.service.access.caller import Caller

FHIR = {"Content-Type": "application/fhir+json"}
ENGINE = Caller(name="engine", kind="source", poison="quarantine")
URN = "urn:uuid:0d1c1c4e-9e4b-4c5e-8f5a-3c1f6e0a7b11"
REFERRING = {
    "Condition": {"subject": {"reference": "Patient/p1"}, "code": {"text": "x"}, "onsetDateTime": "2010-01-01"},
    "Procedure": {"subject": {"reference": "Patient/p1"}, "status": "completed", "performedDateTime": "2012-01-05"},
    "AdverseEvent": {"subject": {"reference": "Patient/p1"}, "actuality": "actual", "date": "2012-01-06"},
}


def response(body: Any, **elements: Any) -> dict[str, Any]:
    """Return what the fixture `body` writes."""
    return dict(json.loads(body(**elements)))


def entry(resource: dict[str, Any], method: str = "PUT", **more: Any) -> dict[str, Any]:
    """Return an entry of a Bundle; `more` goes into its request, except a `fullUrl`."""
    full_url = {"fullUrl": more.pop("fullUrl")} if "fullUrl" in more else {}
    url = resource["resourceType"] + (f"/{resource['id']}" if method == "PUT" else "")
    return {**full_url, "resource": resource, "request": {"method": method, "url": url, **more}}


def bundle(*entries: dict[str, Any], kind: str = "transaction", **more: Any) -> bytes:
    """Return a Bundle as JSON."""
    return json.dumps({"resourceType": "Bundle", "type": kind, "entry": list(entries), **more}).encode()


def post(service: Any, sent: bytes, path: str = "/fhir", **headers: str) -> Any:
    """Send a body."""
    return service.client.post(path, data=sent, headers=FHIR | headers)


def send(service: Any, resource: Any, method: str = "POST", **headers: str) -> Any:
    """Send a resource to where its type is taken."""
    path = f"/fhir/{resource['resourceType']}" + (f"/{resource['id']}" if method == "PUT" else "")
    return service.client.open(path, method=method, data=json.dumps(resource), headers=FHIR | headers)


def read(answer: Any) -> Any:
    """Return the resource that is the answer, which must be valid."""
    found = answer.get_json(force=True)
    get_fhir_model_class(found["resourceType"]).model_validate(found)
    return found


def statuses(answer: Any) -> list[str]:
    """Return the status of each entry of the Bundle that is the answer."""
    return [one["response"]["status"][:3] for one in read(answer)["entry"]]


def issue(answer: Any) -> dict[str, Any]:
    """Return the first issue of the OperationOutcome that is the answer, which must be valid."""
    outcome = answer.get_json(force=True)
    get_fhir_model_class("OperationOutcome").model_validate(outcome)
    return dict(outcome["issue"][0])
