"""CDS Hooks 2.0: what there is, a call, its card, and what became of it. https://cds-hooks.hl7.org/2.0/"""

import json
from typing import Any

import pytest

PATH = "/cds-services/msis29-outcomes"


@pytest.fixture
def hooks(open_hooks: Any) -> Any:
    return open_hooks()


def cards_of(clinic: Any, call: Any) -> Any:
    answer = clinic.client.post(PATH, json=call)
    assert answer.status_code == 200, answer.text
    return answer.get_json()["cards"]


def test_the_discovery_names_the_service_its_hook_and_its_prefetch(hooks: Any) -> None:
    answer = hooks.client.get("/cds-services")

    [one] = answer.get_json()["services"]
    assert answer.content_type == "application/json"
    assert (one["hook"], one["id"]) == ("patient-view", "msis29-outcomes")
    assert {"title", "description", "prefetch"} <= one.keys()
    assert one["prefetch"]["scores"].startswith("Observation?patient={{context.patientId}}&code=")


def test_a_known_patient_gets_one_card(hooks: Any, make_call: Any) -> None:
    [card] = cards_of(hooks, make_call())

    # all 3 of 5 is 50: 100 (S - 20) / 80 of Hobart et al. 2001, doi:10.1093/brain/124.5.962
    assert card["summary"] == "MSIS-29 of 6 Jun 2012: physical 50, psychological 50 (0-100, higher is worse)"
    assert len(card["summary"]) < 140
    assert card["indicator"] == "info"
    assert card["source"]["label"] == "Outcome Bridge"
    assert "| 4 May 2012 | 75 | 75 |" in card["detail"]
    assert card["uuid"]


def test_a_response_dated_in_the_future_is_no_headline(hooks: Any, make_call: Any, make_responses: Any) -> None:
    hooks.hospital.hold(make_responses("typo", "2103-05-04", 3))
    hooks.hospital.plan("typo")
    hooks.hospital.deliver("typo")

    [card] = cards_of(hooks, make_call())

    assert card["summary"].startswith("MSIS-29 of 6 Jun 2012: ")
    assert "| 4 May 2103 (dated in the future) | 50 | 50 |" in card["detail"]


def test_the_link_launches_the_chart_where_it_can_be_launched(hooks: Any, make_call: Any) -> None:
    [link] = cards_of(hooks, make_call())[0]["links"]

    assert (link["type"], link["url"]) == ("smart", "http://localhost/launch")


def test_the_link_is_absolute_where_nothing_can_be_launched(open_hooks: Any, make_call: Any) -> None:
    [link] = cards_of(open_hooks(launches=False), make_call())[0]["links"]

    assert (link["type"], link["url"]) == ("absolute", "http://localhost/chart/p1")


def test_who_is_not_known_gets_no_card(hooks: Any, make_call: Any) -> None:
    assert cards_of(hooks, make_call(context={"userId": "Practitioner/1", "patientId": "p2"})) == []


def test_another_servers_patient_of_the_same_id_gets_no_card(hooks: Any, make_call: Any) -> None:
    assert cards_of(hooks, make_call(fhirServer="https://other.example/fhir")) == []
    assert len(cards_of(hooks, make_call(fhirServer=hooks.ehr.fhir_url + "/"))) == 1


def test_what_waits_is_withheld_or_taken_back_is_on_no_card(hooks: Any, make_call: Any, make_responses: Any) -> None:
    hooks.hospital.hold(make_responses("new", "2013-01-01", 1))
    hooks.hospital.plan("new")

    assert cards_of(hooks, make_call())[0]["summary"].startswith("MSIS-29 of 6 Jun 2012")


def test_a_merged_patients_id_finds_the_surviving_ones_scores(hooks: Any, make_call: Any, make_patients: Any) -> None:
    hooks.hospital.hold(make_patients("old", link=[{"type": "replaced-by", "other": {"reference": "Patient/p1"}}]))

    assert len(cards_of(hooks, make_call(context={"userId": "Practitioner/1", "patientId": "old"}))) == 1


def test_the_prefetch_shows_where_the_ehr_holds_another_score(hooks: Any, make_call: Any) -> None:
    observation = json.loads(hooks.hospital.observation("before", "physical", valueQuantity={"value": 12}))
    bundle = {"resourceType": "Bundle", "entry": [{"resource": observation}, {"resource": 1}, 2]}

    [card] = cards_of(hooks, make_call(prefetch={"scores": bundle}))

    assert "**Differs from what was computed**, 4 May 2012: physical: the EHR holds 12." in card["detail"]


