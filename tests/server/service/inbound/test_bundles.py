"""Bundles: what they bring is taken whole or entry by entry, whatever their order."""

import json
from collections.abc import Callable
from typing import Any

import pytest
from inbound_requests import URN, bundle, entry, post, read, response, statuses

from integration.errors import ServerUnreachableError
from server.service.access.caller import Caller

SECRET = "Zylpha-4711"  # stands for whatever a patient's resource says
Bundle = Callable[..., bytes]


def test_a_transaction_is_answered_entry_by_entry_and_is_stored(service: Any, body: Any) -> None:
    answer = post(service, bundle(entry(response(body, id="a")), entry(response(body, id="b", answer=4), "POST")))

    told = read(answer)
    assert (answer.status_code, told["type"], statuses(answer)) == (200, "transaction-response", ["201", "201"])
    assert told["entry"][0]["response"]["location"] == "http://localhost/fhir/QuestionnaireResponse/a/_history/1"
    assert told["entry"][0]["response"]["etag"] == 'W/"1"'
    assert service.inbox.counts() == {"received": 2}
    assert service.wakes == ["woken"]


@pytest.mark.parametrize("is_patient_first", [True, False])
def test_a_patient_of_the_same_bundle_is_known_whatever_the_order(
    service: Any, body: Any, is_patient_first: bool
) -> None:
    patient = entry({"resourceType": "Patient", "gender": "female"}, "POST", fullUrl=URN)
    answered = entry(response(body, subject={"reference": URN}), "POST")
    entries = [patient, answered] if is_patient_first else [answered, patient]

    answer = post(service, bundle(*entries))

    assert statuses(answer) == ["201", "201"]
    stored = json.loads(service.inbox.version("QuestionnaireResponse", "r1").body)
    assert stored["subject"]["reference"] == f"Patient/{URN.removeprefix('urn:uuid:')}"
    assert service.warehouse.has("north", "Patient", URN.removeprefix("urn:uuid:"))
    service.reader.plan_waiting()
    assert service.planned()["r1/physical"]["valueQuantity"]["value"] == 50
    assert service.inbox.counts() == {"planned": 1, "kept": 1}


def test_one_bad_entry_refuses_a_whole_transaction_and_is_named(service: Any, body: Any) -> None:
    bad = response(body, id="b", subject={"reference": f"Patient/{SECRET}"})

    answer = post(service, bundle(entry(response(body, id="a")), entry(bad)))

    [issue] = read(answer)["issue"]
    assert answer.status_code == 422
    assert issue["expression"] == ["Bundle.entry[1].resource.subject"]
    assert SECRET.encode() not in answer.data
    assert service.inbox.counts() == {}
    assert service.wakes == []


@pytest.mark.parametrize("kind", ["batch", "collection"])
def test_one_bad_entry_of_a_batch_is_no_matter_of_the_others(service: Any, body: Any, kind: str) -> None:
    bad = response(body, id="b", subject=None)

    answer = post(service, bundle(entry(response(body, id="a")), entry(bad), entry(response(body, id="c")), kind=kind))

    assert (answer.status_code, read(answer)["type"], statuses(answer)) == (
        200,
        "batch-response",
        ["201", "422", "201"],
    )
    assert service.inbox.counts() == {"received": 2}


def test_what_goes_along_in_a_collection_is_passed_over_and_a_batch_says_no(service: Any, body: Any) -> None:
    organization = {"resourceType": "Organization", "id": "o1"}

    collection = post(service, bundle(entry(organization), entry(response(body)), kind="collection"))
    batch = post(service, bundle(entry(organization), kind="batch"))

    assert statuses(collection) == ["200", "201"]
    assert "no view" in read(collection)["entry"][0]["response"]["outcome"]["issue"][0]["details"]["text"]
    assert statuses(batch) == ["422"]


@pytest.mark.parametrize(
    ("request_", "status", "element"),
    [
        ({"method": "GET", "url": "QuestionnaireResponse/r1"}, "405", "request.method"),
        ({"method": "DELETE", "url": "QuestionnaireResponse/r1"}, "405", "request.method"),
        ({"method": "PUT", "url": "QuestionnaireResponse?identifier=x"}, "400", "request.url"),
        ({"method": "PUT", "url": "QuestionnaireResponse/other"}, "400", "QuestionnaireResponse.id"),
        ({"method": "PUT", "url": "Patient/r1"}, "400", "request.url"),
        ({"method": "POST", "url": "QuestionnaireResponse/r1"}, "400", "request.url"),
        (
            {"method": "POST", "url": "QuestionnaireResponse", "ifNoneExist": "identifier=1"},
            "400",
            "request.ifNoneExist",
        ),
        ({"method": "PUT", "url": "QuestionnaireResponse/r1", "ifMatch": 'W/"4"'}, "412", ""),
        ({"method": "PUT"}, "400", "request"),
        (None, "400", "request"),
    ],
)
def test_what_an_entry_asks_for_in_vain_is_said_there(
    service: Any, body: Any, request_: Any, status: str, element: str
) -> None:
    one = {"resource": response(body), **({"request": request_} if request_ else {})}

    answer = post(service, bundle(one, kind="batch"))
    whole = post(service, bundle(one, kind="transaction"))

    assert statuses(answer) == [status]
    [issue] = read(answer)["entry"][0]["response"]["outcome"]["issue"]
    assert issue.get("expression", [""]) == [f"Bundle.entry[0].{element}" if element else ""]
    assert whole.status_code == int(status)
    assert service.inbox.counts() == {}


