"""$extract: the outcome of a response as the transaction that would write it; nothing is stored."""

import json
from typing import Any

import pytest
from fhir.resources.R4B import get_fhir_model_class

PATH = "/fhir/QuestionnaireResponse/$extract"


def extract(service: Any, sent: bytes) -> Any:
    return service.client.post(PATH, data=sent, content_type="application/fhir+json")


def test_the_outcome_comes_as_a_transaction_and_nothing_is_stored(service: Any, body: Any) -> None:
    answer = extract(service, body(subject={"reference": "Patient/whoever"}))

    bundle = answer.get_json(force=True)
    get_fhir_model_class("Bundle").model_validate(bundle)
    kinds = [entry["resource"]["resourceType"] for entry in bundle["entry"]]
    values = [
        entry["resource"]["valueQuantity"]["value"] for entry in bundle["entry"] if "valueQuantity" in entry["resource"]
    ]
    assert (answer.status_code, bundle["type"]) == (200, "transaction")
    assert kinds == ["Device", "Observation", "Observation", "Observation", "Provenance"]
    assert values == [50, 50]
    assert service.inbox.counts() == {}
    assert service.wakes == []


def test_entries_refer_to_each_other_and_are_created_once(service: Any, body: Any) -> None:
    bundle = extract(service, body()).get_json(force=True)

    urls = {entry["fullUrl"] for entry in bundle["entry"]}
    panel = next(entry["resource"] for entry in bundle["entry"] if "hasMember" in entry["resource"])
    assert all(url.startswith("urn:uuid:") for url in urls)
    assert {one["reference"] for one in panel["hasMember"]} < urls
    for entry in bundle["entry"]:
        resource, request = entry["resource"], entry["request"]
        assert "id" not in resource
        assert (request["method"], request["url"]) == ("POST", resource["resourceType"])
        assert ("ifNoneExist" in request) == ("identifier" in resource)
    assert bundle == extract(service, body()).get_json(force=True)


def test_parameters_are_taken_too(service: Any, body: Any) -> None:
    parameter = {"name": "questionnaire-response", "resource": json.loads(body())}
    sent = json.dumps({"resourceType": "Parameters", "parameter": [parameter]}).encode()

    assert extract(service, sent).get_json(force=True) == extract(service, body()).get_json(force=True)


@pytest.mark.parametrize(
    ("changes", "text"),
    [
        ({"status": "in-progress"}, "status"),
        ({"questionnaire": "urn:phq-9"}, "not msis-29"),
        ({"subject": None}, "no subject"),
        ({"authored": "2012-05"}, "partial date"),
        ({"resourceType": "Observation"}, "only QuestionnaireResponse"),
    ],
)
def test_where_there_is_no_outcome_the_reason_is_said(
    service: Any, body: Any, changes: dict[str, Any], text: str
) -> None:
    answer = extract(service, body(**changes))

    assert answer.status_code == 422
    assert text in answer.get_json(force=True)["issue"][0]["details"]["text"]


def test_an_outcome_without_a_score_carries_its_reason(service: Any, body: Any) -> None:
    bundle = extract(service, body(answer=9)).get_json(force=True)

    reasons = [entry["resource"].get("dataAbsentReason", {}).get("text") for entry in bundle["entry"]]
    assert reasons.count("answer out of range") == 3


@pytest.mark.parametrize("parameter", [None, [], [{"name": "other"}], [{"name": "questionnaire-response"}], 7])
def test_parameters_without_a_response_are_refused(service: Any, parameter: Any) -> None:
    assert (
        extract(service, json.dumps({"resourceType": "Parameters", "parameter": parameter}).encode()).status_code == 422
    )