@pytest.mark.parametrize("prefetch", [None, {}, {"scores": None}, {"scores": {"resourceType": "Bundle"}}])
def test_a_card_needs_no_prefetch(hooks: Any, make_call: Any, prefetch: Any) -> None:
    assert len(cards_of(hooks, make_call(prefetch=prefetch))) == 1


@pytest.mark.parametrize(
    ("changes", "expression"),
    [
        ({"hook": "order-sign"}, "hook"),
        ({"hook": None}, "hook"),
        ({"hookInstance": "1"}, "hookInstance"),
        ({"hookInstance": None}, "hookInstance"),
        ({"context": None}, "context"),
        ({"context": {"userId": "Practitioner/1"}}, "context.patientId"),
        ({"context": {"userId": "Practitioner/1", "patientId": "../p1"}}, "context.patientId"),
        ({"context": {"userId": "Practitioner/1", "patientId": ["p1"]}}, "context.patientId"),
        ({"context": {"patientId": "p1"}}, "context.userId"),
        ({"prefetch": []}, "prefetch"),
        ({"prefetch": {"scores": []}}, "prefetch.scores"),
        ({"fhirServer": 5}, "fhirServer"),
        ({"fhirAuthorization": {"access_token": "x"}}, "fhirServer"),
    ],
)
def test_a_call_with_a_fault_is_refused_by_its_field(hooks: Any, make_call: Any, changes: Any, expression: str) -> None:
    answer = hooks.client.post(PATH, json=make_call(**changes))

    [issue] = answer.get_json(force=True)["issue"]
    assert (answer.status_code, issue["expression"]) == (400, [expression])


@pytest.mark.parametrize(
    ("body", "content_type", "status"),
    [
        (b"", "application/json", 400),
        (b"[]", "application/json", 400),
        (b"{", "application/json", 400),
        (b"\xff", "application/json", 400),
        (b"[" * 100_000, "application/json", 413),
        (b"[" * 15_000, "application/json", 400),
        (b"{}", "text/plain", 415),
    ],
)
def test_a_body_that_is_no_call_is_an_operation_outcome(
    hooks: Any, body: bytes, content_type: str, status: int
) -> None:
    answer = hooks.client.post(PATH, data=body, content_type=content_type)

    assert answer.status_code == status
    assert answer.get_json(force=True)["resourceType"] == "OperationOutcome"


def test_feedback_is_taken(hooks: Any, caplog: pytest.LogCaptureFixture) -> None:
    given = [{"card": "a", "outcome": "accepted"}, {"card": "b", "outcome": "overridden"}]

    with caplog.at_level("INFO", logger="server.service.cds_hooks.routes"):
        answer = hooks.client.post(f"{PATH}/feedback", json={"feedback": given})

    [record] = [one for one in caplog.records if getattr(one, "action", "") == "cards_judged"]
    assert answer.status_code == 200
    assert (record.accepted, record.overridden) == (1, 1)  # type: ignore[attr-defined]


@pytest.mark.parametrize(
    "body", [{}, {"feedback": []}, {"feedback": [1]}, {"feedback": [{"card": "a", "outcome": "maybe"}]}]
)
def test_feedback_with_a_fault_is_refused(hooks: Any, body: Any) -> None:
    assert hooks.client.post(f"{PATH}/feedback", json=body).status_code == 400


def test_pages_of_the_ehr_may_ask_from_a_browser_and_others_may_not(hooks: Any) -> None:
    ours = hooks.ehr.url

    asked = hooks.client.options(PATH, headers={"Origin": ours, "Access-Control-Request-Method": "POST"})
    answered = hooks.client.get("/cds-services", headers={"Origin": ours})
    strange = hooks.client.get("/cds-services", headers={"Origin": "https://evil.example"})

    assert asked.status_code == 200
    assert asked.headers["Access-Control-Allow-Origin"] == answered.headers["Access-Control-Allow-Origin"] == ours
    assert "Authorization" in asked.headers["Access-Control-Allow-Headers"]
    assert "Access-Control-Allow-Origin" not in strange.headers
    assert "Access-Control-Allow-Credentials" not in answered.headers
