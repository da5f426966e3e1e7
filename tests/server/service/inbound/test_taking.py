"""What else is taken: other types, repetitions by their keys, what is set aside, what is taken later, what is read."""

import json
import threading
from typing import Any

import pytest
from inbound_requests import ENGINE, FHIR, REFERRING, issue, send

from integration.errors import ServerUnreachableError
from server.service.access.caller import Caller

PATIENT = {"resourceType": "Patient", "id": "p9", "gender": "female"}


# Other types


@pytest.mark.parametrize("method", ["POST", "PUT"])
@pytest.mark.parametrize("kind", sorted(REFERRING))
def test_every_type_that_a_view_reads_is_taken_into_the_warehouse(service: Any, kind: str, method: str) -> None:
    resource = {"resourceType": kind, "id": "x1", **REFERRING[kind]}

    answer = send(service, resource, method)

    assert (answer.status_code, answer.headers["ETag"]) == (201, 'W/"1"')
    assert answer.headers["Location"] == f"http://localhost/fhir/{kind}/x1/_history/1"
    assert json.loads(service.warehouse.read("north", kind, "x1")) == resource
    assert service.reader.plan_waiting().settled == 1
    assert service.inbox.counts() == {"kept": 1}


def test_a_patient_posted_before_its_response_is_known(service: Any, body: Any) -> None:
    before = service.post(body(subject={"reference": "Patient/p9"}))
    send(service, PATIENT)

    after = service.post(body(subject={"reference": "Patient/p9"}))

    assert (before.status_code, after.status_code) == (422, 201)


@pytest.mark.parametrize("kind", sorted(REFERRING))
def test_what_is_about_a_patient_whom_nobody_knows_is_refused(service: Any, kind: str) -> None:
    resource = {"resourceType": kind, "id": "x1", **REFERRING[kind], "subject": {"reference": "Patient/nobody"}}

    answer = send(service, resource)

    assert answer.status_code == 422
    assert issue(answer)["expression"] == [f"{kind}.subject"]


@pytest.mark.parametrize("kind", ["Observation", "Encounter", "Subscription"])
@pytest.mark.parametrize("method", ["POST", "PUT"])
def test_types_that_no_view_reads_are_refused_with_those_that_are_read(service: Any, kind: str, method: str) -> None:
    answer = send(service, {"resourceType": kind, "id": "x1"}, method)

    assert answer.status_code == 422
    assert "QuestionnaireResponse" in issue(answer)["details"]["text"]


def test_a_newer_patient_is_not_undone_by_the_worker(service: Any) -> None:
    send(service, PATIENT, "PUT")
    send(service, PATIENT | {"gender": "male"}, "PUT")

    service.reader.plan_waiting()

    assert json.loads(service.warehouse.read("north", "Patient", "p9"))["gender"] == "male"
    assert service.inbox.counts() == {"superseded": 1, "kept": 1}


# Repetitions


def test_an_idempotency_key_gives_the_first_answer_and_is_refused_with_other_content(service: Any, body: Any) -> None:
    key = {"Idempotency-Key": "k-1"}
    first = service.post(body(), **key)
    service.put("r1", body(answer=4))

    again = service.post(body(), **key)
    other = service.post(body(answer=2), **key)

    assert (again.status_code, again.headers["Location"], again.data) == (
        first.status_code, first.headers["Location"], first.data,
    )  # fmt: skip
    assert other.status_code == 422
    assert "Idempotency-Key" in issue(other)["details"]["text"]
    assert service.inbox.counts() == {"received": 2}


def test_an_idempotency_key_is_its_senders_own(service: Any, body: Any, as_caller: Any) -> None:
    service.post(body(), **{"Idempotency-Key": "k-1"})
    as_caller(ENGINE)

    assert service.post(body(answer=4), **{"Idempotency-Key": "k-1"}).status_code == 200


@pytest.mark.parametrize("key", ["x" * 256, "", "two words"])
def test_a_key_that_no_header_should_hold_is_refused(service: Any, body: Any, key: str) -> None:
    assert service.post(body(), **{"Idempotency-Key": key}).status_code == 400


