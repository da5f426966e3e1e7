"""What the service says of itself is true: the CapabilityStatement and the OpenAPI description against the routes."""

import json
import re
from typing import Any

import pytest
from fhir.resources.R4B import get_fhir_model_class

FHIR = {"Content-Type": "application/fhir+json"}
RESOURCES: dict[str, dict[str, Any]] = {
    "Patient": {},
    "Condition": {"subject": {"reference": "Patient/p1"}},
    "Procedure": {"subject": {"reference": "Patient/p1"}, "status": "completed", "performedDateTime": "2012-01-05"},
    "AdverseEvent": {"subject": {"reference": "Patient/p1"}, "actuality": "actual", "date": "2012-01-06"},
    "QuestionnaireResponse": {
        "status": "in-progress",
        "subject": {"reference": "Patient/p1"},
        "authored": "2012-01-06",
    },
}


def statement(service: Any) -> dict[str, Any]:
    found = service.client.get("/fhir/metadata").get_json(force=True)
    get_fhir_model_class("CapabilityStatement").model_validate(found)
    return dict(found)


def routes(service: Any) -> set[tuple[str, str]]:
    """Return method and path of every route for engines, parameters as `{}`."""
    found = set()
    for rule in service.client.application.url_map.iter_rules():
        path = re.sub(r"<[^>]*>", "{}", rule.rule)
        if rule.endpoint.startswith("fhir."):
            found |= {(method, path) for method in rule.methods - {"HEAD", "OPTIONS"}}
    return found


def test_the_statement_names_the_service(service: Any) -> None:
    found = statement(service)

    assert found["fhirVersion"] == "4.0.1"
    assert found["implementation"]["url"] == "http://localhost/fhir"
    assert found["software"]["version"] == "0.1.0"


def test_every_interaction_that_is_claimed_works(service: Any) -> None:
    [rest] = statement(service)["rest"]

    assert {one["type"] for one in rest["resource"]} == set(RESOURCES)
    for claimed in rest["resource"]:
        kind = claimed["type"]
        sent = json.dumps({"resourceType": kind, "id": "x1", **RESOURCES[kind]})
        calls = {
            "create": lambda kind=kind, sent=sent: service.client.post(f"/fhir/{kind}", data=sent, headers=FHIR),
            "update": lambda kind=kind, sent=sent: service.client.put(f"/fhir/{kind}/x1", data=sent, headers=FHIR),
            "read": lambda kind=kind: service.client.get(f"/fhir/{kind}/x1"),
            "vread": lambda kind=kind: service.client.get(f"/fhir/{kind}/x1/_history/1"),
        }
        assert [one["code"] for one in claimed["interaction"]] == list(calls)
        assert [call().status_code for call in calls.values()] == [201, 201, 200, 200]
        assert claimed["conditionalCreate"] is False


def test_the_interactions_and_operations_of_the_system_work(service: Any, body: Any) -> None:
    [rest] = statement(service)["rest"]
    kinds = [one["code"] for one in rest["interaction"]]
    bundles = [json.dumps({"resourceType": "Bundle", "type": kind}) for kind in kinds]

    answers = [service.client.post("/fhir", data=sent, headers=FHIR).get_json(force=True)["type"] for sent in bundles]

    assert (kinds, answers) == (["transaction", "batch"], ["transaction-response", "batch-response"])
    assert [one["name"] for one in rest["operation"]] == ["process-message"]
    [extract] = [one["operation"] for one in rest["resource"] if "operation" in one]
    assert [one["name"] for one in extract] == ["extract"]
    answer = service.client.post("/fhir/QuestionnaireResponse/$extract", data=body(), headers=FHIR)
    assert answer.status_code == 200


@pytest.mark.parametrize("path", ["/openapi.json", "/fhir/openapi.json"])
def test_the_description_names_every_route_and_no_other(service: Any, path: str) -> None:
    described = service.client.get(path).get_json()

    told = {
        (method.upper(), re.sub(r"{[^}]*}", "{}", where))
        for where, item in described["paths"].items()
        for method in item
        if method != "parameters"
    }
    ours = set()
    for method, where in routes(service):
        named = (
            [where.replace("/fhir/{}", f"/fhir/{kind}", 1) for kind in RESOURCES] if "/fhir/{}" in where else [where]
        )
        ours |= {(method, one) for one in named}
    also = {("GET", "/fhir/openapi.json"), ("PUT", "/fhir/subscription/{}/QuestionnaireResponse/{}")}
    assert described["openapi"].startswith("3.1")
    assert told == ours - also
    names = [
        item[method]["operationId"] for item in described["paths"].values() for method in item if method != "parameters"
    ]
    assert len(names) == len(set(names))
