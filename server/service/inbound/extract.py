"""`$extract`: the outcome of a response that is sent along, as the transaction that would write it; nothing is stored.

After Structured Data Capture, http://hl7.org/fhir/uv/sdc/OperationDefinition/QuestionnaireResponse-extract.
"""

from __future__ import annotations

import uuid
from typing import Any, Final
from urllib.parse import quote

from integration import intake, outcomes
from integration.intake import Rejection
from integration.mapping import Mapping
from integration.outcomes import Resource
from server.service.inbound import strict_json, submission
from server.service.inbound.submission import RESPONSE
from server.service.operation_outcome import RefusedError

_PARAMETER: Final = "questionnaire-response"
_NAMESPACE: Final = uuid.UUID("6c9f8d0e-6a67-5b7b-9f0f-0b7d1c2f4a31")


def extracted(body: bytes, mapping: Mapping, origin: outcomes.Origin) -> Resource:
    """Return the transaction Bundle with a response's outcome; nothing about its patient is asked anywhere.

    Args:
        body: a QuestionnaireResponse, or Parameters with one.
        mapping: the study.
        origin: the site and what computes, as of now.

    Raises:
        RefusedError: 400 if it is not JSON; 422 if there is no outcome, with the reason.
    """
    if problem := strict_json.problem_at_start(body):
        raise RefusedError(400, problem)
    resource, canonical = strict_json.read(body)
    response = _response(resource)
    if response is not resource:
        canonical = strict_json.encode(response)
    sent = submission.of(response, canonical, RESPONSE)
    read = intake.read_response(mapping, sent.body, lambda patient_id: patient_id)
    if isinstance(read, Rejection):
        raise RefusedError(422, read.problem, expression=".".join(filter(None, (RESPONSE, read.path))))
    if not read.has_outcome:
        raise RefusedError(422, f"there is nothing to extract: {read.reason}", expression=RESPONSE)
    return bundle(outcomes.build(read, origin), outcomes.device(origin))


def bundle(outcome: outcomes.Outcome, device: Resource) -> Resource:
    """Return the transaction that creates an outcome's resources; they refer to each other by `urn:uuid`."""
    resources = [device, *outcome.observations, outcome.provenance]
    names = {f"{one['resourceType']}/{one['id']}": f"urn:uuid:{uuid.uuid5(_NAMESPACE, one['id'])}" for one in resources}
    entries = [
        {
            "fullUrl": names[f"{one['resourceType']}/{one['id']}"],
            "resource": _named(one, names),
            "request": _request(one),
        }
        for one in resources
    ]
    return {"resourceType": "Bundle", "type": "transaction", "entry": entries}


def _response(resource: Resource) -> Resource:
    if resource.get("resourceType") != "Parameters":
        return resource
    given: Any = resource.get("parameter")
    found = [
        one.get("resource") for one in (given if isinstance(given, list) else [])
        if isinstance(one, dict) and one.get("name") == _PARAMETER
    ]  # fmt: skip
    if len(found) != 1 or not isinstance(found[0], dict):
        path = f"Parameters.parameter.where(name = '{_PARAMETER}')"
        raise RefusedError(422, f"the Parameters need one parameter {_PARAMETER} with a resource", expression=path)
    return found[0]


def _request(resource: Resource) -> Resource:
    request: Resource = {"method": "POST", "url": resource["resourceType"]}
    identifier = next(iter(resource.get("identifier", ())), None)
    if identifier:
        request["ifNoneExist"] = (
            f"identifier={quote(identifier['system'], safe=':')}|{quote(identifier['value'], safe='')}"
        )
    return request


def _named(value: Any, names: dict[str, str]) -> Any:
    """Return a copy with `urn:uuid` in each reference to one of the resources, which lose their ids."""
    if isinstance(value, list):
        return [_named(one, names) for one in value]
    if not isinstance(value, dict):
        return value
    is_resource = "resourceType" in value
    return {
        name: names.get(part, part) if name == "reference" and isinstance(part, str) else _named(part, names)
        for name, part in value.items()
        if not (is_resource and name == "id")
    }