@pytest.mark.parametrize("method", ["PUT", "GET"])
def test_an_operation_is_no_resource(service: Any, body: Any, method: str) -> None:
    path = "/fhir/QuestionnaireResponse/$extract"

    answer = service.client.open(path, method=method, data=body(), headers=FHIR)

    assert answer.status_code == 405
    assert set(service.client.options(path).headers["Allow"].split(", ")) == {"POST", "OPTIONS"}


def test_a_request_id_that_never_changes_is_no_repetition_of_other_content(service: Any, body: Any) -> None:
    answers = [service.post(body(answer=answer), **{"X-Request-Id": "same"}) for answer in (1, 2, 1)]

    assert [answer.headers["ETag"] for answer in answers] == ['W/"1"', 'W/"2"', 'W/"1"']
    assert {answer.headers["X-Request-Id"] for answer in answers} == {"same"}


def test_a_response_of_a_known_identifier_and_version_is_a_repetition_if_it_says_the_same(
    service: Any, body: Any
) -> None:
    def versioned(updated: str, answer: int = 3) -> bytes:
        meta = {"versionId": "1", "lastUpdated": updated}
        return bytes(body(id=None, answer=answer, identifier={"system": "urn:x", "value": "7"}, meta=meta))

    first = service.post(versioned("2012-06-01T12:00:00Z"))
    again = service.post(versioned("2012-06-01T12:09:00Z"))
    amended = service.post(versioned("2012-06-01T12:10:00Z", answer=4))

    assert again.headers["Location"] == first.headers["Location"]
    assert amended.headers["ETag"] == 'W/"2"'
    assert (
        amended.headers["Location"].rpartition("/_history")[0] == first.headers["Location"].rpartition("/_history")[0]
    )


def test_whoever_goes_back_to_an_earlier_content_of_the_latest_version_makes_a_new_one(service: Any, body: Any) -> None:
    service.put("r1", body())
    service.put("r1", body(answer=4))

    back = service.put("r1", body(), **{"If-Match": 'W/"2"'})
    late = service.put("r1", body(answer=4))

    assert (back.status_code, back.headers["ETag"]) == (200, 'W/"3"')
    assert late.headers["ETag"] == 'W/"2"'