def test_an_entry_of_the_expected_version_is_taken(service: Any, body: Any) -> None:
    service.post(body())

    answer = post(service, bundle(entry(response(body, answer=4), ifMatch='W/"1"')))

    assert statuses(answer) == ["200"]
    assert read(answer)["entry"][0]["response"]["etag"] == 'W/"2"'


def test_a_transaction_that_names_a_resource_twice_is_refused(service: Any, body: Any) -> None:
    answer = post(service, bundle(entry(response(body)), entry(response(body, answer=4))))

    assert answer.status_code == 400
    assert service.inbox.counts() == {}


@pytest.mark.parametrize("kind", ["searchset", "history", "document", "transaction-response", "other", None, 7])
def test_other_bundles_are_refused(service: Any, kind: Any) -> None:
    answer = post(service, json.dumps({"resourceType": "Bundle", "type": kind, "entry": []}).encode())

    assert answer.status_code == 422
    assert read(answer)["issue"][0]["expression"] == ["Bundle.type"]


def test_too_many_entries_are_refused_with_the_limit(service: Any) -> None:
    answer = post(service, json.dumps({"resourceType": "Bundle", "type": "batch", "entry": [{}] * 51}).encode())

    assert answer.status_code == 413
    assert "50 are taken" in read(answer)["issue"][0]["details"]["text"]


@pytest.mark.parametrize("entries", [{}, [7], "x", [[]]])
def test_entries_that_are_no_objects_are_refused(service: Any, entries: Any) -> None:
    answer = post(service, json.dumps({"resourceType": "Bundle", "type": "batch", "entry": entries}).encode())

    assert answer.status_code == 400


def test_a_bundle_without_entries_is_answered(service: Any) -> None:
    answer = post(service, b'{"resourceType": "Bundle", "type": "transaction"}')

    assert (answer.status_code, read(answer)["type"]) == (200, "transaction-response")


def test_a_bundle_within_a_bundle_is_refused_there(service: Any) -> None:
    answer = post(service, bundle(entry({"resourceType": "Bundle", "id": "b", "type": "batch"}), kind="batch"))

    assert statuses(answer) == ["422"]


def test_a_bundle_sent_again_gets_its_first_answer(service: Any, body: Any) -> None:
    sent = bundle(entry(response(body, id="a")), entry(response(body, id="b", subject=None)), kind="batch")
    first = post(service, sent)
    service.put("a", body(id="a", answer=4))

    again = post(service, sent)

    assert (again.status_code, again.data) == (first.status_code, first.data)
    assert service.inbox.counts() == {"received": 2}


@pytest.mark.parametrize("kind", ["batch", "collection"])
@pytest.mark.parametrize("again", [{}, {"Idempotency-Key": "new"}, {"Idempotency-Key": "old"}])
def test_what_was_refused_of_a_bundle_is_judged_anew(service: Any, body: Any, kind: str, again: dict[str, str]) -> None:
    waits = response(body, id="b", subject={"reference": "Patient/new"})
    named = {"identifier": {"system": "urn:x", "value": "1"}}
    sent = bundle(entry(response(body, id="a")), entry(waits), kind=kind, **named)
    first = post(service, sent, **{"Idempotency-Key": "old"})
    service.patients.add("new")

    second = post(service, sent, **again)
    third = post(service, sent, **again)

    assert [statuses(one) for one in (first, second)] == [["201", "422"], ["201", "201"]]
    assert third.data == second.data
    assert service.inbox.counts() == {"received": 2}


def test_what_was_stored_of_a_refused_bundle_does_not_undo_what_came_later(service: Any, body: Any) -> None:
    bad = response(body, id="b", subject=None)
    sent = bundle(entry(response(body, id="a")), entry(bad), kind="batch")
    post(service, sent, **{"Idempotency-Key": "k"})
    service.put("a", body(id="a", answer=4))

    post(service, sent, **{"Idempotency-Key": "k"})

    assert service.inbox.version("QuestionnaireResponse", "a").version == 2


def test_a_key_of_a_refused_bundle_is_not_for_other_content(service: Any, body: Any) -> None:
    bad = response(body, id="b", subject=None)
    post(service, bundle(entry(bad), kind="batch"), **{"Idempotency-Key": "k"})

    answer = post(service, bundle(entry(response(body)), kind="batch"), **{"Idempotency-Key": "k"})

    assert answer.status_code == 422
    assert service.inbox.counts() == {}


