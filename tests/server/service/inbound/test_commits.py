"""Whose a resource is, and which version of it is expected."""

import json
from typing import Any

import pytest
from inbound_requests import ENGINE, FHIR, REFERRING, issue, send

from integration.service_settings import OWN_NAMES
from server.service.access.caller import LOOPBACK, Caller
from server.service.inbound.pulling import CALLER
from server.service.inbound.submission import RESPONSE

# Whose a resource is

SOURCES = [Caller(name=name, kind="source") for name in ("first", "second")]
ABOUT_P2 = {"subject": {"reference": "Patient/p2"}}


def as_bundle(resource: Any, kind: str) -> str:
    request_ = {"method": "POST", "url": resource["resourceType"]}
    return json.dumps({"resourceType": "Bundle", "type": kind, "entry": [{"resource": resource, "request": request_}]})


@pytest.mark.parametrize("method", ["POST", "PUT"])
@pytest.mark.parametrize("kind", ["QuestionnaireResponse", "Procedure"])
def test_another_sources_resource_is_not_moved_to_another_patient(
    service: Any, body: Any, as_caller: Any, kind: str, method: str
) -> None:
    mine = json.loads(body()) if kind == RESPONSE else {"resourceType": kind, "id": "r1", **REFERRING[kind]}
    as_caller(SOURCES[0])
    send(service, mine)
    as_caller(SOURCES[1])

    refused = send(service, mine | ABOUT_P2, method)
    same_patient = send(service, mine | {"language": "de"})

    assert (refused.status_code, same_patient.status_code) == (409, 200)
    assert issue(refused)["expression"] == [f"{kind}.subject"]
    described = service.client.get("/openapi.json").get_json(force=True)["paths"]
    assert "409" in described[f"/fhir/{kind}"]["post"]["responses"]
    assert service.inbox.version(kind, "r1").version == 2


@pytest.mark.parametrize(("kind", "status"), [("transaction", 409), ("batch", 200), ("collection", 200)])
def test_it_is_not_moved_in_a_bundle_either(service: Any, body: Any, as_caller: Any, kind: str, status: int) -> None:
    as_caller(SOURCES[0])
    service.post(body())
    as_caller(SOURCES[1])

    answer = service.client.post("/fhir", data=as_bundle(json.loads(body(**ABOUT_P2)), kind), headers=FHIR)

    assert answer.status_code == status
    if status == 200:
        assert answer.get_json(force=True)["entry"][0]["response"]["status"] == "409 Conflict"
    assert service.inbox.counts() == {"received": 1}


@pytest.mark.parametrize("in_bundle", [False, True])
def test_what_would_move_it_is_set_aside_where_the_source_wants_that(
    service: Any, as_caller: Any, in_bundle: bool
) -> None:
    resource = {"resourceType": "Procedure", "id": "x1", **REFERRING["Procedure"]}
    as_caller(SOURCES[0])
    send(service, resource)
    as_caller(ENGINE)

    if in_bundle:
        answer = service.client.post("/fhir", data=as_bundle(resource | ABOUT_P2, "transaction"), headers=FHIR)
    else:
        answer = send(service, resource | ABOUT_P2)

    assert answer.status_code == 200
    assert [one.caller for one in service.inbox.quarantined()] == ["engine"]
    assert json.loads(service.warehouse.read("north", "Procedure", "x1")) == resource


def test_its_own_source_and_this_machine_may_move_a_resource(service: Any, body: Any, as_caller: Any) -> None:
    as_caller(SOURCES[0])
    service.post(body())
    own = service.post(body(answer=4, **ABOUT_P2))
    as_caller(LOOPBACK)
    machine = service.post(body(answer=5))
    as_caller(SOURCES[0])
    after = service.post(body(answer=2, **ABOUT_P2))

    assert (own.status_code, machine.status_code, after.status_code) == (200, 200, 409)


def test_an_identifier_without_a_system_is_its_sources_own(service: Any, body: Any, as_caller: Any) -> None:
    places = []
    for source, more in zip(SOURCES, ({}, ABOUT_P2), strict=True):
        as_caller(source)
        places.append(service.post(body(id=None, identifier={"value": "17"}, **more)))

    service.reader.plan_waiting()

    assert [one.status_code for one in places] == [201, 201]
    assert service.inbox.counts() == {"planned": 2}


@pytest.mark.parametrize("in_bundle", [False, True])
def test_an_identifier_without_a_system_names_one_patients_response(service: Any, body: Any, in_bundle: bool) -> None:
    named = {"id": None, "identifier": {"value": "17"}}
    service.post(body(**named))

    corrected = service.post(body(answer=4, **named))
    others = json.loads(body(answer=5, **named, **ABOUT_P2))
    if in_bundle:
        refused = service.client.post("/fhir", data=as_bundle(others, "transaction"), headers=FHIR)
    else:
        refused = send(service, others)

    assert (corrected.status_code, refused.status_code) == (200, 409)
    assert service.inbox.counts() == {"received": 2}


def test_an_identifier_of_one_system_is_not_moved_by_another_source(service: Any, body: Any, as_caller: Any) -> None:
    named = {"id": None, "identifier": {"system": "urn:x", "value": "17"}}
    as_caller(SOURCES[0])
    service.post(body(**named))
    as_caller(SOURCES[1])

    assert service.post(body(**named, **ABOUT_P2)).status_code == 409


# Expected versions


def test_the_version_that_is_read_is_the_one_to_be_expected(service: Any, body: Any, as_caller: Any) -> None:
    as_caller(ENGINE)
    service.put("r1", body())
    service.put("r1", body(subject={"reference": "Patient/nobody"}))

    unread = service.put("r1", body(answer=5), **{"If-Match": 'W/"2"'})
    seen = service.client.get("/fhir/QuestionnaireResponse/r1").headers["ETag"]
    taken = service.put("r1", body(answer=4), **{"If-Match": seen})

    assert (seen, unread.status_code, taken.status_code, taken.headers["ETag"]) == ('W/"1"', 412, 200, 'W/"3"')


def test_what_was_set_aside_is_so_again_when_it_is_sent_again(service: Any, body: Any, as_caller: Any) -> None:
    as_caller(ENGINE)
    service.put("r1", body())
    for _ in range(2):
        service.put("r1", body(subject={"reference": "Patient/nobody"}), **{"If-Match": 'W/"1"'})

    assert service.inbox.counts() == {"received": 1, "quarantined": 1}


@pytest.mark.parametrize("if_match", ["*", 'W/"0"', 'W/"1"'])
def test_nothing_is_made_where_a_version_is_expected(service: Any, body: Any, if_match: str) -> None:
    assert service.put("r1", body(), **{"If-Match": if_match}).status_code == 412
    assert service.inbox.counts() == {}


def test_any_version_will_do_where_any_is_expected(service: Any, body: Any) -> None:
    service.put("r1", body())

    assert service.put("r1", body(answer=4), **{"If-Match": "*"}).headers["ETag"] == 'W/"2"'


def test_nothing_is_overwritten_where_nothing_is_expected(service: Any, body: Any) -> None:
    headers = {"Content-Type": "application/fhir+json", "If-None-Match": "*"}
    answers = [
        service.client.put("/fhir/QuestionnaireResponse/r1", data=body(answer=answer), headers=headers)
        for answer in (3, 3, 4)
    ]

    assert [one.status_code for one in answers] == [201, 201, 412]
    assert service.inbox.counts() == {"received": 1}


def test_nobody_else_has_the_name_of_who_may_move_a_resource() -> None:
    assert {LOOPBACK.name, CALLER} == OWN_NAMES