def test_repetitions_that_arrive_together_get_one_answer(service: Any, body: Any) -> None:
    answers, sent = [], body(id=None)

    def post() -> None:
        client = service.client.application.test_client()
        answers.append(client.post("/fhir/QuestionnaireResponse", data=sent, headers=FHIR | {"Idempotency-Key": "k"}))

    threads = [threading.Thread(target=post) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert len({(one.status_code, one.headers["Location"], one.data) for one in answers}) == 1
    assert service.inbox.counts() == {"received": 1}


def test_a_repetition_is_answered_although_its_patient_cannot_be_asked_for(
    service: Any, body: Any, reading: Any
) -> None:
    first = service.post(body())

    def away(*_: object) -> Any:
        raise ServerUnreachableError(url="http://example.invalid", problem="no answer")

    client = reading(away)

    again = client.post("/fhir/QuestionnaireResponse", data=body(), headers=FHIR)
    new = client.post("/fhir/QuestionnaireResponse", data=body(answer=4), headers=FHIR)

    assert (again.status_code, again.data) == (201, first.data)
    assert new.status_code == 503


# What is set aside


@pytest.mark.parametrize(
    ("path", "sent", "problem"),
    [
        ("QuestionnaireResponse", b"{", "not JSON"),
        ("QuestionnaireResponse", b'{"resourceType": "QuestionnaireResponse", "subject": {}}', "subject"),
        ("QuestionnaireResponse", b'{"resourceType": "Patient"}', "only QuestionnaireResponse"),
        ("Observation", b'{"resourceType": "Observation"}', "no view"),
        ("", b'{"resourceType": "Bundle", "type": "searchset"}', "taken here"),
        ("", b"{", "not JSON"),
    ],
)
def test_what_can_never_be_used_is_set_aside_where_the_source_wants_that(
    service: Any, as_caller: Any, path: str, sent: bytes, problem: str
) -> None:
    as_caller(ENGINE)

    answer = service.client.post(f"/fhir/{path}".rstrip("/"), data=sent, headers=FHIR)
    again = service.client.post(f"/fhir/{path}".rstrip("/"), data=sent, headers=FHIR)

    assert (answer.status_code, issue(answer)["severity"]) == (200, "warning")
    assert again.data == answer.data
    [aside] = service.inbox.quarantined()
    assert problem in aside.problem
    assert aside.caller == "engine"
    assert service.reader.plan_waiting().settled == 0


def test_what_was_set_aside_is_planned_when_it_is_taken_again(service: Any, body: Any, as_caller: Any) -> None:
    as_caller(ENGINE)
    service.post(body(subject={"reference": "Patient/late"}))
    [aside] = service.inbox.quarantined()

    assert service.inbox.take_again([aside.sequence]) == 1
    service.reader.plan_waiting()
    assert service.inbox.counts() == {"quarantined": 1}
    service.patients.add("late")
    service.inbox.take_again([aside.sequence])
    service.reader.plan_waiting()

    assert service.inbox.counts() == {"planned": 1}
    assert service.planned()["r1/physical"]["valueQuantity"]["value"] == 50


def test_a_bad_entry_is_set_aside_and_the_others_of_its_transaction_are_taken(
    service: Any, body: Any, as_caller: Any
) -> None:
    as_caller(ENGINE)
    good, bad = json.loads(body(id="a")), json.loads(body(id="b", subject=None))
    entries = [
        {"resource": one, "request": {"method": "PUT", "url": f"QuestionnaireResponse/{one['id']}"}}
        for one in (bad, good)
    ]

    answer = service.client.post(
        "/fhir", data=json.dumps({"resourceType": "Bundle", "type": "transaction", "entry": entries}), headers=FHIR
    )

    told = answer.get_json(force=True)["entry"]
    assert [one["response"]["status"][:3] for one in told] == ["200", "201"]
    assert told[0]["response"]["outcome"]["issue"][0]["severity"] == "warning"
    assert service.inbox.counts() == {"quarantined": 1, "received": 1}


# Reading


def test_what_was_sent_is_read_with_its_version(service: Any, body: Any) -> None:
    service.put("r1", body())
    service.put("r1", body(answer=4))

    latest = service.client.get("/fhir/QuestionnaireResponse/r1")
    first = service.client.get("/fhir/QuestionnaireResponse/r1/_history/1")
    unchanged = service.client.get("/fhir/QuestionnaireResponse/r1", headers={"If-None-Match": 'W/"2"'})

    assert (latest.status_code, latest.headers["ETag"], latest.data) == (200, 'W/"2"', body(answer=4))
    assert (first.headers["ETag"], first.data) == ('W/"1"', body())
    assert (unchanged.status_code, unchanged.data) == (304, b"")


@pytest.mark.parametrize(
    "path", ["r2", "r1/_history/2", "r1/_history/0", "r1/_history/99999999999999999999", "r1/_history/x"]
)
def test_what_was_not_sent_is_not_found(service: Any, body: Any, path: str) -> None:
    service.post(body())

    assert service.client.get(f"/fhir/QuestionnaireResponse/{path}").status_code == 404


def test_where_a_location_points_is_the_resource(service: Any, body: Any) -> None:
    location = service.post(body()).headers["Location"].removeprefix("http://localhost")

    assert service.client.get(location).data == body()


def test_head_and_options_are_answered(service: Any, body: Any) -> None:
    service.post(body())

    head = service.client.head("/fhir/QuestionnaireResponse/r1")
    options = service.client.options("/fhir/QuestionnaireResponse")

    assert (head.status_code, head.headers["ETag"], head.data) == (200, 'W/"1"', b"")
    assert options.status_code == 200
    assert "POST" in options.headers["Allow"]


@pytest.mark.parametrize("interaction", ["create", "update", "read"])
def test_what_a_source_may_not_do_is_refused(service: Any, body: Any, as_caller: Any, interaction: str) -> None:
    as_caller(Caller(name="engine", kind="source", interactions=frozenset({"search"})))
    call = {
        "create": lambda: service.post(body()),
        "update": lambda: service.put("r1", body()),
        "read": lambda: service.client.get("/fhir/QuestionnaireResponse/r1"),
    }

    assert call[interaction]().status_code == 403
    assert service.inbox.counts() == {}
