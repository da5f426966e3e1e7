"""What is taken later: where its result is, and when it waits or is taken again."""

import dataclasses
import json
from typing import Any

import pytest
import sqlalchemy as sa
from fhir.resources.R4B import get_fhir_model_class

from integration.errors import ServerUnreachableError
from server.service.access.caller import Caller
from server.service.inbound.inbound import MOST_DEFERRED
from server.service.inbound.schema import deferred
from server.service.inbound.submission import RESPONSE

FHIR = {"Content-Type": "application/fhir+json"}
ENGINE = Caller(name="engine", kind="source", poison="quarantine")


def as_bundle(resource: Any, kind: str) -> str:
    request_ = {"method": "POST", "url": resource["resourceType"]}
    return json.dumps({"resourceType": "Bundle", "type": kind, "entry": [{"resource": resource, "request": request_}]})


def test_what_is_taken_later_is_answered_with_where_its_result_will_be(service: Any, body: Any) -> None:
    taken = service.post(body(), Prefer="respond-async")
    status = taken.headers["Content-Location"].removeprefix("http://localhost")
    open_ = service.client.get(status)
    waiting = service.inbox.counts()

    service.services.inbound.take_deferred()

    done = service.client.get(status)
    [entry] = done.get_json(force=True)["entry"]
    get_fhir_model_class("Bundle").model_validate(done.get_json(force=True))
    assert (taken.status_code, open_.status_code, done.status_code) == (202, 202, 200)
    assert open_.headers["Retry-After"]
    assert open_.headers["X-Progress"] == "is taken next"
    assert waiting == {}
    assert (entry["response"]["status"], entry["response"]["etag"]) == ("201 Created", 'W/"1"')
    assert service.inbox.counts() == {"received": 1}


def test_what_is_taken_later_and_refused_says_so_in_its_result(service: Any, body: Any) -> None:
    status = service.post(body(subject=None), Prefer="respond-async").headers["Content-Location"]

    service.services.inbound.take_deferred()

    [entry] = service.client.get(status.removeprefix("http://localhost")).get_json(force=True)["entry"]
    assert entry["response"]["status"].startswith("422")
    assert service.inbox.counts() == {}


@pytest.mark.parametrize("path", ["/fhir", "/fhir/$process-message"])
def test_bundles_can_be_taken_later_and_their_answer_is_the_result(service: Any, body: Any, path: str) -> None:
    header = {"resourceType": "MessageHeader", "eventUri": "urn:x", "source": {"endpoint": "urn:y"}}
    entries = [{"resource": header}, {"resource": json.loads(body())}]
    sent = json.dumps({"resourceType": "Bundle", "type": "message", "entry": entries})

    taken = service.client.post(path, data=sent, headers=FHIR | {"Prefer": "respond-async"})
    service.services.inbound.take_deferred()

    result = service.client.get(taken.headers["Content-Location"].removeprefix("http://localhost"))
    assert result.get_json(force=True)["entry"][0]["resource"]["response"]["code"] == "ok"


def test_what_was_taken_later_is_repeated_in_the_form_that_the_repetition_prefers(service: Any, body: Any) -> None:
    later = service.post(body(), Prefer="Respond-Async, return=minimal")
    service.services.inbound.take_deferred()

    plain, none = service.post(body()), service.post(body(), Prefer="return=minimal")

    assert later.status_code == 202
    assert (plain.status_code, plain.get_json(force=True)["resourceType"]) == (201, "OperationOutcome")
    assert (none.status_code, none.data) == (201, b"")


def test_what_an_older_version_put_off_is_taken(service: Any, body: Any) -> None:
    service.post(body(), Prefer="respond-async")
    with service.inbox._engine.begin() as connection:
        [request] = connection.scalars(sa.select(deferred.c.request))
        older = json.dumps(json.loads(request) | {"is_minimal": True})
        connection.execute(deferred.update().values(request=older))

    service.services.inbound.take_deferred()

    assert service.inbox.counts() == {"received": 1}


def test_a_repetition_of_what_is_taken_later_gets_the_same_place(service: Any, body: Any) -> None:
    headers = {"Prefer": "respond-async", "Idempotency-Key": "k"}
    first = service.post(body(), **headers)
    service.services.inbound.take_deferred()

    again = service.post(body(), **headers)

    assert again.headers["Content-Location"] == first.headers["Content-Location"]
    assert service.inbox.counts() == {"received": 1}