def test_a_bundle_of_a_known_identifier_is_a_repetition_only_if_it_says_the_same(service: Any, body: Any) -> None:
    named = {"identifier": {"system": "urn:x", "value": "1"}}
    first = post(service, bundle(entry(response(body)), timestamp="2012-06-01T12:00:00Z", **named))
    again = post(service, bundle(entry(response(body)), timestamp="2012-06-01T12:05:00Z", **named))
    other = post(service, bundle(entry(response(body, answer=4)), timestamp="2012-06-01T12:05:00Z", **named))

    assert again.data == first.data
    assert statuses(other) == ["200"]
    assert service.inbox.counts() == {"received": 2}


def test_a_response_that_came_alone_is_not_stored_again_from_a_bundle(service: Any, body: Any) -> None:
    service.post(body())

    answer = post(service, bundle(entry(response(body))))

    assert read(answer)["entry"][0]["response"]["etag"] == 'W/"1"'
    assert service.inbox.counts() == {"received": 1}


def test_references_to_patients_whom_nobody_knows_are_refused_there(service: Any, body: Any) -> None:
    other = response(body, id="b", subject={"reference": "urn:uuid:11111111-1111-4111-8111-111111111111"})

    answer = post(service, bundle(entry(response(body, id="a")), entry(other), kind="batch"))

    assert statuses(answer) == ["201", "422"]


def test_what_a_source_may_not_send_is_refused_there(service: Any, body: Any, as_caller: Any) -> None:
    as_caller(Caller(name="engine", kind="source", types=frozenset({"QuestionnaireResponse"})))
    patient = entry({"resourceType": "Patient", "id": "p9"})

    batch = post(service, bundle(patient, entry(response(body)), kind="batch"))
    transaction = post(service, bundle(patient, entry(response(body, answer=4))))

    assert statuses(batch) == ["403", "201"]
    assert transaction.status_code == 403
    assert service.inbox.counts() == {"received": 1}


# Messages


def message(*resources: dict[str, Any], **header: Any) -> bytes:
    first = {
        "resourceType": "MessageHeader", "id": "m1", "eventUri": "urn:x:response", "source": {"endpoint": "urn:engine"},
    } | header  # fmt: skip
    return bundle({"resource": first}, *({"resource": one} for one in resources), kind="message")


def reply(answer: Any) -> dict[str, Any]:
    told = read(answer)
    header = told["entry"][0]["resource"]
    assert told["type"] == "message"
    assert header["response"]["details"]["reference"] == told["entry"][1]["fullUrl"]
    return dict(header["response"])


@pytest.mark.parametrize("path", ["/fhir", "/fhir/$process-message"])
def test_a_message_is_taken_and_answered_by_a_message(service: Any, body: Any, path: str) -> None:
    sent = message(response(body), {"resourceType": "Organization", "id": "o1"})

    answer = post(service, sent, path)

    assert (answer.status_code, reply(answer)["identifier"], reply(answer)["code"]) == (200, "m1", "ok")
    assert service.inbox.counts() == {"received": 1}


def test_a_message_with_a_bad_entry_is_a_fatal_error_and_is_not_stored(service: Any, body: Any) -> None:
    answer = post(service, message(response(body), response(body, id="b", subject=None)), "/fhir/$process-message")

    assert (answer.status_code, reply(answer)["code"]) == (422, "fatal-error")
    assert read(answer)["entry"][1]["resource"]["issue"][0]["expression"] == ["Bundle.entry[2].resource.subject"]
    assert service.inbox.counts() == {}


def test_a_message_whose_patient_cannot_be_asked_for_is_a_transient_error(
    service: Any, body: Any, reading: Any
) -> None:
    def away(*_: object) -> Any:
        raise ServerUnreachableError(url="http://example.invalid", problem="no answer")

    client = reading(away)

    answer = client.post("/fhir/$process-message", data=message(response(body)), content_type="application/fhir+json")

    assert (answer.status_code, reply(answer)["code"]) == (503, "transient-error")
    assert service.inbox.counts() == {}


def test_a_message_sent_again_gets_its_first_answer(service: Any, body: Any) -> None:
    first = post(service, message(response(body)), "/fhir/$process-message")
    again = post(service, message(response(body), source={"endpoint": "urn:other"}), "/fhir/$process-message")

    assert again.data == first.data
    assert service.inbox.counts() == {"received": 1}


@pytest.mark.parametrize("kind", ["message", "transaction"])
def test_what_is_no_message_is_not_processed_as_one(service: Any, body: Any, kind: str) -> None:
    answer = post(service, bundle(entry(response(body)), kind=kind), "/fhir/$process-message")

    assert answer.status_code == 422
    assert read(answer)["resourceType"] == "OperationOutcome"