@pytest.mark.parametrize("headers", [{}, {"Idempotency-Key": "k"}])
@pytest.mark.parametrize("in_bundle", [False, True])
def test_what_was_taken_later_and_refused_is_taken_again(
    service: Any, body: Any, headers: dict[str, str], in_bundle: bool
) -> None:
    resource = json.loads(body(subject={"reference": "Patient/new"}))
    path, sent = ("/fhir", as_bundle(resource, "batch")) if in_bundle else (f"/fhir/{RESPONSE}", json.dumps(resource))

    def post() -> str:
        later = FHIR | {"Prefer": "respond-async"} | headers
        place = service.client.post(path, data=sent, headers=later).headers["Content-Location"]
        return str(place.removeprefix("http://localhost"))

    first = post()
    waiting = post()
    service.services.inbound.take_deferred()
    service.patients.add("new")
    again = post()
    service.services.inbound.take_deferred()

    [entry] = service.client.get(again).get_json(force=True)["entry"]
    assert waiting == first != again
    assert post() == again
    assert entry["response"]["status"] == "201 Created"
    assert service.inbox.counts() == {"received": 1}


def test_a_message_that_is_taken_later_waits_while_its_patient_cannot_be_asked_for(service: Any, body: Any) -> None:
    header = {"resourceType": "MessageHeader", "eventUri": "urn:x", "source": {"endpoint": "urn:y"}}
    entries = [{"resource": header}, {"resource": json.loads(body())}]
    sent = json.dumps({"resourceType": "Bundle", "type": "message", "entry": entries})
    taken = service.client.post("/fhir/$process-message", data=sent, headers=FHIR | {"Prefer": "respond-async"})
    status = taken.headers["Content-Location"].removeprefix("http://localhost")

    def away(*_: object) -> Any:
        raise ServerUnreachableError(url="http://example.invalid", problem="no answer")

    inbound = service.services.inbound
    dataclasses.replace(inbound, desk=dataclasses.replace(inbound.desk, read=away)).take_deferred()
    waits = service.client.get(status)
    inbound.take_deferred()

    assert waits.status_code == 202
    assert service.client.get(status).get_json(force=True)["entry"][0]["resource"]["response"]["code"] == "ok"
    assert service.inbox.counts() == {"received": 1}


def test_a_key_of_what_is_taken_later_is_good_for_the_same_content_at_once(service: Any, body: Any) -> None:
    key = {"Idempotency-Key": "k"}
    service.post(body(), Prefer="respond-async", **key)

    at_once = service.post(body(), **key)
    other = service.post(body(answer=4), **key)
    service.services.inbound.take_deferred()

    assert (at_once.status_code, other.status_code) == (201, 422)
    assert service.inbox.counts() == {"received": 1}


def test_what_can_be_said_at_once_is_not_put_off(service: Any) -> None:
    assert service.post(b"{", Prefer="respond-async").status_code == 400


def test_a_result_is_its_senders_own(service: Any, body: Any, as_caller: Any) -> None:
    status = service.post(body(), Prefer="respond-async").headers["Content-Location"].removeprefix("http://localhost")
    as_caller(ENGINE)

    assert service.client.get(status).status_code == 404
    assert service.client.get("/fhir/_async/nothing").status_code == 404


def test_what_cannot_be_taken_yet_waits(service: Any, body: Any) -> None:
    service.post(body(), Prefer="respond-async")

    def away(*_: object) -> Any:
        raise ServerUnreachableError(url="http://example.invalid", problem="no answer")

    inbound = service.services.inbound
    broken = dataclasses.replace(inbound, desk=dataclasses.replace(inbound.desk, read=away))

    assert broken.take_deferred()
    assert inbound.inbox.deferred.next_id()
    inbound.take_deferred()
    assert service.inbox.counts() == {"received": 1}


def test_one_round_takes_some_and_leaves_the_others_to_the_next(service: Any, body: Any) -> None:
    for number in range(MOST_DEFERRED + 1):
        service.post(body(id=f"r{number}"), Prefer="respond-async")
    inbound = service.services.inbound

    inbound.take_deferred(lambda: False)
    taken = [dict(service.inbox.counts())]
    for _ in range(2):
        inbound.take_deferred()
        taken.append(service.inbox.counts())

    assert taken == [{}, {"received": MOST_DEFERRED}, {"received": MOST_DEFERRED + 1}]
